import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ensureAskEnvironment } from "../lib/ask/ask-environments";
import type { EngineChoice } from "../lib/ask/engine-choice";
import { ensureLocalModel } from "../lib/ask/local-model-files";
import { findLocalModel, LOCAL_MODELS, type LocalModel } from "../lib/ask/local-models";
import { cancelPull, isDownloading } from "../lib/ask/model-download";
import { ensureSwarmModel } from "../lib/ask/swarm-model";
import type { Surroundings } from "../lib/context";
import { toTorbizError, type TorbizError } from "../lib/errors";
import type { Progress } from "../lib/progress";
import { findSwarmTarget } from "../lib/sharing/swarm-target";
import { showFailure } from "./show-failure";

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
        const kind = choice.kind === "swarm" ? "swarm" : "local";
        const target =
          choice.kind === "swarm"
            ? await findSwarmTarget(surroundings, choice.swarm, { model: choice.model, signal })
            : undefined;
        const environment = await ensureAskEnvironment(surroundings, kind, { onProgress, signal, fetchPython });
        if (target) {
          const { model } = target;
          await ensureSwarmModel({ surroundings, model, environment: async () => environment, onProgress, signal });
        }
        if (choice.kind === "this") {
          const model = findLocalModel(choice.model);
          await ensureLocalModel({ surroundings, model, environment, onProgress, signal });
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
    const model = setUp && modelOf(setUp.choice);
    if (model) await cancelPull(surroundings.paths, model).catch(showFailure);
  }, [surroundings, setUp]);

  return useMemo(() => ({ setUp, start, cancel }), [setUp, start, cancel]);
}

/** Whether the model of a choice is on its way, which an earlier window may have begun. */
export async function isOnItsWay({ paths }: Surroundings, choice: EngineChoice): Promise<boolean> {
  const model = modelOf(choice);
  return model !== undefined && (await isDownloading(paths, model));
}

function modelOf(choice: EngineChoice): LocalModel | undefined {
  return choice.kind === "this" ? LOCAL_MODELS.find(({ id }) => id === choice.model) : undefined;
}
