import { readFileSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { commandLineOf } from "../command-line-of";
import type { Surroundings } from "../context";
import { startDetached } from "../detached";
import { errorCodes, TorbizError, type ErrorCode } from "../errors";
import { isAlive } from "../is-alive";
import type { Paths } from "../paths";
import type { Environment } from "./environment";
import { privately } from "../privately";
import { DOWNLOAD_SETTINGS, pythonEnv } from "./python-env";

/** A download that belongs to nobody: a program of python/torbiz/download_job.py's kind. */
export interface DownloadJob {
  /** Names its files in the run folder: one at a time of each name. */
  name: string;
  /** What comes, for people. */
  title: string;
}

export interface DownloadOptions {
  surroundings: Pick<Surroundings, "paths" | "env" | "home" | "runtimeFiles">;
  job: DownloadJob;
  /** The program and its arguments, without --status and --lock: `["torbiz.download", "--repo", ...]`. */
  program: readonly string[];
  /** Its Python downloads. */
  environment: Environment;
  /** A Hugging Face token; HF_TOKEN unless given. It goes by stdin only. */
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

/** What the program writes: `Status` in python/torbiz/download_job.py. */
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
async function begin({ surroundings, job, program: command, environment, token }: DownloadOptions): Promise<Status> {
  const { paths, env, home, runtimeFiles } = surroundings;
  const running = await findRunning(paths, job);
  if (running) return running;
  const files = downloadFiles(paths, job);
  const { file, args } = privately(environment.python, [
    ...["-m", ...command, "--status", files.status, "--lock", files.lock],
  ]);
  const program = await startDetached(
    file,
    args,
    {
      ...pythonEnv(env, home, HUB_SETTINGS),
      PYTHONPATH: join(runtimeFiles, "python"),
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
      const other = await findRunning(paths, job);
      if (other) return other;
      if (ended && status?.state === "done") return status;
      if (ended) break;
      await sleep(POLL_MS / 2);
    }
    throw new TorbizError("download-failed", `The download of ${job.title} couldn't start.`, {
      hint: "Try again.",
      details: { lines: program.said().trim().split("\n") },
    });
  } finally {
    program.close();
  }
}

/**
 * Downloads, or joins the same download that runs: progress until all is there and checked. Leaving the loop leaves the
 * download alone.
 *
 * @param signal stops watching; the download goes on
 * @throws TorbizError the program's own, disk-full, home-not-writable, download-failed, interrupted (cancelled, or no longer
 *   watched)
 */
export async function* runDownload(options: DownloadOptions, signal?: AbortSignal): AsyncGenerator<PullProgress> {
  yield* watch(options.surroundings.paths, options.job, await begin(options), signal);
}

/**
 * A download that runs, whoever started it, as progress until its end. Ends at once when none runs.
 *
 * @param signal stops watching; the download goes on
 * @throws TorbizError as `runDownload`
 */
export async function* followDownload(
  paths: Paths,
  job: DownloadJob,
  signal?: AbortSignal,
): AsyncGenerator<PullProgress> {
  const running = await findRunning(paths, job);
  if (running) yield* watch(paths, job, running, signal);
}

async function* watch(
  paths: Paths,
  job: DownloadJob,
  first: Status,
  signal: AbortSignal | undefined,
): AsyncGenerator<PullProgress> {
  let status = first;
  for (;;) {
    const { state } = status;
    if (state === "done") return;
    if (state === "cancelled") {
      throw new TorbizError("interrupted", `The download of ${job.title} was cancelled.`, {
        hint: "Start it again at any time: what has come is kept.",
      });
    }
    if (state === "failed") throw failure(job, status);
    if (signal?.aborted) {
      throw new TorbizError("interrupted", `The download of ${job.title} goes on in the background.`);
    }
    const { doneBytes, totalBytes, bytesPerSecond, secondsLeft } = status;
    yield { state, doneBytes, totalBytes, bytesPerSecond, secondsLeft };
    await sleep(POLL_MS);
    const file = downloadFiles(paths, job).status;
    const silent = isSilent(file);
    status = readStatus(file) ?? status;
    if (silent && isUnderWay(status) && !(await isOurs(status.pid, file))) {
      throw new TorbizError("download-failed", `The download of ${job.title} was ended from outside.`, {
        hint: "Start it again: what has come is kept.",
      });
    }
  }
}

function failure(job: DownloadJob, { code, message }: Status): TorbizError {
  const known = errorCodes.find((known) => known === code) ?? ("download-failed" satisfies ErrorCode);
  return new TorbizError(known, message ?? `${job.title} couldn't be downloaded.`);
}

/**
 * Ends a download, whoever started it. What has come is kept, and the next download goes on from there.
 * @returns when it has ended; false when none runs
 */
export async function cancelDownload(paths: Paths, job: DownloadJob): Promise<boolean> {
  const running = await findRunning(paths, job);
  if (!running) return false;
  const deadline = Date.now() + GRACE_MS;
  let signal: NodeJS.Signals = "SIGTERM";
  // Until it is gone, not only until it has said so: it holds the lock that the next one needs.
  while (await isOurs(running.pid, downloadFiles(paths, job).status)) {
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

/** Ends every download into the home folder. */
export async function cancelAllDownloads(paths: Paths): Promise<void> {
  for (const file of await readdir(paths.run).catch(() => [])) {
    const [, name] = /^download-(.+)\.json$/.exec(file) ?? [];
    if (name) await cancelDownload(paths, { name, title: name });
  }
}

/** Whether it runs now. */
export async function isDownloadRunning(paths: Paths, job: DownloadJob): Promise<boolean> {
  return (await findRunning(paths, job)) !== undefined;
}

async function findRunning(paths: Paths, job: DownloadJob): Promise<Status | undefined> {
  const { status: file } = downloadFiles(paths, job);
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

function downloadFiles(paths: Paths, job: DownloadJob): { status: string; lock: string } {
  const name = join(paths.run, `download-${job.name}`);
  return { status: `${name}.json`, lock: `${name}.lock` };
}

/** A download's progress for people: "Downloading Granite 4.1 3B: 0.7 of 2.1 GB, 3 min left". */
export function describePull(title: string, { state, doneBytes, totalBytes, secondsLeft }: PullProgress) {
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
  const left = secondsLeft === null ? "" : `, ${timeLeft(secondsLeft)} left`;
  const message =
    state === "checking"
      ? `Checking ${title}`
      : `Downloading ${title}: ${gigabytes(doneBytes)} of ${gigabytes(totalBytes)} GB${left}`;
  // Nobody knows the size before the hub has told.
  return { message, progress: totalBytes === 0 ? null : doneBytes / totalBytes };
}

function timeLeft(seconds: number): string {
  return seconds < 60 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}
