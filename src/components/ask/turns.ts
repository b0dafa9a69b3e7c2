import type { AnswerNode, Conversation, MessageNode } from "../../lib/ask/conversations/conversation";

/** A question and what was answered, as one row. */
export interface Turn {
  /** Its place in the conversation: it stays the same however often the question is changed or asked anew. */
  id: string;
  question: string;
  /** ISO-8601 UTC. */
  at: string;
  /** Undefined until it is in the conversation. */
  message?: MessageNode;
  /** Undefined where nothing was answered. */
  answer?: AnswerNode;
}

/** The id of the row at a place. */
export function turnId(index: number): string {
  return `turn-${index}`;
}

/** The current branch of a conversation, oldest turn first. */
export function turnsOf(conversation: Conversation): Turn[] {
  const turns: Turn[] = [];
  for (const node of conversation.branch()) {
    const last = turns.at(-1);
    if (node.kind === "answer") {
      // A later one goes on from the one before: its text is the whole.
      if (last) last.answer = node;
    } else if (node.role === "user") {
      turns.push({ id: turnId(turns.length), question: node.content, at: node.at, message: node });
    }
  }
  return turns;
}
