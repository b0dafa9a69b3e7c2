import { setTimeout as delay } from "node:timers/promises";
import type { EngineContext } from "../context";
import { cancelBuild } from "../docker/build/follow";
import { currentBuild } from "../docker/build/lock";
import { TorbizError } from "../errors";
import { lockHolder } from "../process-lock";
import type { OnProgress } from "../progress";
import { STOP_SECONDS } from "./container";
import { keepContribution } from "./contribution";
import { keepLogs } from "./kept-logs";
import { readStatus } from "./status";
import { requestStop, shareLock } from "./stop-request";

/** How a share ended. */
export interface StopResult {
  /** Something was shared or on its way to be, and has ended. When nothing was, the other fields say nothing. */
  stopped: boolean;
  /** It ended a build of the image, whoever started that. */
  cancelledBuild: boolean;
  /** The swarm took our word that these blocks are offline. */
  announcedOffline: boolean;
  /** The container was killed: by `now`, or because it did not end in time. */
  forced: boolean;
  exitCode: number | null;
  /** From the request to the container's end. */
  seconds: number;
  /** Where the container's log is kept. */
  log: string | null;
  /** All of it in one sentence for people. */
  message: string;
}

export interface StopOptions {
  /** Kill at once instead of letting it tell peers. */
  now?: boolean;
  onProgress?: OnProgress;
}

const KILL_LIMIT_MS = 10_000;
/** A start gives up within seconds, and one that was ended is forgotten within 20; a slow engine may take its whole limit. */
const GIVE_UP_LIMIT_MS = 60_000;
const POLL_MS = 100;

/** The seeder's log lines for what the swarm was told; the last one counts, as it may move to other blocks meanwhile. */
const TOLD = /Announced (JOINING|ONLINE|OFFLINE): blocks/;
/** The same for the end of a finish; the number is that of answers which took too long. */
const FINISHED = / torbiz\.finishing: (?:No answer is on its way any more|The time is over: .+: (\d+)$)/;

/**
 * Stops sharing, whatever it is at: a build of the image is cancelled, a command that prepares or starts a share gives up,
 * and a container is stopped by `stopContainer`. Safe to call in any state and twice at once.
 *
 * @throws TorbizError foreign-container, unexpected when a start doesn't give up, or the engine's failures
 */
export async function stopSharing(context: EngineContext, options: StopOptions = {}): Promise<StopResult> {
  const { names, paths } = context;
  const start = lockHolder(shareLock(context));
  requestStop(context);
  if (currentBuild(paths, names)) {
    options.onProgress?.({ stage: "stopping", message: "Cancelling the build of the image", progress: null });
  }
  const cancelledBuild = await cancelBuild(paths, names);
  if (start !== undefined) await untilGivenUp(context, start, options);
  const result = await stopContainer(context, names.container, options);
  if (result.stopped) {
    const message = cancelledBuild ? `${result.message} The build of the image was cancelled, too.` : result.message;
    return { ...result, message, cancelledBuild };
  }
  if (cancelledBuild) {
    const message = "The build of the image was cancelled. Finished steps are kept.";
    return { ...result, stopped: true, cancelledBuild, message };
  }
  return start === undefined
    ? result
    : { ...result, stopped: true, message: "Sharing was stopped before it began. Nothing was started." };
}

/** Waits until the command that was starting a share has let go: by then its container runs, or there is none. */
async function untilGivenUp(context: EngineContext, start: string, { onProgress }: StopOptions): Promise<void> {
  const lock = shareLock(context);
  const end = performance.now() + GIVE_UP_LIMIT_MS;
  if (lockHolder(lock) === start) {
    onProgress?.({ stage: "stopping", message: "Stopping what is about to be shared", progress: null });
  }
  while (lockHolder(lock) === start) {
    if (performance.now() > end) {
      throw new TorbizError("unexpected", "A command that is about to share didn't give up within a minute.", {
        hint: "Stop again; if that doesn't help, end that command.",
      });
    }
    await delay(POLL_MS);
  }
}

/**
 * Stops a container of ours: SIGINT with time to tell peers, then its log is kept and it is removed; the cache volume
 * stays. One that has ended already is cleaned up.
 *
 * @throws TorbizError foreign-container, or the engine's failures
 */
export async function stopContainer(
  context: EngineContext,
  nameOrId: string,
  { now = false, onProgress }: StopOptions = {},
): Promise<StopResult> {
  const { engine, names } = context;
  const container = await engine.inspect(nameOrId);
  const before = readStatus(container);
  if (!container || before.state === "absent") {
    return { ...NOT_STOPPED, message: "Nothing is shared." };
  }
  if (before.state === "foreign") throw foreignContainer(names.container, container.Config.Image);

  const started = performance.now();
  const wasRunning = container.State.Running;
  if (wasRunning) {
    onProgress?.({
      stage: "stopping",
      message: now ? "Stopping at once" : "Telling peers and stopping",
      progress: null,
    });
    // An engine resumes what it stops, but a signal sent to a frozen process may be lost on the way.
    if (container.State.Paused) await engine.unpause(container.Id);
    if (now) await killAndWait(context, container.Id);
    else await engine.stop(container.Id, STOP_SECONDS);
  }
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const ended = await engine.inspect(container.Id);
  const kept = ended && (await keepLogs(context, ended));
  if (!kept) return { ...NOT_STOPPED, message: "Another command stopped it at the same time." };
  const { path, lines } = kept;
  const exitCode = ended.State.ExitCode;
  // What can't be copied now is still in the volume for the next time.
  await keepContribution(context, container.Id).catch(() => undefined);
  await engine.remove(container.Id, { force: true });

  const told = toldLast(lines);
  const hadJoined = told !== undefined;
  const announcedOffline = told === "OFFLINE";
  const finish = lines.findLast(({ text }) => FINISHED.test(text))?.text;
  const forced = wasRunning && exitCode === 137;
  return {
    stopped: wasRunning,
    cancelledBuild: false,
    announcedOffline,
    forced,
    exitCode,
    seconds,
    log: path,
    message: describeEnd({
      neverRan: before.state === "starting",
      wasRunning,
      announcedOffline,
      hadJoined,
      brokenOff: finish === undefined ? null : Number(FINISHED.exec(finish)?.[1] ?? 0),
      forced,
      now,
      seconds,
      exitCode,
    }),
  };
}

/** What a share told its swarm last, by its log; undefined where it hadn't joined. */
export function toldLast(lines: readonly { text: string }[]): string | undefined {
  return lines.map(({ text }) => TOLD.exec(text)?.[1]).findLast((told) => told !== undefined);
}

/** The engine answers a kill before the container has ended. */
async function killAndWait({ engine }: EngineContext, id: string): Promise<void> {
  await engine.kill(id, "SIGKILL");
  const end = performance.now() + KILL_LIMIT_MS;
  while ((await engine.inspect(id))?.State.Running && performance.now() < end) await delay(POLL_MS);
}

/** Nothing ended: what is told of it is the message. */
export const NOT_STOPPED: StopResult = {
  stopped: false,
  cancelledBuild: false,
  announcedOffline: false,
  forced: false,
  exitCode: null,
  seconds: 0,
  log: null,
  message: "",
};

function describeEnd(end: {
  neverRan: boolean;
  wasRunning: boolean;
  announcedOffline: boolean;
  hadJoined: boolean;
  /** Answers that a finish broke off; null when it was no finish. */
  brokenOff: number | null;
  forced: boolean;
  now: boolean;
  seconds: number;
  exitCode: number | null;
}): string {
  if (!end.wasRunning && end.neverRan) return "Removed a container that had never been started.";
  const peers = end.announcedOffline ? "Peers were told." : "Peers were not told: they will notice within minutes.";
  if (!end.wasRunning && end.brokenOff !== null && end.exitCode === 0) {
    if (end.brokenOff === 0) return `Finished: every answer came to its end. ${peers}`;
    const answers = end.brokenOff === 1 ? "1 answer was" : `${end.brokenOff} answers were`;
    return `Finished: the time was over, and ${answers} broken off. ${peers}`;
  }
  if (!end.wasRunning) return `It had ended already, with exit code ${end.exitCode}. Its log is kept.`;
  const duration = `in ${end.seconds.toFixed(1)} s`;
  if (end.forced && end.now) return `Killed at once. ${peers}`;
  if (end.forced) return `It didn't end within ${STOP_SECONDS} s and was killed. ${peers}`;
  if (end.announcedOffline) return `Stopped ${duration}. ${peers}`;
  if (!end.hadJoined) return `Stopped ${duration}, before it had joined the swarm.`;
  return `Stopped ${duration} with exit code ${end.exitCode}. Peers may not have been told.`;
}

/** The refusal to touch a container that isn't ours. */
export function foreignContainer(name: string, image: string): TorbizError {
  return new TorbizError(
    "foreign-container",
    `A container named ${name} exists, but Torbiz didn't make it (image ${image}). It was left alone.`,
    {
      hint: `Rename it with \`docker rename ${name} NEW_NAME\`, and try again.`,
      cliHint: "Or share under another name with TORBIZ_INSTANCE.",
    },
  );
}
