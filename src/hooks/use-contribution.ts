import { useEffect, useState } from "react";
import { setTimeout as delay } from "node:timers/promises";
import type { EngineContext } from "../lib/context";
import { keepContribution, readContribution, type Contribution } from "../lib/sharing/contribution";

/** The seeder writes its file once a minute. */
const COPY_MS = 60_000;
/** Who ends a share copies it a last time, a moment after that is seen. */
const READ_MS = 2_000;

/**
 * What this computer gave, by day, copied anew every minute from the container that serves, if any.
 *
 * @example
 * const days = useContribution(context, containerId);
 */
export function useContribution(context: EngineContext, containerId?: string): Contribution {
  const [days, setDays] = useState<Contribution>(() => readContribution(context));

  useEffect(() => {
    const ending = new AbortController();
    const { signal } = ending;
    const watch = async () => {
      while (!signal.aborted) {
        // An engine that fails is the overview's to tell; what was copied before is still true.
        if (containerId !== undefined) await keepContribution(context, containerId).catch(() => undefined);
        if (signal.aborted) return;
        setDays(readContribution(context));
        const pause = containerId === undefined ? READ_MS : COPY_MS;
        await delay(pause, undefined, { signal }).catch(() => undefined);
      }
    };
    void watch();
    return () => ending.abort();
  }, [context, containerId]);

  return days;
}
