import { setTimeout as delay } from "node:timers/promises";
import type { EngineContext } from "../context";
import { CONTRACT } from "../docker/build/state";
import { LABELS } from "../names";
import { finishText } from "./finish-text";
import type { ContainerInspectInfo } from "dockerode";
import { readStatus } from "./status";
import { NOT_STOPPED, stopContainer, stopSharing, type StopOptions, type StopResult } from "./stop";
import { requestFinish } from "./stop-request";

export interface FinishOptions extends Pick<StopOptions, "onProgress"> {
  /** How long answers on their way may take; the seeder's own 5 minutes where nothing is said. */
  withinSeconds?: number;
  /** Follow until it has ended (the default), or return as soon as it has begun. */
  follow?: boolean;
  /** Ends the following, not the finish. */
  signal?: AbortSignal;
}

/** How a share ended, or that it is about to. */
export interface FinishResult extends StopResult {
  /** It goes on by itself: nobody needs to stay. */
  finishing: boolean;
}

const POLL_MS = 500;
/** Of the container: its cache, the one folder of it that can be written. */
const LIMIT_FOLDER = "/cache";
/** The seeder's `LIMIT_FILE`. */
const LIMIT_FILE = "finish-seconds";

/**
 * Finishes a share: no new session begins, peers are told at once, and when the last answer on its way has come to its
 * end, or the limit is over, the container ends. All of that is the seeder's own doing, after one signal; who comes later
 * sees it in the status. What isn't online yet, or ended already, is stopped as by `stopSharing`.
 *
 * @throws TorbizError as `stopSharing`
 */
export async function finishSharing(context: EngineContext, options: FinishOptions = {}): Promise<FinishResult> {
  requestFinish(context);
  const container = await context.engine.inspect(context.names.container);
  if (!container || !canFinish(container)) {
    return { ...(await stopSharing(context, { onProgress: options.onProgress })), finishing: false };
  }
  return finishContainer(context, container, options);
}

/** Whether it serves, and its seeder knows the signal: an older one would be killed by it. */
export function canFinish(container: ContainerInspectInfo): boolean {
  const { stage } = readStatus(container);
  const isServing = stage === "online" || stage === "finishing";
  const knowsFinish = container.Config.Labels?.[LABELS.contract] === String(CONTRACT);
  return container.State.Running && isServing && knowsFinish;
}

/** Finishes a container that can; one that finishes already is only followed. */
export async function finishContainer(
  context: EngineContext,
  container: ContainerInspectInfo,
  { withinSeconds, follow = true, onProgress, signal }: FinishOptions = {},
): Promise<FinishResult> {
  const { engine } = context;
  if (container.State.Paused) await engine.unpause(container.Id);
  if (withinSeconds !== undefined && readStatus(container).stage === "online") {
    await engine.writeFile(container.Id, LIMIT_FOLDER, LIMIT_FILE, String(withinSeconds));
  }
  await engine.kill(container.Id, "SIGUSR1");
  onProgress?.({ stage: "finishing", message: "Finishing: nothing new begins", progress: null });

  while (follow && !signal?.aborted) {
    await delay(POLL_MS);
    const now = await engine.inspect(container.Id);
    if (!now?.State.Running) {
      const result = await stopContainer(context, container.Id);
      return now
        ? { ...result, stopped: true, finishing: false }
        : { ...result, message: "Another command stopped it meanwhile.", finishing: false };
    }
    const status = readStatus(now);
    if (status.state === "finishing") {
      onProgress?.({ stage: "finishing", message: `Finishing: ${finishText(status)}`, progress: null });
    }
  }
  return {
    ...NOT_STOPPED,
    message: "It finishes by itself: no new session begins, and it ends after the last answer.",
    finishing: true,
  };
}
