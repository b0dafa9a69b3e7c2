import { Toast, showToast } from "@raycast/api";
import { usePromise } from "@raycast/utils";
import { useCallback, useEffect, useRef } from "react";
import type { EngineContext } from "../lib/context";
import { knownModels } from "../lib/hub/known-models";
import type { Model } from "../lib/models";
import type { Limits } from "../lib/sharing/limits";
import { knownSpeed, measureSpeed, type Speed } from "../lib/sharing/speed";
import { showFailure } from "./show-failure";

interface Speeds {
  /** What was measured, by the model's id. */
  speeds: ReadonlyMap<string, Speed>;
  /** Measures one model, with a toast; it ends with the window. */
  measure: (model: Model) => void;
}

/**
 * How fast this computer is with each model, as far as it was measured.
 *
 * @example
 * const { speeds, measure } = useSpeeds(context, limits);
 */
export function useSpeeds(context: EngineContext, limits: Limits | undefined): Speeds {
  const { data, revalidate } = usePromise(
    async (nanoCpus: number | undefined) => {
      if (nanoCpus === undefined || !limits) return new Map<string, Speed>();
      const found = await Promise.all(
        knownModels(context.paths).map(async (model) => [model.id, await knownSpeed(context, model, limits)] as const),
      );
      return new Map(found.flatMap(([id, speed]) => (speed ? [[id, speed] as const] : [])));
    },
    [limits?.nanoCpus],
    // Without an answer of Docker there is nothing to show; the overview tells of that.
    { onError: () => undefined },
  );
  const leaving = useRef(new AbortController());
  useEffect(() => () => leaving.current.abort(), []);

  const measure = useCallback(
    (model: Model) => {
      if (!limits) return;
      const run = async () => {
        const toast = await showToast({ style: Toast.Style.Animated, title: `Measuring with ${model.title}` });
        try {
          await measureSpeed(context, model, limits, { signal: leaving.current.signal });
          toast.style = Toast.Style.Success;
          toast.title = "Measured This Computer";
          revalidate();
        } catch (error) {
          if (!leaving.current.signal.aborted) await showFailure(error);
        }
      };
      void run();
    },
    [context, limits, revalidate],
  );
  return { speeds: data ?? new Map<string, Speed>(), measure };
}
