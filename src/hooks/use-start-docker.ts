import { useCallback, useEffect, useState } from "react";
import { startEngine } from "../lib/docker/start";
import type { ProgramStart } from "../lib/errors";
import { dockerSurroundings } from "./docker-surroundings";
import { showFailure } from "./show-failure";

/** By then an engine runs, or something hinders it. */
const PATIENCE_MS = 2 * 60_000;

export interface UseStartDocker {
  /** The program was told to start, and may still be on its way up. */
  isStarting: boolean;
  startDocker: (start: ProgramStart) => Promise<void>;
}

/**
 * Starts the program that runs the engine. That it runs is seen by looking, not told.
 *
 * @param isReady an engine answers: a start is over
 *
 * @example
 * const { isStarting, startDocker } = useStartDocker(isReady);
 */
export function useStartDocker(isReady: boolean): UseStartDocker {
  const [startedAt, setStartedAt] = useState(0);
  useEffect(() => {
    if (isReady) setStartedAt(0);
  }, [isReady]);

  const startDocker = useCallback(async (start: ProgramStart) => {
    setStartedAt(Date.now());
    try {
      await startEngine(start, dockerSurroundings());
    } catch (error) {
      setStartedAt(0);
      await showFailure(error);
    }
  }, []);

  return { isStarting: Date.now() - startedAt < PATIENCE_MS, startDocker };
}
