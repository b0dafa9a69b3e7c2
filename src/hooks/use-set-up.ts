import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ensureAskEnvironment } from "../lib/ask/ask-environments";
import { cancelChoiceDownload } from "../lib/ask/choice-download";
import type { EngineChoice } from "../lib/ask/engine-choice";
import { ensureLocalModel } from "../lib/ask/local-model-files";
import { findLocalModel } from "../lib/ask/local-models";
import { ensureSwarmModel } from "../lib/ask/swarm-model";
import type { Surroundings } from "../lib/context";
import { toTorbizError, type TorbizError } from "../lib/errors";
import type { Progress } from "../lib/progress";
import { findSwarmTarget } from "../lib/sharing/swarm-target";
import { showFailure } from "./show-failure";
import { askingWith } from "./use-engine-choice";

/** What is made ready for an engine's first answer. */
export interface SetUp {
  choice: EngineChoice;
  title: string;
  progress?: Progress;
  error?: TorbizError;
}

export interface UseSetUp {
  /** Undefined when there is nothing to tell. */
  setUp?: SetUp;
  /**
   * Makes ready what an engine needs: its Python environment and its model. False where it fails, which `setUp` tells.
   * @param fetchPython brings a Python where none fits
   */
  start: (choice: EngineChoice, title: string, options?: { fetchPython?: boolean }) => Promise<boolean>;
  /** Ends it, its download too; what has come of that is kept for the next time. */
  cancel: () => Promise<void>;
}

/** One at a time: a later one takes the place of one that runs. A download goes on when the window closes. */
export function useSetUp(surroundings: Surroundings): UseSetUp {
  const [setUp, setSetUp] = useState<SetUp>();
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const start = useCallback(
    async (choice: EngineChoice, title: string, { fetchPython = false } = {}) => {
      running.current?.abort();
      const mine = new AbortController();
      running.current = mine;
      const { signal } = mine;
      const show = (state: SetUp | undefined) => {
        if (!signal.aborted) setSetUp(state);
      };
      show({ choice, title });
      const onProgress = (progress: Progress) => show({ choice, title, progress });
      try {
        const { token } = askingWith(choice);
        const kind = choice.kind === "swarm" ? "swarm" : "local";
        const target =
          choice.kind === "swarm"
            ? await findSwarmTarget(surroundings, choice.swarm, { model: choice.model, token, signal })
            : undefined;
        const environment = await ensureAskEnvironment(surroundings, kind, { onProgress, signal, fetchPython });
        const making = { surroundings, token, onProgress, signal };
        if (target) {
          await ensureSwarmModel({ ...making, model: target.model, environment: async () => environment });
        }
        if (choice.kind === "this") {
          await ensureLocalModel({ ...making, model: findLocalModel(choice.model), environment });
        }
        show(undefined);
        return !signal.aborted;
      } catch (error) {
        show({ choice, title, error: toTorbizError(error) });
        return false;
      }
    },
    [surroundings],
  );

  const cancel = useCallback(async () => {
    running.current?.abort();
    setSetUp(undefined);
    if (setUp) await cancelChoiceDownload(surroundings, setUp.choice).catch(showFailure);
  }, [surroundings, setUp]);

  return useMemo(() => ({ setUp, start, cancel }), [setUp, start, cancel]);
}
