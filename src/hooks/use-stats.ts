import { useEffect, useState } from "react";
import { setTimeout as delay } from "node:timers/promises";
import type { EngineContext } from "../lib/context";
import type { Engine } from "../lib/docker/engine";

const ASK_MS = 3_000;

export type Stats = NonNullable<Awaited<ReturnType<Engine["stats"]>>>;

/**
 * What a container uses, asked every few seconds; undefined while nobody knows. One question at a time.
 *
 * @example
 * const stats = useStats(context, containerId);
 */
export function useStats({ engine }: Pick<EngineContext, "engine">, containerId: string): Stats | undefined {
  const [stats, setStats] = useState<Stats>();

  useEffect(() => {
    const ending = new AbortController();
    const { signal } = ending;
    const watch = async () => {
      while (!signal.aborted) {
        // An engine that fails is the overview's to tell.
        const next = await engine.stats(containerId).catch(() => undefined);
        if (signal.aborted) return;
        setStats(next);
        await delay(ASK_MS, undefined, { signal }).catch(() => undefined);
      }
    };
    void watch();
    return () => ending.abort();
  }, [engine, containerId]);

  return stats;
}
