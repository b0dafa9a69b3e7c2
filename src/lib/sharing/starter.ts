import type { Engine } from "../docker/engine";
import { removeAbandoned, runOneOff } from "../docker/one-off";
import { TorbizError } from "../errors";
import { defaultModel } from "../models";
import type { Names } from "../names";
import type { Paths } from "../paths";
import { privately } from "../privately";
import type { OnProgress } from "../progress";
import { inspectStarter, parseStarterLine, starterError, starterFolder, type StarterFailure } from "../starter-folder";

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
const JOB = "starter";
const MEMORY_BYTES = 1024 ** 3;
const TMP_BYTES = 16 * 1024 ** 2;
/** It takes some ten seconds; a slow disk or another preparation before it may take minutes. */
const LIMIT_MS = 20 * 60_000;

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
  const { engine, names, paths, onProgress } = options;
  const started = performance.now();
  const folder = starterFolder(paths);
  if (await removeAbandoned({ engine, names, job: JOB })) {
    const message = "Removed the container of a preparation that was cut off";
    onProgress?.({ stage: STAGE, message, progress: null });
  }
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
  let failure: StarterFailure | undefined;
  const { file, args } = privately("python", ["-m", "torbiz.starter", "--out", `/models/${defaultModel.id}`]);
  const { exitCode, lines } = await runOneOff({
    engine,
    names,
    job: JOB,
    command: [file, ...args],
    // The files are to belong to this user, not to the image's.
    user: rootless ? "0:0" : `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
    memoryBytes: MEMORY_BYTES,
    tmpBytes: TMP_BYTES,
    mounts: [{ Type: "bind", Source: paths.models, Target: "/models" }],
    limit: {
      ms: LIMIT_MS,
      error: () => new TorbizError("starter-failed", `The preparation didn't end within ${LIMIT_MS / 60_000} minutes.`),
    },
    signal,
    onLine: ({ text }) => {
      const line = parseStarterLine(text);
      if (line && "error" in line) failure = line;
      else if (line) onProgress?.({ stage: STAGE, ...line });
    },
  });
  if (exitCode !== 0) throw starterError(exitCode, failure, lines, paths);
}
