import { useEffect, useRef, useState } from "react";
import type { EngineContext } from "../lib/context";
import { knownModels } from "../lib/hub/known-models";
import { findModel, type Model } from "../lib/models";
import { lastChoice } from "../lib/sharing/last-choice";
import type { Overview } from "../lib/sharing/overview";
import { choiceOf } from "./share-choice";
import { showFailure } from "./show-failure";
import type { ShareChoice } from "./use-share-jobs";

/**
 * Shares the model that the command was launched with as soon as that can be done, once. One that isn't known is told,
 * and the choice is left to the person.
 *
 * @returns the model while it waits for an image
 *
 * @example
 * const wish = useModelArgument(model, overview, share);
 */
export function useModelArgument(
  name: string | undefined,
  overview: Overview | undefined,
  share: (context: EngineContext, choice: ShareChoice) => Promise<void>,
): Model | undefined {
  const wanted = useRef(name);
  const [wish, setWish] = useState<Model>();

  useEffect(() => {
    if (!wanted.current || !overview || overview.screen === "gate" || overview.screen === "foreign") return;
    try {
      const model = findModel(wanted.current, knownModels(overview.context.paths));
      if (overview.screen === "first-time" || overview.screen === "building") return setWish(model);
      wanted.current = undefined;
      setWish(undefined);
      void share(overview.context, asLastTime(overview.context, model));
    } catch (error) {
      wanted.current = undefined;
      void showFailure(error);
    }
  }, [overview, share]);

  return wish;
}

/** The last choice where it was this model: in its swarm, with as many blocks. */
function asLastTime(context: EngineContext, model: Model): ShareChoice {
  const last = lastChoice(context);
  const again = last && choiceOf(last, knownModels(context.paths));
  return again?.model.id === model.id ? again : { model };
}
