import { setTimeout as delay } from "node:timers/promises";
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

const KILL_LIMIT_MS = 10_000;

/** The seeder's log lines for what the swarm was told; the last one counts, as it may move to other blocks meanwhile. */
const TOLD = /Announced (ONLINE|OFFLINE): blocks|Stage: (joining)/;

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
    if (now) await killAndWait(context, container.Id);
    else await engine.stop(container.Id, STOP_SECONDS);
  }
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const exitCode = (await engine.inspect(container.Id))?.State.ExitCode ?? null;
  const kept = await keepLogs(context, container.Id).catch(async (error: unknown) => {
    if (await engine.inspect(container.Id)) throw error;
    return undefined;
  });
  if (!kept) return { ...NOT_STOPPED, message: "Another command stopped it at the same time." };
  const { path, lines } = kept;
  await engine.remove(container.Id, { force: true });

  const [, told] = lines.map(({ text }) => TOLD.exec(text)).findLast((match) => match !== null) ?? [];
  const hadJoined = lines.some(({ text }) => TOLD.test(text));
  const announcedOffline = told === "OFFLINE";
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

/** The engine answers a kill before the container has ended. */
async function killAndWait({ engine }: EngineContext, id: string): Promise<void> {
  await engine.kill(id, "SIGKILL");
  const end = performance.now() + KILL_LIMIT_MS;
  while ((await engine.inspect(id))?.State.Running && performance.now() < end) await delay(100);
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
  const peers = end.announcedOffline ? "Peers were told." : "Peers were not told: they will notice within minutes.";
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
      hint: `Rename it with \`docker rename ${name} NEW_NAME\`, or share under another name with TORBIZ_INSTANCE.`,
    },
  );
}
