import { usePromise } from "@raycast/utils";
import { checkDocker } from "../lib/docker/preflight";
import { toTorbizError, type TorbizError } from "../lib/errors";
import { dockerSurroundings } from "./docker-surroundings";

interface UseDocker {
  /** Why Docker can't be used; undefined while it isn't known yet, and when all is well. */
  error?: TorbizError;
  isLoading: boolean;
  retry: () => void;
}

/**
 * Whether Docker can be used.
 *
 * @example
 * const { error, isLoading, retry } = useDocker();
 */
export function useDocker(): UseDocker {
  const { data, error, isLoading, revalidate } = usePromise(() => checkDocker(dockerSurroundings()), [], {
    // The view shows it in place of its items.
    onError: () => undefined,
  });
  const failure = data && data.state !== "ready" ? data.error : error && toTorbizError(error);
  return { error: failure, isLoading, retry: revalidate };
}
