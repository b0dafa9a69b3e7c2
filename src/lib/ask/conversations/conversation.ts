import { TorbizError } from "../../errors";
import type { ChatMessage } from "../client";
import type { EngineNote } from "../engine-choice";
import type { AnswerEnd, RecordedError } from "./records";

/** What a list of conversations shows of one. */
export interface ConversationSummary {
  id: string;
  /** As it was named, else the first words of its first question. */
  title: string;
  /** ISO-8601 UTC. */
  createdAt: string;
  /** When something was asked last, ISO-8601 UTC: new names and ends of answers don't count. */
  changedAt: string;
  /** Questions in the current branch. */
  turns: number;
  lastEngine?: EngineNote;
}

/** A question, or what the model was told before it. */
export interface MessageNode {
  kind: "message";
  id: string;
  parent: string | null;
  role: "user" | "system";
  content: string;
  at: string;
  /** Why it last reached no engine, where that is known. */
  failure?: RecordedError;
  children: string[];
}

export interface AnswerNode {
  kind: "answer";
  id: string;
  parent: string | null;
  /** Whole: with the answer that it continues. */
  text: string;
  /** Without what it continues. */
  own: string;
  continues: string | null;
  engine: EngineNote;
  /** Number of the last piece; 0 before the first. */
  seq: number;
  /** Absent while it is being written, or when its server died. */
  ended?: AnswerEnd;
  at: string;
  children: string[];
}

export type ConversationNode = MessageNode | AnswerNode;

/** A conversation as its file tells it: a tree, as questions can be asked anew and answers given anew. */
export class Conversation implements ConversationSummary {
  readonly id: string;
  readonly title: string;
  readonly createdAt: string;
  readonly changedAt: string;
  readonly lastEngine?: EngineNote;

  /**
   * @param nodes by id, in the file's order: parents come before their children
   * @param damagedLines lines that couldn't be read
   */
  constructor(
    facts: Omit<ConversationSummary, "turns">,
    readonly nodes: ReadonlyMap<string, ConversationNode>,
    readonly damagedLines: number,
  ) {
    this.id = facts.id;
    this.title = facts.title;
    this.createdAt = facts.createdAt;
    this.changedAt = facts.changedAt;
    this.lastEngine = facts.lastEngine;
  }

  get turns(): number {
    return this.branch().filter((node) => node.kind === "message" && node.role === "user").length;
  }

  /**
   * From the first message to `leaf`, or to the newest node.
   * @throws TorbizError generation-unknown
   */
  branch(leaf = [...this.nodes.keys()].at(-1)): ConversationNode[] {
    const branch: ConversationNode[] = [];
    for (let id: string | null = leaf ?? null; id !== null;) {
      const node = this.nodes.get(id);
      if (!node) throw new TorbizError("generation-unknown", "This conversation has no such answer.");
      branch.push(node);
      id = node.parent;
    }
    return branch.reverse();
  }

  /**
   * Why a question that nothing has answered reached no engine; undefined for all else. Whoever asks notes why that
   * failed, so a question without a note is one whose window closed first.
   */
  whyUnasked({ role, children, failure }: MessageNode): RecordedError | undefined {
    if (role !== "user" || children.some((id) => this.nodes.get(id)?.kind === "answer")) return undefined;
    return failure ?? { code: "not-asked", message: "The window closed before the question could be asked." };
  }

  /**
   * The branch that ends in a node, as a model takes it. Chat templates insist on turns, so questions that got no answer
   * are one with the next.
   *
   * @param next what was added after that node since this was read
   * @throws TorbizError generation-unknown
   */
  messages(upTo: string | null, next: readonly ChatMessage[] = []): ChatMessage[] {
    const said = (upTo === null ? [] : this.branch(upTo)).map((node): ChatMessage => {
      return node.kind === "message" ? node : { role: "assistant", content: node.text };
    });
    const messages: ChatMessage[] = [];
    for (const { role, content } of [...said, ...next]) {
      const last = messages.at(-1);
      if (content === "") continue;
      if (last?.role === role) last.content += `\n\n${content}`;
      else messages.push({ role, content });
    }
    return messages;
  }
}
