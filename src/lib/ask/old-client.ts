import { request, type IncomingMessage } from "node:http";
import { performance } from "node:perf_hooks";
import { createParser } from "eventsource-parser";
import { errorCodes, TorbizError, type ErrorCode } from "../errors";

/** One turn of a chat, in OpenAI's form. */
export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

/** Which model in which swarm: Torbiz's addition to OpenAI's request. */
export interface SwarmAddress {
  /** Folder of the model on this computer, absolute. */
  modelPath: string;
  dhtPrefix: string;
  /** Multiaddrs; empty for Petals' public network. */
  initialPeers: readonly string[];
}

export interface ChatOptions {
  socketPath: string;
  model: string;
  messages: readonly ChatMessage[];
  torbiz: SwarmAddress;
  /** 0 is greedy: the same answer each time. */
  temperature?: number;
  /** Takes the answer's text piece by piece. */
  onDelta?: (text: string) => void;
  /** Ends the generation at once. */
  signal?: AbortSignal;
  /** Longest silence, milliseconds. While a question waits, the server sends comments: they are no silence. */
  stallMs?: number;
  /** Longest wait for the first token, milliseconds, whatever the server sends meanwhile. */
  beginMs?: number;
}

export interface ChatAnswer {
  text: string;
  /** `length`: cut off at the most tokens that were asked for or have room. */
  finishReason: "stop" | "length";
  usage: { promptTokens: number; completionTokens: number };
  /** From the request to the first text. */
  firstTokenSeconds: number;
  /** Of the tokens after the first; 0 when there was only one. */
  tokensPerSecond: number;
}

const CONNECT_MS = 5_000;
/** Longer than the server's own limit, which tells a better reason. */
const STALL_MS = 120_000;
/** Others may be before us. */
const BEGIN_MS = 900_000;

/**
 * Asks an ask server, and hears its answer as it comes. Whatever ends this call early also ends the generation.
 *
 * @throws TorbizError with the server's code, ask-server-failed when it can't be reached or leaves before the answer
 * begins, ask-timeout, ask-failed when the answer breaks off (`details.characters` tells how much had come), interrupted
 */
export async function streamChat(options: ChatOptions): Promise<ChatAnswer> {
  const { signal, stallMs = STALL_MS, beginMs = BEGIN_MS } = options;
  const started = performance.now();
  const answer = new Answer(options.onDelta);
  const watch = new StallWatch(stallMs, beginMs, signal);
  try {
    const response = await send(options, watch);
    watch.touch();
    if (response.statusCode !== 200) throw await refusal(response);
    const decoder = new TextDecoder();
    for await (const chunk of response as AsyncIterable<Buffer>) {
      watch.touch();
      answer.feed(decoder.decode(chunk, { stream: true }));
      if (answer.begun) watch.begin();
      if (answer.done) break;
    }
    return answer.finish(started);
  } catch (error) {
    if (error instanceof TorbizError) throw error;
    const details = { characters: answer.text.length };
    if (signal?.aborted) throw new TorbizError("interrupted", "The question was stopped.", { details });
    if (watch.exceededMs !== undefined) {
      const message = `Nothing came for ${watch.exceededMs / 1000} seconds.`;
      throw new TorbizError("ask-timeout", message, { details, cause: error });
    }
    if (!answer.begun) {
      throw new TorbizError("ask-server-failed", "The ask server left before it answered.", { cause: error });
    }
    throw new TorbizError("ask-failed", "The connection to the ask server broke.", { details, cause: error });
  } finally {
    watch.end();
  }
}

/** Aborts when nothing has come for a while, or when the user says so. */
class StallWatch {
  /** The limit that was passed, if one was. */
  exceededMs?: number;
  private readonly abort = new AbortController();
  private readonly silence: NodeJS.Timeout;
  private readonly beginning: NodeJS.Timeout;
  private readonly stop = () => this.abort.abort();

  constructor(
    silenceMs: number,
    beginMs: number,
    private readonly user?: AbortSignal,
  ) {
    const limit = (limitMs: number) =>
      setTimeout(() => {
        this.exceededMs = limitMs;
        this.abort.abort();
      }, limitMs);
    this.silence = limit(silenceMs);
    this.beginning = limit(beginMs);
    if (user?.aborted) this.abort.abort();
    user?.addEventListener("abort", this.stop);
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  /** Something came. */
  touch(): void {
    this.silence.refresh();
  }

  /** The answer has begun. */
  begin(): void {
    clearTimeout(this.beginning);
  }

  /** Also closes the connection, by which the server knows that nobody listens any more. */
  end(): void {
    clearTimeout(this.silence);
    clearTimeout(this.beginning);
    this.user?.removeEventListener("abort", this.stop);
    this.abort.abort();
  }
}

async function send(options: ChatOptions, watch: StallWatch): Promise<IncomingMessage> {
  const { socketPath, model, messages, torbiz, temperature } = options;
  const body = JSON.stringify({
    model,
    messages,
    torbiz,
    temperature,
    stream: true,
    stream_options: { include_usage: true },
  });
  return new Promise((resolve, reject) => {
    const outgoing = request({
      socketPath,
      path: "/v1/chat/completions",
      method: "POST",
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      agent: false,
      signal: watch.signal,
    });
    let connected = false;
    const timer = setTimeout(() => outgoing.destroy(new Error("no connection in time")), CONNECT_MS);
    outgoing.on("socket", (socket) =>
      socket.once("connect", () => {
        connected = true;
        clearTimeout(timer);
      }),
    );
    outgoing.on("response", resolve);
    outgoing.on("error", (error) => {
      clearTimeout(timer);
      const unreachable = new TorbizError("ask-server-failed", "The ask server can't be reached.", { cause: error });
      reject(connected || watch.signal.aborted ? error : unreachable);
    });
    outgoing.end(body);
  });
}

/** The error that the server answered with. */
async function refusal(response: IncomingMessage): Promise<TorbizError> {
  let body = "";
  response.setEncoding("utf8");
  for await (const text of response) body += text as string;
  try {
    const known = asError(JSON.parse(body));
    if (known) return known;
  } catch {
    // Not JSON: not our server's own words.
  }
  return new TorbizError("ask-failed", `The ask server answered with status ${response.statusCode}.`);
}

/** OpenAI's form of an error, if it is one. */
function asError(value: unknown): TorbizError | undefined {
  if (!isRecord(value) || !isRecord(value.error)) return undefined;
  const { code, message } = value.error;
  const known = errorCodes.find((each) => each === code) ?? ("ask-failed" satisfies ErrorCode);
  return new TorbizError(known, typeof message === "string" ? message : "The ask server gave no reason.");
}

/** Puts an answer together from its server-sent events. */
class Answer {
  text = "";
  done = false;
  private reason?: ChatAnswer["finishReason"];
  private usage?: ChatAnswer["usage"];
  private firstAt?: number;
  private lastAt = 0;
  private readonly parser = createParser({ onEvent: ({ data }) => this.take(data) });

  constructor(private readonly onDelta?: (text: string) => void) {}

  /** Whether any event has come. */
  get begun(): boolean {
    return this.lastAt > 0;
  }

  feed(text: string): void {
    this.parser.feed(text);
  }

  finish(started: number): ChatAnswer {
    if (!this.done || !this.reason || !this.usage) {
      throw new TorbizError("ask-failed", "The ask server ended before the answer did.", {
        details: { characters: this.text.length },
      });
    }
    const firstAt = this.firstAt ?? this.lastAt;
    const rest = this.usage.completionTokens - 1;
    const seconds = (this.lastAt - firstAt) / 1000;
    return {
      text: this.text,
      finishReason: this.reason,
      usage: this.usage,
      firstTokenSeconds: (firstAt - started) / 1000,
      tokensPerSecond: rest > 0 && seconds > 0 ? rest / seconds : 0,
    };
  }

  private take(data: string): void {
    if (data === "[DONE]") {
      this.done = true;
      return;
    }
    const chunk = parseJson(data);
    const failure = asError(chunk);
    if (failure) throw failure;
    if (!isRecord(chunk)) throw new TorbizError("ask-failed", "The ask server sent something that is no answer.");
    this.lastAt = performance.now();
    this.takeUsage(chunk.usage);
    const choice: unknown = Array.isArray(chunk.choices) ? chunk.choices[0] : undefined;
    if (!isRecord(choice)) return;
    if (choice.finish_reason === "stop" || choice.finish_reason === "length") this.reason = choice.finish_reason;
    const content = isRecord(choice.delta) ? choice.delta.content : undefined;
    if (typeof content !== "string" || content === "") return;
    this.firstAt ??= this.lastAt;
    this.text += content;
    this.onDelta?.(content);
  }

  private takeUsage(usage: unknown): void {
    if (!isRecord(usage)) return;
    this.usage = { promptTokens: Number(usage.prompt_tokens), completionTokens: Number(usage.completion_tokens) };
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
