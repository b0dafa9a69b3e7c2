import { setTimeout as delay } from "node:timers/promises";
import type { EngineContext } from "../context";
import { DeliveredLines } from "../docker/delivered-lines";
import type { LogLine } from "../docker/demux";
import type { LogOptions } from "../docker/engine";
import { toTorbizError, type ErrorCode, type TorbizError } from "../errors";

const REOPEN_MS = 1_000;
/** What an engine that is restarted, or a computer that slept, looks like from here. */
const AWAY: readonly ErrorCode[] = ["docker-not-answering", "docker-not-running", "docker-starting"];

/**
 * Follows a container's log to its end, through the engine's going away and coming back: no line is missing, none comes
 * twice.
 *
 * @param onCut hears once each time that it broke off
 * @throws TorbizError the engine's own, where it isn't only away
 */
export async function* followThrough(
  { engine }: Pick<EngineContext, "engine">,
  containerId: string,
  { signal, ...options }: Omit<LogOptions, "follow">,
  onCut?: (error: TorbizError) => void,
): AsyncGenerator<LogLine> {
  const delivered = new DeliveredLines();
  let isCut = false;
  for (;;) {
    const { since } = delivered;
    try {
      // Gone meanwhile: its log was kept by whoever removed it.
      if (isCut && !(await engine.inspect(containerId))) return;
      delivered.readAgain();
      const from = since === undefined ? options : { since };
      for await (const line of engine.logs(containerId, { ...from, follow: true, signal })) {
        isCut = false;
        if (since !== undefined && !delivered.isNew(line)) continue;
        // What is unfinished comes whole after a cut.
        if (!line.unfinished) delivered.note(line);
        yield line;
      }
      return;
    } catch (error) {
      const failure = toTorbizError(error);
      if (signal?.aborted) return;
      if (!AWAY.includes(failure.code)) throw failure;
      if (!isCut) onCut?.(failure);
      isCut = true;
    }
    await delay(REOPEN_MS, undefined, { signal }).catch(() => undefined);
  }
}
