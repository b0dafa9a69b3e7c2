import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { TorbizError } from "../../errors";
import { LABELS, type Names } from "../../names";
import type { Paths } from "../../paths";
import { isAlive } from "../../process-lock";
import type { OnProgress } from "../../progress";
import type { Engine, ImageFacts } from "../engine";
import { toBuildError } from "./failure";
import { findBuild } from "./find-build";
import { followBuildLog, type SilenceLimits } from "./follow-log";
import { addToHistory, readHistory } from "./history";
import { buildFiles, type RunningBuild } from "./lock";
import { BuildProgressParser, type BuildProgress } from "./progress";
import { inputsHash, scriptEnv, scriptFailure, scriptOf, type ScriptSurroundings } from "./script";

export interface EnsureImageOptions extends ScriptSurroundings {
  engine: Engine;
  /** Finds the docker command; asked only when something has to be built. */
  cliPath: () => Promise<string>;
  names: Names;
  paths: Paths;
  onProgress?: OnProgress;
  /** Cancels the build; one that another command started goes on, and is only waited for no longer. */
  signal?: AbortSignal;
  /** Build every step anew, whatever is there. */
  force?: boolean;
  /** For how long a build may say nothing. */
  limits?: SilenceLimits;
}

export interface ImageOutcome {
  /** A build had to be waited for. */
  built: boolean;
  /** What a person should know about it. */
  note?: string;
  seconds: number;
}

/** The script's exit code when another build of the same tag runs. */
const EXIT_BUSY = 75;
/** Time for a build to end by itself when it is cancelled, in milliseconds; then it is killed. */
const CANCEL_MS = 20_000;

/**
 * Sees to it that the image is there and made from the files we have now. The build is a process of its own that goes on
 * when we end; one that runs already is followed, not started a second time. An image of the same files on another base
 * will do, unless TORBIZ_BASE_IMAGE asks for this very one.
 *
 * @throws TorbizError build-failed, build-cancelled, base-image-unavailable, image-check-failed, disk-full, docker-*,
 * interrupted
 */
export async function ensureImage(options: EnsureImageOptions): Promise<ImageOutcome> {
  const { engine, names, paths, force = false } = options;
  const started = performance.now();
  const outcome = (facts: Omit<ImageOutcome, "seconds">): ImageOutcome => ({
    ...facts,
    seconds: (performance.now() - started) / 1000,
  });
  const wanted = await inputsHash(options);
  const base = options.env.TORBIZ_BASE_IMAGE;
  const isWanted = (image: ImageFacts | undefined) =>
    image?.labels[LABELS.inputs] === wanted && (!base || image.labels[LABELS.base] === base);

  if (!force) {
    const image = await engine.image(names.image);
    if (isWanted(image)) return outcome({ built: false });
    if (image && !image.labels[LABELS.inputs]) {
      const note = `The image ${names.image} was built by hand: it is used as it is. Build ours with \`torbiz build --force\`.`;
      return outcome({ built: false, note });
    }
  }

  let other = await findBuild(paths, names);
  do {
    if (other) {
      const { pid, log } = other;
      await watchBuild(options, { pid, log, own: false, isRunning: () => isAlive(pid) });
      if (!force && isWanted(await engine.image(names.image))) {
        const note = "The image was being built already: that build was waited for.";
        return outcome({ built: true, note });
      }
    }
    other = await runBuild(options);
  } while (other);

  if (!isWanted(await engine.image(names.image))) {
    throw new TorbizError("build-failed", "Torbiz's own files changed while the image was built.", {
      hint: "Try again.",
    });
  }
  return outcome({ built: true });
}

/**
 * Starts the script in a process group of its own, so that it outlives us, and sees it through to its end.
 * @returns another build that was faster: ours has not begun
 */
async function runBuild(options: EnsureImageOptions): Promise<RunningBuild | undefined> {
  const { names, paths, force, signal } = options;
  if (signal?.aborted) throw cancelled();
  const { lock, log } = buildFiles(paths, names);
  const args = ["--tag", names.image, "--log", log, "--lock", lock, ...(force ? ["--no-cache"] : [])];
  const build = execa("bash", [scriptOf(options), ...args], {
    env: scriptEnv(options, await options.cliPath()),
    extendEnv: false,
    detached: true,
    cleanup: false,
    reject: false,
    stdin: "ignore",
    stdout: "ignore",
  });
  const { pid } = build;
  let exited = false;
  const end = build.finally(() => (exited = true));
  if (pid === undefined) throw scriptFailure((await end).shortMessage ?? "");
  if (await watchBuild(options, { pid, log, own: true, isRunning: () => !exited })) return undefined;

  // Not a line: it ended before it had its log.
  const { exitCode, stderr } = await end;
  const other = exitCode === EXIT_BUSY ? await findBuild(paths, names) : undefined;
  if (!other) throw scriptFailure(stderr);
  return other;
}

interface WatchedBuild {
  pid: number;
  log: string;
  /** We started it: nobody else's is ours to cancel. */
  own: boolean;
  isRunning: () => boolean;
}

/**
 * Follows a build to its end.
 * @returns false when it wrote nothing
 */
async function watchBuild(options: EnsureImageOptions, build: WatchedBuild): Promise<boolean> {
  const { signal, paths, limits } = options;
  const parser = await openParser(options);
  const report = reporter(options.onProgress ?? (() => undefined));
  const lines: string[] = [];
  try {
    const log = followBuildLog({ ...build, signal, limits, onLook: () => report(parser.progress()) });
    for await (const { text, live } of log) {
      lines.push(text);
      parser.read(text, live);
    }
  } catch (error) {
    if (build.own) await cancelBuild(build);
    throw error;
  }
  const last = lines.at(-1) ?? "";
  const done = last.startsWith("torbiz: done ");
  if (signal?.aborted && !done) {
    if (!build.own) throw leftAlone(build);
    await cancelBuild(build);
    throw cancelled();
  }
  report(parser.progress());
  // Its last line comes before it has cleaned up after itself, and only then may the next one begin.
  await untilEnded(build);
  if (done) await addToHistory(paths, parser.stepSeconds());
  else if (last === "torbiz: cancelled") throw cancelled();
  else if (lines.length > 0) throw toBuildError(lines, build.log);
  return done;
}

/** Ends our build: by SIGTERM, and the whole group by SIGKILL where that doesn't help. */
async function cancelBuild(build: WatchedBuild): Promise<void> {
  const send = (target: number, name: NodeJS.Signals) => {
    try {
      if (build.isRunning()) process.kill(target, name);
    } catch {
      // It has ended by itself.
    }
  };
  send(build.pid, "SIGTERM");
  await untilEnded(build);
  send(-build.pid, "SIGKILL");
}

async function untilEnded({ isRunning }: WatchedBuild): Promise<void> {
  for (const limit = performance.now() + CANCEL_MS; isRunning() && performance.now() < limit;) await sleep(50);
}

function cancelled(): TorbizError {
  return new TorbizError("build-cancelled", "The build of the image was cancelled.");
}

function leftAlone({ pid }: WatchedBuild): TorbizError {
  const message = "The build of the image goes on: another command started it.";
  const hint = `The same command waits for it again. To cancel it: kill ${pid}`;
  return new TorbizError("interrupted", message, { hint });
}

/** Passes progress on when a person would see a difference. */
function reporter(onProgress: OnProgress): (progress: BuildProgress) => void {
  let last = "";
  return ({ step, steps, title, detail, percent, secondsLeft }) => {
    const left = secondsLeft === null ? "" : `, ${describeSeconds(secondsLeft)} left`;
    const message = `Building the image, step ${step} of ${steps}: ${title}${detail ? ` (${detail})` : ""}${left}`;
    const progress = Math.floor(percent * 100) / 100;
    if (`${message} ${progress}` === last) return;
    last = `${message} ${progress}`;
    onProgress({ stage: "building", message, progress });
  };
}

/** Rounded as an estimate deserves. */
function describeSeconds(seconds: number): string {
  if (seconds < 5) return "a few seconds";
  if (seconds < 90) return `about ${Math.ceil(seconds / 10) * 10} s`;
  return `about ${Math.round(seconds / 60)} min`;
}

async function openParser({ runtimeFiles, paths }: EnsureImageOptions): Promise<BuildProgressParser> {
  const dockerfile = await readFile(join(runtimeFiles, "docker", "Dockerfile.macos"), "utf8");
  return new BuildProgressParser({ dockerfile, history: await readHistory(paths) });
}
