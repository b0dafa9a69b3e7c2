import { setTimeout as sleep } from "node:timers/promises";
import { startDetached } from "../../detached";
import { TorbizError } from "../../errors";
import type { Names } from "../../names";
import type { Paths } from "../../paths";
import { isAlive } from "../../is-alive";
import type { OnProgress } from "../../progress";
import type { Engine } from "../engine";
import type { BuildEnd } from "./build-end";
import { findBuild } from "./find-build";
import { PATIENCE, type SilenceLimits } from "./follow-log";
import { readLock, type RunningBuild } from "./lock";
import type { BuildProgress } from "./progress";
import { inputsHash, scriptArgs, scriptEnv, scriptFailure, scriptOf, type ScriptSurroundings } from "./script";
import { judgeImage } from "./state";
import { endBuild, watchBuild } from "./watch";

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
  /** What to do with an image of an older Torbiz that still serves. Default: build anew. */
  outdated?: "build" | "use";
  /** For how long a build may say nothing. */
  limits?: SilenceLimits;
}

export interface ImageOutcome {
  /** A build had to be waited for. */
  built: boolean;
  /** It is of an older Torbiz, and used because that was asked for. */
  outdated: boolean;
  /** What a person should know about it. */
  note?: string;
  seconds: number;
}

/**
 * Sees to it that the image is there and serves. The build is a process of its own that goes on when we end; one that
 * runs already is followed, not started a second time. An image of the same files on another base will do, unless
 * TORBIZ_BASE_IMAGE asks for this very one.
 *
 * @throws TorbizError build-failed, build-cancelled, base-image-unavailable, image-check-failed, disk-full, docker-*,
 * interrupted
 */
export async function ensureImage(options: EnsureImageOptions): Promise<ImageOutcome> {
  const { engine, names, paths, force = false, outdated = "build" } = options;
  const started = performance.now();
  const outcome = (facts: Partial<ImageOutcome>): ImageOutcome => ({
    built: false,
    outdated: false,
    ...facts,
    seconds: (performance.now() - started) / 1000,
  });
  const wanted = await inputsHash(options);
  const look = async () => judgeImage(await engine.image(names.image), wanted, options.env.TORBIZ_BASE_IMAGE);

  if (!force) {
    const state = await look();
    if (state === "current") return outcome({});
    if (state === "outdated" && outdated === "use") return outcome({ outdated: true });
    if (state === "by-hand") {
      const note = `The image ${names.image} was built by hand: it is used as it is. A rebuild replaces it.`;
      return outcome({ note });
    }
  }

  let other = await findBuild(paths, names);
  do {
    if (other) {
      await see(options, other, { own: false });
      if (!force && (await look()) === "current") {
        const note = "The image was being built already: that build was waited for.";
        return outcome({ built: true, note });
      }
    }
    const { build, own } = await startBuild(options);
    if (own) await see(options, build, { own });
    other = own ? undefined : build;
  } while (other);

  if ((await look()) !== "current") {
    throw new TorbizError("build-failed", "Torbiz's own files changed while the image was built.", {
      hint: "Try again.",
    });
  }
  return outcome({ built: true });
}

/**
 * Starts the script so that it outlives us, and waits until it has its lock.
 * @returns the build, or another one that was faster: ours has not begun then
 */
async function startBuild(options: EnsureImageOptions): Promise<{ build: RunningBuild; own: boolean }> {
  const { names, paths, signal, limits } = options;
  if (signal?.aborted) throw cancelled();
  const env = scriptEnv(options, await options.cliPath());
  const script = await startDetached("bash", [scriptOf(options), ...scriptArgs(options)], env);
  const { pid } = script;
  try {
    const limit = performance.now() + (limits ?? PATIENCE).first;
    let late = false;
    while (isAlive(pid)) {
      const build = readLock(paths, names);
      if (build?.pid === pid) return { build, own: true };
      late ||= performance.now() > limit;
      // It has nothing yet that it would have to clean up.
      if (late || signal?.aborted) killGroup(pid);
      await sleep(20);
    }
    if (signal?.aborted) throw cancelled();
    if (late) throw new TorbizError("docker-not-answering", "Docker doesn't answer, so the build can't begin.");
    const build = await findBuild(paths, names);
    if (!build) throw scriptFailure(script.said());
    return { build, own: false };
  } finally {
    script.close();
  }
}

/** Sees a build through to its end. @param own we started it: nobody else's is ours to cancel */
async function see(options: EnsureImageOptions, build: RunningBuild, { own }: { own: boolean }): Promise<void> {
  const { paths, names, signal } = options;
  const report = reporter(options.onProgress ?? (() => undefined));
  const watching = watchBuild(options, build, signal);
  let end: BuildEnd | undefined;
  try {
    let look = await watching.next();
    for (; !look.done; look = await watching.next()) report(look.value);
    end = look.value;
  } catch (error) {
    if (own) await endBuild(paths, names, build.pid);
    throw error;
  }
  if (!end && signal?.aborted) {
    if (!own) throw leftAlone();
    await endBuild(paths, names, build.pid);
    throw cancelled();
  }
  if (end?.outcome === "cancelled") throw cancelled();
  if (end?.error) throw end.error;
}

/** The docker command that it waits for included. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid);
  } catch {
    // It has ended by itself.
  }
}

function cancelled(): TorbizError {
  return new TorbizError("build-cancelled", "The build of the image was cancelled.");
}

function leftAlone(): TorbizError {
  return new TorbizError("interrupted", "The build of the image goes on: it was started elsewhere.", {
    hint: "Do the same again to wait for it.",
  });
}

/** Passes progress on when a person would see a difference. */
function reporter(onProgress: OnProgress): (progress: BuildProgress) => void {
  let last = "";
  return ({ step, steps, title, detail, warning, percent, secondsLeft }) => {
    const left = secondsLeft === null ? "" : `, ${describeSeconds(secondsLeft)} left`;
    const what = `${title}${detail ? ` (${detail})` : ""}${left}${warning ? `; ${warning}` : ""}`;
    const message = `Building the image, step ${step} of ${steps}: ${what}`;
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
