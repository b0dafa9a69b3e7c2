import type { EngineNote } from "../engine-choice";
import { Conversation, type AnswerNode, type ConversationNode, type MessageNode } from "./conversation";
import { LineSplitter } from "./line-splitter";
import { parseRecord, UNKNOWN_RECORD, type AnswerEnd, type ConversationRecord, type RecordedError } from "./records";
import { titleOf } from "./titles";

type RecordOf<Type extends ConversationRecord["type"]> = Extract<ConversationRecord, { type: Type }>;

/** What came of one answer besides its beginning. */
interface Pieces {
  texts: Map<number, string>;
  /** Number of the last piece. */
  last: number;
  inOrder: boolean;
  ended?: AnswerEnd;
}

/**
 * Reads a conversation from its file's bytes, whatever they hold:
 * - a damaged line costs only itself, one of an unknown type is left alone;
 * - of messages and answers with one id, and of pieces with one number, the first counts;
 * - pieces stand in the order of their numbers, wherever they lie; those of unknown answers are ignored;
 * - of the reasons for which a question reached no engine the last counts;
 * - of an answer's ends the first counts, but one that its server wrote outranks one that was written for it;
 * - a parent comes before its child. A node whose parent is lost follows the node that is before it in the file.
 */
export class ConversationReader {
  private readonly splitter = new LineSplitter();
  private readonly starts = new Map<string, RecordOf<"message" | "generation">>();
  private readonly pieces = new Map<string, Pieces>();
  private readonly unasked = new Map<string, RecordedError>();
  private createdAt?: string;
  private title?: string;
  private damagedLines = 0;

  /** @param withTexts whether answers get their text: a list does without, and is read many times faster */
  constructor(private readonly withTexts: boolean) {}

  feed(chunk: Buffer): void {
    for (const line of this.splitter.feed(chunk)) {
      if (line?.length === 0) continue;
      const record = line && this.parse(line);
      if (record === undefined) this.damagedLines += 1;
      else this.take(record);
    }
  }

  /** @param fallbackTime for what the file doesn't tell, ISO-8601 UTC */
  finish(id: string, fallbackTime: string): Conversation {
    // Without a newline it may be half written: no damage yet. A record is never the beginning of another one.
    const rest = this.splitter.take();
    const record = rest && this.parse(rest);
    if (record) this.take(record);

    const nodes = this.nodes();
    const starts = [...this.starts.values()];
    const times = starts.map(({ at }) => at);
    const createdAt = this.createdAt ?? times[0] ?? fallbackTime;
    const question = starts.find((start) => start.type === "message" && start.role === "user");
    const engine = starts.findLast((start) => start.type === "generation")?.engine;
    return new Conversation(
      {
        id,
        title: this.title ?? titleOf(question?.type === "message" ? question.content : ""),
        createdAt,
        changedAt: times.reduce((latest, time) => (time > latest ? time : latest), createdAt),
        ...(engine && { lastEngine: engine satisfies EngineNote }),
      },
      nodes,
      this.damagedLines,
    );
  }

  private parse(line: Buffer): ConversationRecord | typeof UNKNOWN_RECORD | undefined {
    // Nearly all lines are pieces. Their type comes first, as everybody writes it.
    if (!this.withTexts && line.subarray(0, 24).includes('"delta"')) return UNKNOWN_RECORD;
    return parseRecord(line);
  }

  private take(record: ConversationRecord | typeof UNKNOWN_RECORD): void {
    if (record === UNKNOWN_RECORD) return;
    switch (record.type) {
      case "conversation":
        this.createdAt ??= record.at;
        break;
      case "title":
        this.title = record.title;
        break;
      case "message":
      case "generation":
        if (!this.starts.has(record.id)) this.starts.set(record.id, record);
        break;
      case "unasked":
        this.unasked.set(record.of, record.error);
        break;
      case "delta":
        this.takePiece(record);
        break;
      case "end": {
        const pieces = this.piecesOf(record.of);
        if (!pieces.ended || pieces.ended.error?.code === "answer-cut") pieces.ended = record.ended;
        break;
      }
    }
  }

  private takePiece({ of, seq, text }: RecordOf<"delta">): void {
    const pieces = this.piecesOf(of);
    if (pieces.texts.has(seq)) return;
    pieces.texts.set(seq, text);
    if (seq < pieces.last) pieces.inOrder = false;
    else pieces.last = seq;
  }

  private piecesOf(id: string): Pieces {
    let pieces = this.pieces.get(id);
    if (!pieces) this.pieces.set(id, (pieces = { texts: new Map(), last: 0, inOrder: true }));
    return pieces;
  }

  private nodes(): Map<string, ConversationNode> {
    const nodes = new Map<string, ConversationNode>();
    let before: string | null = null;
    for (const start of this.starts.values()) {
      const parent: string | null = start.parent === null || nodes.has(start.parent) ? start.parent : before;
      const { id } = start;
      nodes.set(id, start.type === "message" ? this.message(start, parent) : this.answer(start, parent, nodes));
      if (parent !== null) nodes.get(parent)?.children.push(id);
      before = id;
    }
    return nodes;
  }

  private message({ id, role, content, at }: RecordOf<"message">, parent: string | null): MessageNode {
    const failure = this.unasked.get(id);
    return { kind: "message", id, parent, role, content, at, ...(failure && { failure }), children: [] };
  }

  private answer(
    { id, continues, engine, at }: RecordOf<"generation">,
    parent: string | null,
    nodes: ReadonlyMap<string, ConversationNode>,
  ): AnswerNode {
    const pieces = this.piecesOf(id);
    const own = joined(pieces);
    const continued = continues === null ? undefined : nodes.get(continues);
    const before = continued?.kind === "answer" ? continued : undefined;
    return {
      kind: "answer",
      id,
      parent,
      text: (before?.text ?? "") + own,
      own,
      continues: before?.id ?? null,
      engine,
      seq: pieces.last,
      ...(pieces.ended && { ended: pieces.ended }),
      at,
      children: [],
    };
  }
}

function joined({ texts, inOrder }: Pieces): string {
  if (inOrder) return [...texts.values()].join("");
  return [...texts]
    .sort(([one], [other]) => one - other)
    .map(([, text]) => text)
    .join("");
}
