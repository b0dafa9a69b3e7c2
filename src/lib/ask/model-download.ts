import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { commandLineOf } from "../command-line-of";
import type { Surroundings } from "../context";
import { startDetached } from "../detached";
import { errorCodes, TorbizError, type ErrorCode } from "../errors";
import { isAlive } from "../is-alive";
import type { Paths } from "../paths";
import type { Environment } from "./environment";
import type { HubFile, LocalModel } from "./local-models";
import { DOWNLOAD_SETTINGS, pythonEnv } from "./python-env";

/** A model that comes from the hub. */
export type HubModel = LocalModel & { hub: HubFile };

export interface PullOptions {
  surroundings: Pick<Surroundings, "paths" | "env" | "home" | "runtimeFiles">;
  model: HubModel;
  /** Kind "local": its Python downloads. */
  environment: Environment;
  /** A Hugging Face token, for more requests an hour; HF_TOKEN unless given. It goes by stdin only. */
  token?: string;
}

/** How far a download is. */
export interface PullProgress {
  /** `checking`: all has come, and its hash is computed. */
  state: "downloading" | "checking";
  doneBytes: number;
  totalBytes: number;
  /** null until it is known. */
  bytesPerSecond: number | null;
  secondsLeft: number | null;
}

/** What torbiz.download writes: its `Status`. */
interface Status extends Omit<PullProgress, "state"> {
  pid: number;
  state: PullProgress["state"] | "done" | "cancelled" | "failed";
  code?: string;
  message?: string;
}

/** What the program may know: where the hub is, and how to reach it. */
const HUB_SETTINGS = new RegExp(`^HF_ENDPOINT$|${DOWNLOAD_SETTINGS.source}`, "i");
const POLL_MS = 200;
/** It writes four times a second. */
const SILENT_MS = 2_000;
/** Until the program has written its status: it has to import its packages, on a slow disk for the first time. */
const START_LIMIT_MS = 60_000;
/** Time to end after SIGTERM. */
const GRACE_MS = 10_000;

/**
 * Starts the download, which then belongs to nobody: it outlives window, terminal and launcher. One that runs already is
 * left to run.
 * @returns its first status, which may be its last
 */
async function begin({ surroundings, model, environment, token }: PullOptions): Promise<Status> {
  const { paths, env, home, runtimeFiles } = surroundings;
  const running = await findRunning(paths, model);
  if (running) return running;
  const files = downloadFiles(paths, model);
  const { repo, revision, sha256 } = model.hub;
  const program = await startDetached(
    environment.python,
    [
      ...["-m", "torbiz.download", "--repo", repo, "--revision", revision, "--file", model.file],
      ...["--sha256", sha256, "--bytes", `${model.bytes}`, "--out", modelFile(paths, model)],
      ...["--status", files.status, "--lock", files.lock],
    ],
    {
      ...pythonEnv(env, home, HUB_SETTINGS),
      PYTHONPATH: join(runtimeFiles, "python"),
      // Our own folder may be read-only, and must stay as it was shipped.
      PYTHONDONTWRITEBYTECODE: "1",
    },
    `${token ?? env.HF_TOKEN ?? ""}\n`,
  );
  try {
    const deadline = Date.now() + START_LIMIT_MS;
    // While a program takes its shell's place it has no command line: only the second look tells.
    let looksWithoutIt = 0;
    while (Date.now() < deadline) {
      // Looked at first: what it wrote before its end is seen then.
      looksWithoutIt = (await isOurs(program.pid, files.status)) ? 0 : looksWithoutIt + 1;
      const ended = looksWithoutIt > 1;
      const status = readStatus(files.status);
      if (status?.pid === program.pid) return status;
      // Another command's was faster, and ours has left it the work.
      const other = await findRunning(paths, model);
      if (other) return other;
      if (ended && status?.state === "done") return status;
      if (ended) break;
      await sleep(POLL_MS / 2);
    }
    throw new TorbizError("download-failed", `The download of ${model.title} couldn't start.`, {
      hint: "Try again.",
      details: { lines: program.said().trim().split("\n") },
    });
  } finally {
    program.close();
  }
}

/**
 * Downloads a model, or joins its download that runs: progress until all is there and checked. Leaving the loop leaves the
 * download alone.
 *
 * @param signal stops watching; the download goes on
 * @throws TorbizError download-failed, disk-full, home-not-writable, interrupted (cancelled, or no longer watched)
 */
export async function* pull(options: PullOptions, signal?: AbortSignal): AsyncGenerator<PullProgress> {
  const { surroundings, model } = options;
  yield* watch(surroundings.paths, model, await begin(options), signal);
}

/**
 * A download that runs, whoever started it, as progress until its end. Ends at once when none runs.
 *
 * @param signal stops watching; the download goes on
 * @throws TorbizError as `pull`
 */
export async function* followPull(paths: Paths, model: LocalModel, signal?: AbortSignal): AsyncGenerator<PullProgress> {
  const running = await findRunning(paths, model);
  if (running) yield* watch(paths, model, running, signal);
}

async function* watch(
  paths: Paths,
  model: LocalModel,
  first: Status,
  signal: AbortSignal | undefined,
): AsyncGenerator<PullProgress> {
  let status = first;
  for (;;) {
    const { state } = status;
    if (state === "done") return;
    if (state === "cancelled") {
      throw new TorbizError("interrupted", `The download of ${model.title} was cancelled.`, {
        hint: "Start it again at any time: what has come is kept.",
      });
    }
    if (state === "failed") throw failure(model, status);
    if (signal?.aborted) {
      throw new TorbizError("interrupted", `The download of ${model.title} goes on in the background.`);
    }
    const { doneBytes, totalBytes, bytesPerSecond, secondsLeft } = status;
    yield { state, doneBytes, totalBytes, bytesPerSecond, secondsLeft };
    await sleep(POLL_MS);
    const file = downloadFiles(paths, model).status;
    const silent = isSilent(file);
    status = readStatus(file) ?? status;
    if (silent && isUnderWay(status) && !(await isOurs(status.pid, file))) {
      throw new TorbizError("download-failed", `The download of ${model.title} was ended from outside.`, {
        hint: "Start it again: what has come is kept.",
      });
    }
  }
}

function failure(model: LocalModel, { code, message }: Status): TorbizError {
  const known = errorCodes.find((known) => known === code) ?? ("download-failed" satisfies ErrorCode);
  return new TorbizError(known, message ?? `${model.title} couldn't be downloaded.`);
}

/**
 * Ends the download of a model, whoever started it. What has come is kept, and the next download goes on from there.
 * @returns when it has ended; false when none runs
 */
export async function cancelPull(paths: Paths, model: LocalModel): Promise<boolean> {
  const running = await findRunning(paths, model);
  if (!running) return false;
  const deadline = Date.now() + GRACE_MS;
  let signal: NodeJS.Signals = "SIGTERM";
  // Until it is gone, not only until it has said so: it holds the lock that the next one needs.
  while (await isOurs(running.pid, downloadFiles(paths, model).status)) {
    try {
      process.kill(running.pid, signal);
    } catch {
      // It has just ended.
    }
    if (Date.now() > deadline) signal = "SIGKILL";
    await sleep(POLL_MS / 2);
  }
  return true;
}

/** Whether a model is being downloaded now. */
export async function isDownloading(paths: Paths, model: LocalModel): Promise<boolean> {
  return (await findRunning(paths, model)) !== undefined;
}

async function findRunning(paths: Paths, model: LocalModel): Promise<Status | undefined> {
  const { status: file } = downloadFiles(paths, model);
  const status = readStatus(file);
  if (!status || !isUnderWay(status)) return undefined;
  return (await isOurs(status.pid, file)) ? status : undefined;
}

/** A killed download's number may have gone to another program: the command line tells. */
async function isOurs(pid: number, statusFile: string): Promise<boolean> {
  return isAlive(pid) && (await commandLineOf(pid)).includes(statusFile);
}

/** Whether nothing has been written for longer than a running download ever leaves it. */
function isSilent(statusFile: string): boolean {
  const written = statSync(statusFile, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return Date.now() - written > SILENT_MS;
}

function isUnderWay({ state }: Status): boolean {
  return state === "downloading" || state === "checking";
}

function readStatus(file: string): Status | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Status;
  } catch {
    return undefined; // none was ever started
  }
}

function downloadFiles(paths: Paths, model: LocalModel): { status: string; lock: string } {
  const name = join(paths.run, `download-${model.id}`);
  return { status: `${name}.json`, lock: `${name}.lock` };
}

/** Where a model's file is, or will be: absolute. */
export function modelFile(paths: Pick<Paths, "models">, model: LocalModel): string {
  return model.source === "file" ? model.file : join(paths.models, model.id, "gguf", model.file);
}
