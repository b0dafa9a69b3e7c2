import { usePromise } from "@raycast/utils";
import type { ConversationStore } from "../lib/ask/conversations/store";
import { showFailure } from "./show-failure";

/** A question that reached no engine. */
export interface UnaskedQuestion {
  conversation: string;
  question: string;
}

/**
 * What was typed last, where its window closed before anything could be asked.
 *
 * @param isWanted looks when it becomes true
 * @param withinMs how long ago it may have been typed
 *
 * @example
 * const unasked = useUnaskedQuestion(store, turns.length === 0, 3_600_000);
 */
export function useUnaskedQuestion(
  store: ConversationStore,
  isWanted: boolean,
  withinMs: number,
): UnaskedQuestion | undefined {
  const { data } = usePromise(findUnasked, [store, withinMs], { execute: isWanted, onError: showFailure });
  return isWanted ? data : undefined;
}

async function findUnasked(store: ConversationStore, withinMs: number): Promise<UnaskedQuestion | undefined> {
  const [newest] = await store.list({ limit: 1 });
  if (!newest || Date.now() - Date.parse(newest.changedAt) > withinMs) return undefined;
  const conversation = await store.read(newest.id);
  const last = conversation.branch().at(-1);
  // One that failed or was stopped was seen to end so.
  if (last?.kind !== "message" || last.failure || !conversation.whyUnasked(last)) return undefined;
  return { conversation: newest.id, question: last.content };
}
