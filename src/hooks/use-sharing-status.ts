import { useCachedState } from "@raycast/utils";
import { useEffect, useState } from "react";
import { plainText } from "../components/plain-text";
import { toTorbizError, type TorbizError } from "../lib/errors";
import { redactFailure } from "../lib/failure-details";
import { peekStatus } from "../lib/sharing/peek";
import type { SharingStatus } from "../lib/sharing/status";
import { VERSION } from "../lib/version";
import { dockerSurroundings } from "./docker-surroundings";
import { redactHere } from "./redact-here";

/** What the engine told, and when. */
export interface Seen {
  status: SharingStatus;
  /** ISO-8601 UTC. */
  at: string;
}

/** What was found by looking once. Plain data: it is kept from one run of the command to the next. */
export interface Look {
  /** The last status that the engine told; undefined before the first. */
  seen?: Seen;
  /** Why the engine tells nothing now. */
  failure?: Pick<TorbizError, "title" | "message" | "hint">;
}

/**
 * What this computer shares, asked once. Until the answer is there it is what the last look found, failure and all, so that
 * nothing flickers. `isLoading` ends in every case: a menu-bar command stays in memory until it does.
 *
 * @example
 * const { seen, failure, isLoading } = useSharingStatus();
 */
export function useSharingStatus(): Look & { isLoading: boolean } {
  // Another version may know other fields.
  const [look, setLook] = useCachedState<Look>(`sharing-status-${VERSION}`, {});
  const [isLoading, setLoading] = useState(true);
  const [failure, setFailure] = useState<Look["failure"]>();
  // Not by usePromise, which is as large as all else that the menu takes of its package, and would show toasts.
  useEffect(() => {
    void lookOnce(look.seen)
      .then(setLook)
      .catch((error: unknown) => setFailure(toFailure(error)))
      .finally(() => setLoading(false));
  }, []);
  return { ...look, ...(failure && { failure }), isLoading };
}

async function lookOnce(seen: Seen | undefined): Promise<Look> {
  try {
    return { seen: { status: await peekStatus(dockerSurroundings()), at: new Date().toISOString() } };
  } catch (error) {
    return { seen, failure: toFailure(error) };
  }
}

/** As a menu can show it. */
function toFailure(error: unknown): Look["failure"] {
  const { title, message, hint } = redactFailure(toTorbizError(error), redactHere());
  return { title, message: plainText(message), hint: plainText(hint) };
}
