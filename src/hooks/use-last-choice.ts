import { useMemo } from "react";
import { resolveNames } from "../lib/names";
import { resolvePaths } from "../lib/paths";
import { lastChoice, type Choice } from "../lib/sharing/last-choice";

/** What was shared last, as a menu wants it: undefined where that can't be told, for whatever reason. */
export function useLastChoice(): Choice | undefined {
  return useMemo(() => {
    try {
      return lastChoice({ names: resolveNames(), paths: resolvePaths() });
    } catch {
      return undefined;
    }
  }, []);
}
