import type { Conversation } from "./conversation";
import { oneLine } from "./titles";

/** Where a text was found in a conversation. */
export interface ConversationMatch {
  in: "title" | "question" | "answer";
  /** Id of the message or answer; absent for the title. */
  node?: string;
  /** One line around what was found. */
  excerpt: string;
}

const BEFORE = 40;
const AFTER = 80;
const MOST = 3;

/** The first places where a conversation has a text; case, accents and line breaks don't matter. */
export function findInConversation(conversation: Conversation, text: string): ConversationMatch[] {
  const wanted = fold(oneLine(text));
  const matches: ConversationMatch[] = [];
  const look = (where: Omit<ConversationMatch, "excerpt">, content: string) => {
    const excerpt = matches.length < MOST ? excerptAround(oneLine(content), wanted) : undefined;
    if (excerpt !== undefined) matches.push({ ...where, excerpt });
  };
  look({ in: "title" }, conversation.title);
  for (const node of conversation.nodes.values()) {
    if (node.kind === "answer") look({ in: "answer", node: node.id }, node.text);
    else if (node.role === "user") look({ in: "question", node: node.id }, node.content);
  }
  return matches;
}

function excerptAround(line: string, wanted: string): string | undefined {
  const found = fold(line).indexOf(wanted);
  if (found === -1) return undefined;
  const start = unfoldedIndex(line, found);
  const end = start + unfoldedIndex(line.slice(start), wanted.length);
  const from = start <= BEFORE ? 0 : startOfCharacter(line, start - BEFORE);
  const to = end + AFTER >= line.length ? line.length : startOfCharacter(line, end + AFTER);
  return `${from > 0 ? "…" : ""}${line.slice(from, to)}${to < line.length ? "…" : ""}`;
}

/** Without case and Latin, Greek and Cyrillic accents. Character by character it is the same as in one go. */
function fold(text: string): string {
  return text
    .normalize("NFD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
    .replace(/ς/g, "σ");
}

/** The place in `text` that is at `index` when it is folded. */
function unfoldedIndex(text: string, index: number): number {
  let place = 0;
  let folded = 0;
  for (const character of text) {
    if (folded >= index) break;
    folded += fold(character).length;
    place += character.length;
  }
  return place;
}

/** The same place, or the one before where that is the second half of a surrogate pair. */
function startOfCharacter(text: string, index: number): number {
  return /^[\udc00-\udfff]/.test(text.charAt(index)) ? index - 1 : index;
}
