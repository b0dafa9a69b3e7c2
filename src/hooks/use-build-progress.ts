import { useEffect, useState } from "react";
import type { EngineContext } from "../lib/context";
import { followBuild } from "../lib/docker/build/follow";
import type { BuildProgress } from "../lib/docker/build/progress";

const PAINT_MS = 250;

/**
 * How far the build is that runs now, whoever started it; undefined while nobody knows.
 *
 * @param onEnd looks at what came of it
 *
 * @example
 * const progress = useBuildProgress(context, refresh);
 */
export function useBuildProgress(context: EngineContext, onEnd: () => Promise<void>): BuildProgress | undefined {
  const [progress, setProgress] = useState<BuildProgress>();
  const { paths, names, runtimeFiles } = context;

  useEffect(() => {
    const ending = new AbortController();
    const { signal } = ending;
    let latest: BuildProgress | undefined;
    const timer = setInterval(() => setProgress(latest), PAINT_MS);
    const follow = async () => {
      for await (const next of followBuild({ paths, names, runtimeFiles }, signal)) latest = next;
    };
    follow()
      // How it ended is told by what it leaves; here only its progress counts.
      .catch(() => undefined)
      .finally(() => {
        clearInterval(timer);
        if (!signal.aborted) void onEnd();
      });
    return () => {
      clearInterval(timer);
      ending.abort();
    };
  }, [paths, names, runtimeFiles, onEnd]);

  return progress;
}
