import { performance } from "node:perf_hooks";
import { createParser } from "eventsource-parser";
import { errorCodes, TorbizError, type ErrorCode } from "../errors";
import { isRecord, parseJson } from "../json";
import type { OnProgress, Progress } from "../progress";
import type { Hop } from "./engine-choice";

/** How a generation ended, in its server's words. */
export interface GenerationEnd {
  /** `length`: cut off at the most tokens that were asked for or have room; `stopped`: by an explicit stop. */
  reason: "stop" | "length" | "stopped";
  usage: { promptTokens: number; completionTokens: number; cachedTokens: number };
  firstTokenSeconds: number;
  tokensPerSecond: number;
  route: readonly Hop[] | null;
}

/** The stream is not as it must be: what has come so far is right, and the rest can be had by asking for it anew. */
export class BrokenStream extends Error {}

/** No single event is nearly as large; a program that is no ask server may send for ever. */
const EVENT_LIMIT = 1 << 20;

/**
 * Puts an answer together from the server-sent events of one generation, over as many connections as it takes: `seq`
 * tells where the next one goes on.
 */
export class AnswerReader {
  end?: GenerationEnd;
  /** When the first and the latest text came, by `performance.now()`. */
  firstAt?: number;
  lastAt = 0;
  /** The word for what the server does before it answers. */
  stage?: string;
  private done = false;
  private parser = this.newParser();
  private decoder = new TextDecoder();

  /**
   * @param seq the number of the last piece that is known already
   */
  constructor(
    public seq: number,
    private readonly onDelta?: (text: string) => void,
    private readonly onProgress?: OnProgress,
  ) {}

  /** Whether the whole answer has come. */
  get finished(): boolean {
    return this.done && this.end !== undefined;
  }

  /** A new connection: half an event of the old one is no part of it. */
  reconnected(): void {
    this.parser = this.newParser();
    this.decoder = new TextDecoder();
  }

  /**
   * @throws BrokenStream; TorbizError with the failure that the server tells
   */
  feed(chunk: Uint8Array): void {
    this.parser.feed(this.decoder.decode(chunk, { stream: true }));
  }

  private newParser() {
    return createParser({
      onEvent: ({ id, data }) => this.take(id, data),
      onError: ({ type }) => {
        if (type === "max-buffer-size-exceeded") throw new BrokenStream("an event that doesn't end");
      },
      maxBufferSize: EVENT_LIMIT,
    });
  }

  private take(id: string | undefined, data: string): void {
    if (this.done) return;
    if (data === "[DONE]") {
      if (!this.end) throw new BrokenStream("an end without its reason");
      this.done = true;
      return;
    }
    const chunk = parseJson(data);
    const failure = serverError(chunk);
    if (failure) throw failure;
    if (!isRecord(chunk) || !Array.isArray(chunk.choices)) throw new BrokenStream("an event that is no chunk");
    if (isRecord(chunk.torbiz)) {
      if (isRecord(chunk.torbiz.progress)) this.tell(chunk.torbiz.progress);
      if (isRecord(chunk.torbiz.end)) this.takeEnd(chunk.torbiz.end, chunk.usage);
    }
    const choice: unknown = chunk.choices[0];
    const text = isRecord(choice) && isRecord(choice.delta) ? choice.delta.content : undefined;
    if (typeof text === "string" && (id !== undefined || text !== "")) this.add(id, text);
  }

  private add(id: string | undefined, text: string): void {
    if (id === undefined || !/^\d{1,15}$/.test(id) || Number(id) !== this.seq + 1) {
      throw new BrokenStream(`piece ${id ?? "without a number"} after piece ${this.seq}`);
    }
    this.seq += 1;
    if (text === "") return;
    this.lastAt = performance.now();
    this.firstAt ??= this.lastAt;
    this.onDelta?.(text);
  }

  private takeEnd(end: Record<string, unknown>, usage: unknown): void {
    // Lost pieces before the end leave no gap between numbers.
    if (end.seq !== this.seq) throw new BrokenStream(`an end after piece ${String(end.seq)}, with ${this.seq} here`);
    this.end = generationEnd(end, usage);
  }

  private tell({ stage, done, total }: Record<string, unknown>): void {
    if (typeof stage !== "string") return;
    this.stage = stage;
    const known = typeof done === "number" && typeof total === "number" && total > 0;
    this.onProgress?.({
      stage,
      message: STAGES[stage] ?? "Getting ready",
      progress: known ? Math.min(1, Math.max(0, done / total)) : null,
    } satisfies Progress);
  }
}

const STAGES: Readonly<Record<string, string>> = {
  waiting: "Waiting for the answer before this one",
  "loading-model": "Loading the model",
  connecting: "Connecting to the swarm",
  "reading-prompt": "Reading the question",
  recovering: "A peer left: looking for another",
};

/** OpenAI's form of an error, if it is one. */
export function serverError(value: unknown): TorbizError | undefined {
  if (!isRecord(value) || !isRecord(value.error)) return undefined;
  const { code, message } = value.error;
  const known = errorCodes.find((each) => each === code) ?? ("ask-failed" satisfies ErrorCode);
  return new TorbizError(known, typeof message === "string" ? message : "The ask server gave no reason.");
}

function generationEnd(end: Record<string, unknown>, usage: unknown): GenerationEnd {
  const { reason, route, cachedTokens, firstTokenSeconds, tokensPerSecond } = end;
  if (reason !== "stop" && reason !== "length" && reason !== "stopped") throw new BrokenStream("an unknown end");
  const used = isRecord(usage) ? usage : {};
  return {
    reason,
    usage: {
      promptTokens: count(used.prompt_tokens),
      completionTokens: count(used.completion_tokens),
      cachedTokens: count(cachedTokens),
    },
    firstTokenSeconds: count(firstTokenSeconds),
    tokensPerSecond: count(tokensPerSecond),
    route: Array.isArray(route) ? route.filter(isHop) : null,
  };
}

function count(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

function isHop(value: unknown): value is Hop {
  if (!isRecord(value) || typeof value.peer !== "string" || !Array.isArray(value.blocks)) return false;
  return value.blocks.length === 2 && value.blocks.every((block) => typeof block === "number");
}
