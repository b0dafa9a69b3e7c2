import { useCachedState, usePromise } from "@raycast/utils";
import { toTorbizError, type TorbizError } from "../lib/errors";
import { peekStatus } from "../lib/sharing/peek";
import type { SharingStatus } from "../lib/sharing/status";
import { dockerSurroundings } from "./docker-surroundings";

interface Seen {
  status: SharingStatus;
  /** ISO-8601 UTC. */
  at: string;
}

interface UseSharingStatus {
  /** The last status that the engine told, perhaps in an earlier run of the command. */
  seen?: Seen;
  /** Why the engine tells nothing now. */
  error?: TorbizError;
  isLoading: boolean;
  refresh: () => void;
}

/**
 * What this computer shares, asked once.
 *
 * @example
 * const { seen, error, isLoading, refresh } = useSharingStatus();
 */
export function useSharingStatus(): UseSharingStatus {
  const [seen, setSeen] = useCachedState<Seen | undefined>("sharing-status", undefined);
  const { error, isLoading, revalidate } = usePromise(
    async () => {
      const status = await peekStatus(dockerSurroundings());
      setSeen({ status, at: new Date().toISOString() });
    },
    [],
    // The views say it themselves; a toast every ten seconds helps nobody.
    { onError: () => undefined },
  );
  return { seen, error: error && toTorbizError(error), isLoading, refresh: revalidate };
}
