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
  /** What answers; undefined until a person has chosen. */
  choice?: EngineChoice;
  /** Sends a new question: what is in the field, unless told otherwise. */
  send: (prompt?: string) => Promise<void>;
  ask: (request: Request) => Promise<void>;
  /** Chooses what answers from now on, and makes it ready. */
  choose: (choice: EngineChoice, options?: { fetchPython?: boolean }) => Promise<void>;
  /** Brings a Python that fits, then asks again. */
  getPython: (request: Request) => Promise<void>;
  openConversation: (id: string) => void;
  startNew: () => void;
}
