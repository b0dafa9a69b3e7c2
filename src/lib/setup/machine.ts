import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { interrupted } from "../docker/docker-error";
import { checkDocker, type Preflight } from "../docker/preflight";
import { prepareHome } from "../paths";
import { findDebian, installPackages } from "./debian";
import { lastLines, runStep, stepEnv, stepError } from "./run-step";
import { findCommand, hasSystemd, type SetUpSurroundings } from "./surroundings";

/** An engine that answers. */
export type ReadyDocker = Extract<Preflight, { state: "ready" }>;

/** How long an engine may take until it answers, in milliseconds. */
export interface StartLimits {
  /** One that we started. */
  own: number;
  /** Another one: `dockerd` that ends by itself may do so because another one is just starting. */
  other: number;
}

const START_LIMITS: StartLimits = { own: 60_000, other: 10_000 };

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
 * @param limits defaults fit a slow machine
 * @throws TorbizError what the preflight says (docker-not-installed, ...) where nothing can be set up; setup-failed,
 *   interrupted: an engine that we started and that doesn't answer by then is ended
 *
 * @example
 * const { endpoint, engine } = await setUpMachine({ env: process.env, home: homedir(), platform: process.platform, paths, onProgress });
 */
export async function setUpMachine(
  surroundings: SetUpSurroundings,
  limits: StartLimits = START_LIMITS,
): Promise<ReadyDocker> {
  const before = await checkDocker(surroundings);
  if (before.state === "ready") return before;
  if (!(await canSetUp(surroundings, before))) throw before.error;

  if (!(await findCommand(surroundings, "dockerd"))) {
    await installPackages(surroundings, ["docker.io", "iptables", "ca-certificates"]);
  }
  // Debian's docker.io brings the docker command up to Debian 12, later ones have it in a package of its own.
  if (!(await findCommand(surroundings, "docker"))) await installPackages(surroundings, ["docker-cli"]);

  surroundings.onProgress({ stage: "setting-up", message: "Starting Docker Engine", progress: null });
  const ready = await (hasSystemd(surroundings) ? startService : startDaemon)(surroundings, limits);
  surroundings.onChanged?.("Started Docker Engine");
  return ready;
}

async function startService(surroundings: SetUpSurroundings, limits: StartLimits): Promise<ReadyDocker> {
  await runStep(surroundings, "systemctl", ["start", "docker"], { timeoutMs: limits.own });
  return waitForEngine(surroundings, limits.own, () => undefined);
}

/** Starts `dockerd` in a session of its own, so that it outlives us and no Ctrl-C of ours reaches it. */
async function startDaemon(surroundings: SetUpSurroundings, limits: StartLimits): Promise<ReadyDocker> {
  prepareHome(surroundings.paths);
  const logFile = join(surroundings.paths.logs, "dockerd.log");
  const log = createWriteStream(logFile, { mode: 0o600 });
  // Until then there is no file descriptor to hand on, by which the daemon goes on writing without us.
  await once(log, "open");
  const daemon = execa("dockerd", [], {
    cwd: "/",
    env: stepEnv(surroundings),
    extendEnv: false,
    detached: true,
    stdio: ["ignore", log, log],
    buffer: false,
    reject: false,
  });
  const started = Date.now();
  let ended: { at: number; why: number | string | undefined } | undefined;
  const end = daemon.then(({ exitCode, signal, originalMessage }) => {
    log.destroy();
    ended = { at: Date.now(), why: exitCode ?? signal ?? originalMessage };
  });
  try {
    const ready = await waitForEngine(surroundings, limits.own, async () => {
      const [since, limit] = ended ? [ended.at, limits.other] : [started, limits.own];
      if (Date.now() - since < limit) return undefined;
      const why = ended ? ended.why : `no answer after ${limits.own / 1000} s`;
      return stepError("dockerd", why, lastLines(await readFile(logFile, "utf8")), logFile);
    });
    daemon.unref();
    return ready;
  } catch (error) {
    daemon.kill();
    await end;
    throw error;
  }
}

/**
 * Asks until the engine answers.
 * @param findFailure says when waiting has no sense any more
 * @throws TorbizError the found failure, or at the limit what the last question met
 */
async function waitForEngine(
  surroundings: SetUpSurroundings,
  limitMs: number,
  findFailure: () => Promise<Error | undefined> | undefined,
): Promise<ReadyDocker> {
  const limit = Date.now() + limitMs;
  for (;;) {
    if (surroundings.signal?.aborted) throw interrupted(surroundings.signal);
    const now = await checkDocker(surroundings);
    if (now.state === "ready") return now;
    const failure = await findFailure();
    if (failure) throw failure;
    if (Date.now() > limit) throw now.error;
    await sleep(500);
  }
}
