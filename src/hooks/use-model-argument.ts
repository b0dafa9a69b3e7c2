import { useEffect, useRef } from "react";
import type { EngineContext } from "../lib/context";
import { findModel } from "../lib/models";
import type { Overview } from "../lib/sharing/overview";
import { showFailure } from "./show-failure";
import type { ShareChoice } from "./use-share-jobs";

/**
 * Shares the model that the command was launched with as soon as that can be done, once. One that isn't known is told,
 * and the choice is left to the person.
 *
 * @example
 * useModelArgument(model, overview, share);
 */
export function useModelArgument(
  name: string | undefined,
  overview: Overview | undefined,
  share: (context: EngineContext, choice: ShareChoice) => Promise<void>,
): void {
  const wanted = useRef(name);

  useEffect(() => {
    if (!wanted.current || (overview?.screen !== "choose" && overview?.screen !== "live")) return;
    const name = wanted.current;
    wanted.current = undefined;
    try {
      void share(overview.context, { model: findModel(name) });
    } catch (error) {
      void showFailure(error);
    }
  }, [overview, share]);
}
