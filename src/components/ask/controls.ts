import type { Gone } from "../../hooks/use-engine-choice";
import type { UseSetUp } from "../../hooks/use-set-up";
import type { ConversationStore } from "../../lib/ask/conversations/store";
import type { EngineChoice } from "../../lib/ask/engine-choice";
import type { Surroundings } from "../../lib/context";
import type { Chat, ChatState, Request } from "./chat";

/** All that rows and actions of Ask Model can do. */
export interface Controls {
  surroundings: Surroundings;
  store: ConversationStore;
  chat: Chat;
  state: ChatState;
  setUp: UseSetUp;
  /** What is in the field. */
  draft: string;
  setDraft: (text: string) => void;
  /** What answers; undefined until a person has chosen, and where what answered in this conversation is gone. */
  choice?: EngineChoice;
  /** What answered in this conversation, and why it can't any more. */
  gone?: Gone;
  /** Sends a new question: what is in the field, unless told otherwise. */
  send: (prompt?: string) => Promise<void>;
  ask: (request: Request) => Promise<void>;
  /** Chooses what answers from now on, in this conversation and in new ones, and makes it ready. */
  choose: (choice: EngineChoice, options?: { fetchPython?: boolean }) => Promise<void>;
  /** Brings a Python that fits, then asks again. */
  getPython: (request: Request) => Promise<void>;
  /** Resolves when it is shown. What answered in it answers on. */
  openConversation: (id: string) => Promise<void>;
  startNew: () => void;
}
