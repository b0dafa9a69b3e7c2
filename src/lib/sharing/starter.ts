import { randomBytes } from "node:crypto";
import { interrupted } from "../docker/docker-error";
import type { ContainerOptions, Engine, RunResult } from "../docker/engine";
import { TorbizError } from "../errors";
import { defaultModel } from "../models";
import { LABELS, type Names } from "../names";
import type { Paths } from "../paths";
import type { OnProgress } from "../progress";
import { inspectStarter, parseStarterLine, starterError, starterFolder, type StarterFailure } from "../starter-folder";
import { VERSION } from "../version";

export interface StarterOptions {
  engine: Engine;
  names: Names;
  paths: Paths;
  /** Whether the engine runs without root: its containers' root is this user then. */
  rootless: boolean;
  onProgress?: OnProgress;
  /** Ends the preparation; nothing half-made is left. */
  signal?: AbortSignal;
}

export interface StarterResult {
  /** `petals/` for the seeder and the swarm's client, `gguf/` for llama.cpp. */
  folder: string;
  /** False when it was ready already. */
  prepared: boolean;
  seconds: number;
}

const STAGE = "preparing-model";
const CONTAINER_PREFIX = "torbiz-starter-";
const MEMORY_BYTES = 1024 ** 3;
/** It takes some ten seconds; a slow disk or another preparation before it may take minutes. */
const LIMIT_MS = 20 * 60_000;
/** Time to clear up after SIGTERM before the container is killed. */
const GRACE_MS = 10_000;
/** A container that ended so long ago has nobody left who reads its exit code. */
const ABANDONED_MS = 10_000;

/**
 * Makes the starter model ready in the home folder, by `torbiz.starter` in a one-off container of our image: locked
 * down, without a network, as this user. Runs at the same time wait for each other.
 *
 * @throws TorbizError starter-failed, disk-full, home-not-writable, interrupted, or the engine's own
 *
 * @example
 * const { folder } = await ensureStarterModel({ engine, names, paths, rootless: facts.rootless });
 */
export async function ensureStarterModel(options: StarterOptions): Promise<StarterResult> {
  const { paths, onProgress } = options;
  const started = performance.now();
  const folder = starterFolder(paths);
  await removeAbandoned(options);
  const state = await inspectStarter(paths);
  if (state !== "ready") {
    const message =
      state === "damaged"
        ? "The starter model's files are damaged: preparing them anew"
        : "Preparing the starter model, once";
    onProgress?.({ stage: STAGE, message, progress: null });
    await prepare(options);
    if ((await inspectStarter(paths)) !== "ready") {
      throw new TorbizError("starter-failed", `The starter model was prepared, but ${folder} is not complete.`, {
        hint: "Check that Docker may use that folder (file sharing in Docker's settings), and try again.",
      });
    }
  }
  return { folder, prepared: state !== "ready", seconds: (performance.now() - started) / 1_000 };
}

async function prepare({ engine, names, paths, rootless, onProgress, signal }: StarterOptions): Promise<void> {
  if (signal?.aborted) throw interrupted(signal);
  const name = CONTAINER_PREFIX + randomBytes(4).toString("hex");
  const limit = AbortSignal.timeout(LIMIT_MS);
  const ending = signal ? AbortSignal.any([signal, limit]) : limit;
  const kill = new AbortController();
  let killTimer: NodeJS.Timeout | undefined;
  const onEnding = () => {
    killTimer = setTimeout(() => kill.abort(ending.reason), GRACE_MS);
    engine.kill(name, "SIGTERM").catch(() => undefined);
  };
  ending.addEventListener("abort", onEnding, { once: true });

  let failure: StarterFailure | undefined;
  let result: RunResult;
  try {
    result = await engine.run({
      image: names.image,
      name,
      options: containerOptions(names, paths, rootless),
      signal: kill.signal,
      onLine: ({ text }) => {
        const line = parseStarterLine(text);
        if (line && "error" in line) failure = line;
        else if (line) onProgress?.({ stage: STAGE, ...line });
      },
    });
  } catch (error) {
    throw ending.aborted ? endedBy(ending, limit) : error;
  } finally {
    clearTimeout(killTimer);
    ending.removeEventListener("abort", onEnding);
  }
  if (ending.aborted) throw endedBy(ending, limit);
  if (result.exitCode !== 0) throw starterError(result.exitCode, failure, result.lines, paths);
}

function containerOptions(names: Names, paths: Paths, rootless: boolean): ContainerOptions {
  return {
    Entrypoint: ["python", "-m", "torbiz.starter"],
    Cmd: ["--out", `/models/${defaultModel.id}`],
    // The files are to belong to this user, not to the image's.
    User: rootless ? "0:0" : `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
    Labels: {
      [LABELS.managed]: "1",
      [LABELS.version]: VERSION,
      [LABELS.instance]: names.instance,
    },
    Tty: false,
    HostConfig: {
      Init: true,
      NetworkMode: "none",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges:true"],
      Memory: MEMORY_BYTES,
      MemorySwap: MEMORY_BYTES,
      PidsLimit: 512,
      Tmpfs: { "/tmp": "mode=1777,size=16m" },
      LogConfig: { Type: "json-file", Config: { "max-size": "1m", "max-file": "1" } },
      RestartPolicy: { Name: "no" },
      Mounts: [{ Type: "bind", Source: paths.models, Target: "/models" }],
    },
  };
}

function endedBy(ending: AbortSignal, limit: AbortSignal): TorbizError {
  if (!limit.aborted) return interrupted(ending);
  return new TorbizError("starter-failed", `The preparation didn't end within ${LIMIT_MS / 60_000} minutes.`);
}

/** Removes the containers of preparations whose own process was killed before it could. */
async function removeAbandoned({ engine, names, onProgress }: StarterOptions): Promise<void> {
  for (const { Id, Names: [name] = [], Labels, State } of await engine.list(LABELS.managed)) {
    if (!name?.startsWith(`/${CONTAINER_PREFIX}`) || Labels[LABELS.instance] !== names.instance) continue;
    if (State === "running") continue;
    const info = await engine.inspect(Id);
    // What was never started has finished in the year 1.
    const quietSince = info && Math.max(Date.parse(info.Created), Date.parse(info.State.FinishedAt));
    if (!quietSince || Date.now() - quietSince < ABANDONED_MS) continue;
    await engine.remove(Id, { force: true });
    onProgress?.({ stage: STAGE, message: "Removed the container of a preparation that was cut off", progress: null });
  }
}
