import type { Hop } from "../engine-choice";
import type { AnswerNode, Conversation, ConversationNode } from "./conversation";

type Described = Pick<AnswerNode, "engine" | "ended"> & Partial<Pick<AnswerNode, "text">>;

/** An answer's figures, on one line for people: where it was computed and how fast. */
export function describeAnswer({ engine, ended, text }: Described): string {
  const parts = [engine.title, engine.where];
  if (ended?.route && ended.route.length > 0) parts.push(routeText(ended.route));
  if (ended && ended.usage.completionTokens > 0) {
    const tokens = ended.usage.completionTokens;
    parts.push(tokens === 1 ? "1 token" : `${tokens} tokens`, `first after ${ended.firstTokenSeconds.toFixed(2)} s`);
    if (ended.tokensPerSecond > 0) parts.push(`${ended.tokensPerSecond.toFixed(1)} tokens/s`);
  }
  if (ended?.reason === "stopped") parts.push("stopped");
  if (ended?.reason === "length") parts.push("cut off at its longest");
  if (ended?.reason === "failed" && text !== "") parts.push("broke off");
  return parts.join(" · ");
}

function routeText(route: readonly Hop[]): string {
  const peers = new Set(route.map(({ peer }) => peer)).size;
  const blocks = route.map(({ blocks: [first, last] }) => (first === last ? `${first}` : `${first}–${last}`));
  return `${peers === 1 ? "1 peer" : `${peers} peers`}, blocks ${blocks.join(", ")}`;
}

/**
 * A branch as a readable document.
 * @param leaf id of its end; the newest unless given
 */
export function toMarkdown(conversation: Conversation, leaf?: string): string {
  const sections = conversation.branch(leaf).map((node) => {
    const [heading, text, note] = describe(conversation, node);
    return [`## ${heading}`, closeFence(text), ...(note ? [`_${note}_`] : [])].join("\n\n");
  });
  return `${[`# ${conversation.title}`, ...sections].join("\n\n")}\n`;
}

function describe(conversation: Conversation, node: ConversationNode): [heading: string, text: string, note?: string] {
  if (node.kind === "answer") return ["Answer", node.text, describeAnswer(node)];
  if (node.role === "system") return ["Instructions", node.content];
  const unasked = conversation.whyUnasked(node);
  return ["Question", node.content, unasked && `Not asked. ${unasked.message}`];
}

/**
 * The current branch in the form of OpenAI's interface, each answer with where it was computed, and a question that
 * reached no engine with why: `notAsked`.
 */
export function toJson(conversation: Conversation): string {
  const { id, title, createdAt, changedAt } = conversation;
  const messages = conversation.branch().map((node) => {
    if (node.kind === "message") {
      const notAsked = conversation.whyUnasked(node);
      return { role: node.role, content: node.content, at: node.at, ...(notAsked && { notAsked }) };
    }
    const { engine, ended, at } = node;
    return { role: "assistant", content: node.text, at, engine, ...ended };
  });
  return `${JSON.stringify({ id, title, createdAt, changedAt, messages }, undefined, 2)}\n`;
}

/** An answer that was cut off inside a block of code: what follows is no code. */
export function closeFence(text: string): string {
  let open: string | undefined;
  for (const line of text.split(/\r\n|\n|\r/)) {
    // CommonMark 0.31, section 4.5.
    const [, fence = "", rest = ""] = /^ {0,3}(`{3,}|~{3,})(.*)$/.exec(line) ?? [];
    if (fence === "") continue;
    if (open === undefined) {
      if (fence.startsWith("~") || !rest.includes("`")) open = fence;
    } else if (fence.startsWith(open) && rest.trim() === "") open = undefined;
  }
  return open === undefined ? text : `${text}\n${open}`;
}
