import { useCallback, useEffect, useState } from "react";
import type { PreflightProblem } from "../lib/docker/preflight";
import { startEngine } from "../lib/docker/start";
import { ON_ITS_WAY } from "../lib/docker/wait";
import type { ProgramStart } from "../lib/errors";
import { dockerSurroundings } from "./docker-surroundings";
import { showFailure } from "./show-failure";

interface Wait {
  /** Milliseconds, as `Date.now()` has them. */
  since: number;
  /** The program was told to start, and may still be on its way up. */
  isTold: boolean;
}

export interface UseStartDocker {
  /** While an engine is on its way: told to start, or seen to. */
  wait?: Wait;
  startDocker: (start: ProgramStart) => Promise<void>;
}

/**
 * Starts the program that runs the engine, and knows since when one is waited for. That it runs is seen by looking, not told.
 *
 * @param problem what the last look met; undefined when an engine answers
 *
 * @example
 * const { wait, startDocker } = useStartDocker(problem);
 */
export function useStartDocker(problem: PreflightProblem | undefined): UseStartDocker {
  const [wait, setWait] = useState<Wait>();
  useEffect(() => {
    setWait((wait) => {
      if (problem === "starting") return wait ?? { since: Date.now(), isTold: false };
      return wait?.isTold && problem && ON_ITS_WAY.includes(problem) ? wait : undefined;
    });
  }, [problem]);

  const startDocker = useCallback(async (start: ProgramStart) => {
    setWait({ since: Date.now(), isTold: true });
    try {
      await startEngine(start, dockerSurroundings());
    } catch (error) {
      setWait(undefined);
      await showFailure(error);
    }
  }, []);

  return { wait, startDocker };
}
