import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { TorbizError } from "../../errors";
import { LABELS, type Names } from "../../names";
import type { Paths } from "../../paths";
import type { OnProgress } from "../../progress";
import type { Engine, ImageFacts } from "../engine";
import { toBuildError } from "./failure";
import { followBuildLog } from "./follow-log";
import { addToHistory, readHistory } from "./history";
import { buildFiles, currentBuild, isAlive } from "./lock";
import { BuildProgressParser, type BuildProgress } from "./progress";
import { inputsHash, scriptEnv, scriptFailure, scriptOf, type ScriptSurroundings } from "./script";

export { currentBuild, type RunningBuild } from "./lock";

export interface EnsureImageOptions extends ScriptSurroundings {
  engine: Engine;
  /** Finds the docker command; asked only when something has to be built. */
  cliPath: () => Promise<string>;
  names: Names;
  paths: Paths;
  onProgress?: OnProgress;
  /** Cancels the build, also one that was running already. */
  signal?: AbortSignal;
  /** Build every step anew, whatever is there. */
  force?: boolean;
}

export interface ImageOutcome {
  /** A build had to be waited for. */
  built: boolean;
  /** The image is somebody's own build: it has no hash of its inputs, and is used as it is. */
  adopted: boolean;
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
 * when we end; one that runs already is followed, not started a second time.
 *
 * @throws TorbizError build-failed, build-cancelled, base-image-unavailable, image-check-failed, disk-full, docker-*
 */
export async function ensureImage(options: EnsureImageOptions): Promise<ImageOutcome> {
  const { engine, names, paths, force = false } = options;
  const started = performance.now();
  const outcome = (facts: Omit<ImageOutcome, "seconds">): ImageOutcome => ({
    ...facts,
    seconds: (performance.now() - started) / 1000,
  });
  const wanted = await inputsHash(options);
  const isWanted = (image: ImageFacts | undefined) => image?.labels[LABELS.inputs] === wanted;

  if (!force) {
    const image = await engine.image(names.image);
    if (isWanted(image)) return outcome({ built: false, adopted: false });
    if (image && !image.labels[LABELS.inputs]) {
      const note = `The image ${names.image} was built by hand: it is used as it is. Build ours with \`torbiz build --force\`.`;
      return outcome({ built: false, adopted: true, note });
    }
  }

  const running = currentBuild(paths, names);
  if (running) {
    await watchBuild(options, { ...running, isRunning: () => isAlive(running.pid) });
    if (isWanted(await engine.image(names.image))) {
      const note = "The image was being built already: that build was waited for.";
      return outcome({ built: true, adopted: false, note });
    }
  }

  await runBuild(options);
  if (!isWanted(await engine.image(names.image))) {
    throw new TorbizError("build-failed", "Torbiz's own files changed while the image was built.", {
      hint: "Try again.",
    });
  }
  return outcome({ built: true, adopted: false });
}

/** Starts the script in a process group of its own, so that it outlives us, and sees it through to its end. */
async function runBuild(options: EnsureImageOptions): Promise<void> {
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
  if (await watchBuild(options, { pid, log, isRunning: () => !exited })) return;

  // Not a line: it ended before it had its log.
  const { exitCode, stderr } = await end;
  const other = currentBuild(paths, names);
  if (exitCode !== EXIT_BUSY || !other) throw scriptFailure(stderr);
  await watchBuild(options, { ...other, isRunning: () => isAlive(other.pid) });
}

interface WatchedBuild {
  pid: number;
  log: string;
  isRunning: () => boolean;
}

/**
 * Follows a build to its end, and cancels it when the signal says so.
 * @returns false when it wrote nothing
 */
async function watchBuild(options: EnsureImageOptions, build: WatchedBuild): Promise<boolean> {
  const { signal, paths } = options;
  const parser = await openParser(options);
  const lines: string[] = [];
  const stopCancelling = cancelOn(signal, build);
  try {
    const report = reporter(options.onProgress ?? (() => undefined));
    for await (const { text, live } of followBuildLog({ ...build, onLook: () => report(parser.progress()) })) {
      lines.push(text);
      parser.read(text, live);
    }
    report(parser.progress());
    // Its last line comes before it has cleaned up after itself, and only then may the next one begin.
    for (const limit = performance.now() + CANCEL_MS; build.isRunning() && performance.now() < limit;) await sleep(50);
  } finally {
    stopCancelling();
  }
  const last = lines.at(-1) ?? "";
  if (last.startsWith("torbiz: done ")) {
    await addToHistory(paths, parser.stepSeconds());
    return true;
  }
  if (signal?.aborted || last === "torbiz: cancelled") throw cancelled();
  if (lines.length === 0) return false;
  throw toBuildError(lines, build.log);
}

/** Sends SIGTERM when the signal aborts, and SIGKILL to the whole group where that doesn't help. */
function cancelOn(signal: AbortSignal | undefined, { pid, isRunning }: WatchedBuild): () => void {
  let timer: NodeJS.Timeout | undefined;
  const send = (target: number, name: NodeJS.Signals) => {
    try {
      process.kill(target, name);
    } catch {
      // It has ended by itself.
    }
  };
  const cancel = () => {
    send(pid, "SIGTERM");
    timer = setTimeout(() => isRunning() && [-pid, pid].forEach((target) => send(target, "SIGKILL")), CANCEL_MS);
  };
  if (signal?.aborted) cancel();
  else signal?.addEventListener("abort", cancel, { once: true });
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  };
}

function cancelled(): TorbizError {
  return new TorbizError("build-cancelled", "The build of the image was cancelled.");
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
