import type { AnswerNode, Conversation, MessageNode } from "../../lib/ask/conversations/conversation";
import type { RecordedError } from "../../lib/ask/conversations/records";

/** A question and what was answered to it. */
export interface Version {
  message: MessageNode;
  /** Undefined where nothing was answered. */
  answer?: AnswerNode;
}

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
  /** Why the question reached no engine, where nothing was answered to it in any version. */
  unasked?: RecordedError;
  /** What was asked and answered at this place, oldest first; empty until this question is in the conversation. */
  versions: readonly Version[];
}

/** The id of the row at a place. */
export function turnId(index: number): string {
  return `turn-${index}`;
}

/**
 * A branch of a conversation, oldest turn first.
 * @param leaf id of its end; the newest unless given
 */
export function turnsOf(conversation: Conversation, leaf?: string): Turn[] {
  const shown: Version[] = [];
  for (const node of conversation.branch(leaf)) {
    const last = shown.at(-1);
    if (node.kind === "answer") {
      if (last) last.answer = node;
    } else if (node.role === "user") shown.push({ message: node });
  }
  return shown.map((version, index) => {
    const { message, answer } = version;
    const { content: question, at } = message;
    const versions = versionsOf(conversation, version);
    return { id: turnId(index), question, at, message, answer, unasked: conversation.whyUnasked(message), versions };
  });
}

/** Which of its versions a turn shows: its index. */
export function shownVersion({ message, answer, versions }: Turn): number {
  return versions.findIndex((version) => version.message.id === message?.id && version.answer?.id === answer?.id);
}

/** Where a conversation went on last from a version: id of the newest node that comes after it, or its own. */
export function leafOf({ nodes }: Conversation, { message, answer }: Version): string {
  let leaf = (answer ?? message).id;
  const after = new Set([leaf]);
  for (const { kind, id, parent } of nodes.values()) {
    // The answers to a question belong to its other versions.
    const isOther = kind === "answer" && parent === message.id;
    if (parent === null || !after.has(parent) || isOther) continue;
    after.add(id);
    leaf = id;
  }
  return leaf;
}

/** The versions of what is shown at a place: the same question asked anew, and other questions in its stead. */
function versionsOf(conversation: Conversation, shown: Version): Version[] {
  const place = placeOf(conversation, shown.message);
  return [...conversation.nodes.values()].flatMap((message) =>
    message.kind === "message" && message.role === "user" && placeOf(conversation, message) === place
      ? answersOf(conversation, message, shown)
      : [],
  );
}

/** Without what nobody misses: an answer of no words, and one that its continuation has whole. */
function answersOf({ nodes }: Conversation, message: MessageNode, shown: Version): Version[] {
  const children = message.children.flatMap((id) => nodes.get(id) ?? []);
  const answers = children.filter((node) => node.kind === "answer");
  const continued = new Set(answers.map(({ continues }) => continues));
  const versions: Version[] = answers
    .filter(({ id, text, children: next }) => {
      return next.length > 0 || id === shown.answer?.id || (text !== "" && !continued.has(id));
    })
    .map((answer) => ({ message, answer }));
  const isBare = versions.length === 0 || children.some(({ kind }) => kind === "message");
  return isBare ? [{ message }, ...versions] : versions;
}

/** What a question follows: instructions before the first one make no other place. */
function placeOf({ nodes }: Conversation, { parent }: MessageNode): string | null {
  const before = parent === null ? undefined : nodes.get(parent);
  return before?.kind === "message" && before.role === "system" ? before.parent : parent;
}
