import { spawn } from "node:child_process";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { interrupted } from "../docker/docker-error";
import { checkDocker, type Preflight } from "../docker/preflight";
import { prepareHome } from "../paths";
import { findDebian, installPackages } from "./debian";
import { lastLines, runStep, stepEnv, stepError } from "./run-step";
import { findCommand, hasSystemd, type SetUpSurroundings } from "./surroundings";

/** An engine that answers. */
export type ReadyDocker = Extract<Preflight, { state: "ready" }>;

/** How long a started engine may take until it answers. */
const START_LIMIT_MS = 60_000;

/** `dockerd` that ends by itself may do so because another one is just starting: that one gets this long to answer. */
const OTHER_ENGINE_LIMIT_MS = 10_000;

/**
 * Whether `setUpMachine` could bring an engine to this machine: a Debian-like Linux, we are root, no engine answers, and
 * nobody pointed us to a certain one.
 *
 * @param preflight what `checkDocker` says about this machine
 */
export async function canSetUp(surroundings: SetUpSurroundings, preflight: Preflight): Promise<boolean> {
  const { env, host } = surroundings;
  if (preflight.state !== "not-installed" && preflight.state !== "not-running") return false;
  const chosen = host || env.DOCKER_HOST || env.DOCKER_CONTEXT || preflight.endpoint?.source === "context";
  return !chosen && (await findDebian(surroundings)) !== undefined;
}

/**
 * Sees to it that a Docker Engine answers on this machine: installs Debian's `docker.io` where there is none, starts it
 * where it doesn't run. A machine whose engine answers is left alone. Safe to repeat.
 *
 * @throws TorbizError what the preflight says (docker-not-installed, ...) where nothing can be set up; setup-failed
 *
 * @example
 * const { endpoint, engine } = await setUpMachine({ env: process.env, home: homedir(), platform: process.platform, paths, onProgress });
 */
export async function setUpMachine(surroundings: SetUpSurroundings): Promise<ReadyDocker> {
  const before = await checkDocker(surroundings);
  if (before.state === "ready") return before;
  if (!(await canSetUp(surroundings, before))) throw before.error;

  if (!(await findCommand(surroundings, "dockerd"))) {
    await installPackages(surroundings, ["docker.io", "iptables", "ca-certificates"]);
  }
  // Debian's docker.io brings the docker command up to Debian 12, later ones have it in a package of its own.
  if (!(await findCommand(surroundings, "docker"))) await installPackages(surroundings, ["docker-cli"]);

  surroundings.onProgress({ stage: "setting-up", message: "Starting Docker Engine", progress: null });
  if (!hasSystemd(surroundings)) return startDaemon(surroundings);
  await runStep(surroundings, "systemctl", ["start", "docker"], { timeoutMs: START_LIMIT_MS });
  return waitForEngine(surroundings, () => undefined);
}

/** Starts `dockerd` in a session of its own, so that it outlives us and no Ctrl-C of ours reaches it. */
async function startDaemon(surroundings: SetUpSurroundings): Promise<ReadyDocker> {
  prepareHome(surroundings.paths);
  const logFile = join(surroundings.paths.logs, "dockerd.log");
  const log = await open(logFile, "w", 0o600);
  let endedAt: number | undefined;
  let why: number | string | undefined;
  try {
    const daemon = spawn("dockerd", [], {
      cwd: "/",
      env: stepEnv(surroundings),
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
    });
    daemon.once("error", (error) => {
      why = error.message;
      endedAt = Date.now();
    });
    daemon.once("exit", (code, signal) => {
      why = code ?? signal ?? undefined;
      endedAt = Date.now();
    });
    daemon.unref();
  } finally {
    await log.close();
  }
  return waitForEngine(surroundings, async () => {
    if (endedAt === undefined || Date.now() - endedAt < OTHER_ENGINE_LIMIT_MS) return undefined;
    return stepError("dockerd", why, lastLines(await readFile(logFile, "utf8")), logFile);
  });
}

/**
 * Asks until the engine answers.
 * @param findFailure says when waiting has no sense any more
 * @throws TorbizError the found failure, or at the limit what the last question met
 */
async function waitForEngine(
  surroundings: SetUpSurroundings,
  findFailure: () => Promise<Error | undefined> | undefined,
): Promise<ReadyDocker> {
  const limit = Date.now() + START_LIMIT_MS;
  for (;;) {
    if (surroundings.signal?.aborted) throw interrupted(surroundings.signal);
    const now = await checkDocker(surroundings);
    if (now.state === "ready") {
      surroundings.onProgress({ stage: "setting-up", message: "Docker Engine is running", progress: 1 });
      return now;
    }
    const failure = await findFailure();
    if (failure) throw failure;
    if (Date.now() > limit) throw now.error;
    await sleep(500);
  }
}
