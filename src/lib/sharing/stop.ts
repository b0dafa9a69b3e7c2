import type { EngineContext } from "../context";
import { TorbizError } from "../errors";
import type { OnProgress } from "../progress";
import { STOP_SECONDS } from "./container";
import { keepLogs } from "./kept-logs";
import { readStatus } from "./status";

/** How a share ended. */
export interface StopResult {
  /** False when nothing was shared: then the other fields say nothing. */
  stopped: boolean;
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

/** The seeder's log line for an announcement that the swarm took. */
const ANNOUNCED_OFFLINE = /Announced OFFLINE: blocks/;
const JOINED = /Stage: joining/;

/**
 * Stops sharing: SIGINT with time to tell peers, then the log is kept and the container removed; the cache volume stays.
 * Safe to call in any state and twice at once.
 *
 * @throws TorbizError foreign-container, or the engine's failures
 */
export async function stopSharing(
  context: EngineContext,
  { now = false, onProgress }: StopOptions = {},
): Promise<StopResult> {
  const { engine, names } = context;
  const container = await engine.inspect(names.container);
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
    await engine.stop(container.Id, now ? 0 : STOP_SECONDS);
  }
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const exitCode = (await engine.inspect(container.Id))?.State.ExitCode ?? null;
  const { path, lines } = await keepLogs(context, container.Id);
  await engine.remove(container.Id, { force: true });

  const announcedOffline = lines.some(({ text }) => ANNOUNCED_OFFLINE.test(text));
  const hadJoined = lines.some(({ text }) => JOINED.test(text));
  const forced = wasRunning && exitCode === 137;
  return {
    stopped: wasRunning,
    announcedOffline,
    forced,
    exitCode,
    seconds,
    log: path,
    message: describeEnd({ wasRunning, announcedOffline, hadJoined, forced, now, seconds, exitCode }),
  };
}

const NOT_STOPPED: StopResult = {
  stopped: false,
  announcedOffline: false,
  forced: false,
  exitCode: null,
  seconds: 0,
  log: null,
  message: "",
};

function describeEnd(end: {
  wasRunning: boolean;
  announcedOffline: boolean;
  hadJoined: boolean;
  forced: boolean;
  now: boolean;
  seconds: number;
  exitCode: number | null;
}): string {
  if (!end.wasRunning) return `It had ended already, with exit code ${end.exitCode}. Its log is kept.`;
  const duration = `in ${end.seconds.toFixed(1)} s`;
  if (end.announcedOffline) return `Stopped ${duration}. Peers were told.`;
  if (end.forced && end.now) return `Stopped at once. Peers were not told: they will notice within minutes.`;
  if (end.forced) return `It didn't end within ${STOP_SECONDS} s and was killed. Peers were not told.`;
  if (!end.hadJoined) return `Stopped ${duration}, before it had joined the swarm.`;
  return `Stopped ${duration} with exit code ${end.exitCode}. Peers may not have been told.`;
}

/** The refusal to touch a container that isn't ours. */
export function foreignContainer(name: string, image: string): TorbizError {
  return new TorbizError(
    "foreign-container",
    `A container named ${name} exists, but Torbiz didn't make it (image ${image}). It was left alone.`,
    {
      hint: `Rename it with \`docker rename ${name} NEW_NAME\`, or share under another name with TORBIZ_INSTANCE.`,
    },
  );
}
