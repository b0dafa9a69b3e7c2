import { Alert, confirmAlert } from "@raycast/api";
import { useEffect, useState, useSyncExternalStore } from "react";
import { Chat, type ChatState } from "../components/ask/chat";
import { rememberAskSettings } from "../lib/ask/ask-settings";
import type { ConversationStore } from "../lib/ask/conversations/store";
import type { Surroundings } from "../lib/context";

/**
 * The conversation of a window. What it asks goes on when the window closes.
 *
 * @example
 * const { chat, state } = useChat(surroundings, store);
 */
export function useChat(surroundings: Surroundings, store: ConversationStore): { chat: Chat; state: ChatState } {
  const [chat] = useState(() => new Chat({ surroundings, store, onConsent: () => askConsent(surroundings) }));
  const state = useSyncExternalStore(chat.subscribe, chat.snapshot);
  useEffect(() => () => chat.leave(), [chat]);
  return { chat, state };
}

/** Once: a yes is remembered for all that follows. */
async function askConsent({ paths }: Surroundings): Promise<boolean> {
  const agreed = await confirmAlert({
    title: "Let Strangers’ Computers See Your Questions?",
    message:
      "In a swarm that isn't your own, questions and answers pass through computers of people you don't know. Whoever runs one can read along. To keep a question to yourself, ask this computer.",
    primaryAction: { title: "Allow", style: Alert.ActionStyle.Default },
    dismissAction: { title: "Don't Send" },
  });
  if (agreed) rememberAskSettings(paths, { allowedStrangersAt: new Date().toISOString() });
  return agreed;
}
