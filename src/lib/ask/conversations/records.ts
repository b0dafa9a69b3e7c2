import type { EngineNote, Hop } from "../engine-choice";

/** Tokens of an answer; 0 where it isn't known. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
  cachedTokens: number;
}

/** A failure as it is kept: its code may be one that only another version of Torbiz knows. */
export interface RecordedError {
  code: string;
  message: string;
}

/** How an answer ended. */
export interface AnswerEnd {
  reason: "stop" | "length" | "stopped" | "failed";
  /** Of a failed one. */
  error?: RecordedError;
  usage: Usage;
  /** 0 where it isn't known. */
  firstTokenSeconds: number;
  /** 0 where it isn't known. */
  tokensPerSecond: number;
  /** null where no swarm answered. */
  route: readonly Hop[] | null;
}

/** A line of a conversation's file. Questions and titles are written by us, answers by the ask server. */
export type ConversationRecord =
  | { type: "conversation"; id: string; at: string }
  | { type: "title"; title: string; at: string }
  | { type: "message"; id: string; parent: string | null; role: "user" | "system"; content: string; at: string }
  /** Why a question reached no engine. */
  | { type: "unasked"; of: string; error: RecordedError; at: string }
  | { type: "generation"; id: string; parent: string; continues: string | null; engine: EngineNote; at: string }
  | { type: "delta"; of: string; seq: number; text: string }
  | { type: "end"; of: string; ended: AnswerEnd };

/** A line whose type a newer Torbiz knows: left alone, and no damage. */
export const UNKNOWN_RECORD = "unknown";

// Replacement characters would be words that nobody wrote: a line that is no UTF-8 is damaged as a whole.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads a line; undefined where it is damaged. Times come out as ISO-8601 UTC. */
export function parseRecord(line: Uint8Array): ConversationRecord | typeof UNKNOWN_RECORD | undefined {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(line));
  } catch {
    return undefined;
  }
  return isObject(value) && typeof value.type === "string" ? asRecord(value.type, value) : undefined;
}

type Fields = Record<string, unknown>;

function asRecord(type: string, fields: Fields): ReturnType<typeof parseRecord> {
  const { id, of, parent, continues = null } = fields;
  const at = asTime(fields.at);
  switch (type) {
    case "conversation":
      return typeof id === "string" && at ? { type, id, at } : undefined;
    case "title":
      return typeof fields.title === "string" && at ? { type, title: fields.title, at } : undefined;
    case "message": {
      const { role, content } = fields;
      if (typeof id !== "string" || (role !== "user" && role !== "system")) return undefined;
      if (typeof content !== "string" || !at || !(parent === null || typeof parent === "string")) return undefined;
      return { type, id, parent, role, content, at };
    }
    case "unasked": {
      const error = asError(fields.error);
      return typeof of === "string" && error && at ? { type, of, error, at } : undefined;
    }
    case "generation": {
      const engine = asEngine(fields.engine);
      if (typeof id !== "string" || typeof parent !== "string" || !engine || !at) return undefined;
      return continues === null || typeof continues === "string"
        ? { type, id, parent, continues, engine, at }
        : undefined;
    }
    case "delta": {
      const { seq, text } = fields;
      if (typeof of !== "string" || typeof text !== "string" || !isCount(seq) || seq === 0) return undefined;
      return { type, of, seq, text };
    }
    case "end": {
      const ended = asEnd(fields);
      return typeof of === "string" && ended ? { type, of, ended } : undefined;
    }
    default:
      return UNKNOWN_RECORD;
  }
}

function asTime(value: unknown): string | undefined {
  const time = typeof value === "string" ? Date.parse(value) : NaN;
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}

function asEngine(value: unknown): EngineNote | undefined {
  if (!isObject(value)) return undefined;
  const { kind, model, title, where } = value;
  if (kind !== "this" && kind !== "swarm" && kind !== "server") return undefined;
  if (typeof model !== "string" || typeof title !== "string" || typeof where !== "string") return undefined;
  return { kind, model, title, where };
}

/** Figures that are missing cost only themselves: the answer's text is what counts. */
function asEnd({ reason, error, usage, firstTokenSeconds, tokensPerSecond, route }: Fields): AnswerEnd | undefined {
  if (reason !== "stop" && reason !== "length" && reason !== "stopped" && reason !== "failed") return undefined;
  const { promptTokens, completionTokens, cachedTokens } = isObject(usage) ? usage : ({} as Fields);
  const failure = asError(error);
  return {
    reason,
    ...(failure && { error: failure }),
    usage: {
      promptTokens: asAmount(promptTokens),
      completionTokens: asAmount(completionTokens),
      cachedTokens: asAmount(cachedTokens),
    },
    firstTokenSeconds: asAmount(firstTokenSeconds),
    tokensPerSecond: asAmount(tokensPerSecond),
    route: Array.isArray(route) ? route.filter(isHop) : null,
  };
}

function asError(value: unknown): RecordedError | undefined {
  const { code, message } = isObject(value) ? value : ({} as Fields);
  return typeof code === "string" && typeof message === "string" ? { code, message } : undefined;
}

function asAmount(value: unknown): number {
  return typeof value === "number" && value >= 0 ? value : 0;
}

function isHop(value: unknown): value is Hop {
  if (!isObject(value) || typeof value.peer !== "string" || !Array.isArray(value.blocks)) return false;
  return value.blocks.length === 2 && value.blocks.every(isCount);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
