import { request, type IncomingMessage } from "node:http";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { TorbizError } from "../errors";
import { isRecord, parseJson } from "../json";
import type { OnProgress } from "../progress";
import { AnswerReader, BrokenStream, serverError, type GenerationEnd } from "./answer-reader";
import type { EngineNote } from "./engine-choice";
import { callServer } from "./server-call";

/** One turn of a chat, in OpenAI's form. */
export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface Sampling {
  maxTokens?: number;
  /** 0 is greedy: the same answer each time. */
  temperature?: number;
  topP?: number;
  seed?: number;
  /** The answer ends before any of these. */
  stop?: readonly string[];
}

/** What a server answers with: its part of Torbiz's addition to OpenAI's request. */
export type EngineTarget =
  /** A GGUF file, absolute. `context` null: as many tokens as fit. */
  | { kind: "local"; modelPath: string; context: number | null }
  /** The model's folder on this computer, absolute, and multiaddrs; none for Petals' public network. */
  | { kind: "swarm"; modelPath: string; dhtPrefix: string; initialPeers: readonly string[] }
  | { kind: "server"; baseUrl: string; apiKey: string | null };

/** Where an answer belongs: the server writes it there, whoever listens. */
export interface GenerationPlace {
  id: string;
  conversation: string;
  /** The conversation's file, absolute. */
  file: string;
  /** Id of what it answers. */
  parent: string;
  /** Id of the answer that it goes on from. */
  continues: string | null;
  engine: EngineNote;
}

/** A question. Where the last message is the assistant's, the answer goes on from exactly its end. */
export interface GenerationRequest {
  messages: readonly ChatMessage[];
  target: EngineTarget;
  generation: GenerationPlace;
  sampling?: Sampling;
  /** How long the server stays after its last answer, from now on; undefined: as before. */
  idleMinutes?: number;
}

export interface ListenOptions {
  socketPath: string;
  onProgress?: OnProgress;
  /** Takes the answer's text piece by piece. */
  onDelta?: (text: string) => void;
  /** Stops listening; the generation goes on. */
  leave?: AbortSignal;
  /** Ends the generation; its part is the result. */
  stop?: AbortSignal;
  /** Longest silence, milliseconds. While a question waits, the server sends comments: they are no silence. */
  stallMs?: number;
  /** Longest wait for the first text, milliseconds, whatever the server sends meanwhile. */
  beginMs?: number;
}

/** A finished generation, as it was seen from here. */
export interface Heard extends GenerationEnd {
  /** From the request to the first text. */
  seenFirstTokenSeconds: number;
  /** Of the tokens after the first; 0 when there was only one. */
  seenTokensPerSecond: number;
}

/** A generation that a server runs, or that waits in it. */
export interface RunningGeneration {
  id: string;
  conversation: string;
  /** The model's id. */
  model: string;
  /** ISO-8601 UTC. */
  startedAt: string;
}

/** The server that wrote an answer is gone, and with it what nobody had heard yet. */
export class ServerGone extends TorbizError {
  /** @param reason a sentence, where something is known */
  constructor(cause: unknown, reason = "", details: Record<string, unknown> = {}) {
    super("answer-cut", `The ask server ended in the middle of the answer. ${reason}`.trim(), { cause, details });
  }
}

const CONNECT_MS = 5_000;
/** Six of the comments by which a server that works shows itself. */
const STALL_MS = 60_000;
/** llama.cpp lets nothing else in its process run while it loads a model, and large ones come from slow disks. */
const LOADING_STALL_MS = 300_000;
/** Others may be before us. */
const BEGIN_MS = 900_000;
/**
 * A stop takes one step of the engine, and a slow computer may need long for one: torbiz.ask_jobs gives it 30 s, then has
 * 20 s to give the engine up. Who leaves before that never hears how the answer ended.
 */
export const STOP_MS = 60_000;
const STOP_RETRY_MS = 20;
const RECONNECTS = 5;
const RECONNECT_MS = 100;

/**
 * Has an ask server begin a generation, and hears it to its end. The server goes on with it when this call ends early,
 * unless `stop` is what ended it.
 *
 * @throws TorbizError with the server's code; ask-server-failed when the server can't be reached or left before anything
 * came, answer-cut when it left in the middle, ask-timeout, ask-failed when what it sends makes no sense, interrupted
 */
export async function startGeneration(question: GenerationRequest, options: ListenOptions): Promise<Heard> {
  const { messages, target, generation, sampling = {}, idleMinutes } = question;
  const body = JSON.stringify({
    model: generation.engine.model,
    messages,
    torbiz: { engine: target, generation, ...(idleMinutes && { idleSeconds: idleMinutes * 60 }) },
    max_tokens: sampling.maxTokens,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    seed: sampling.seed,
    stop: sampling.stop,
    stream: true,
    stream_options: { include_usage: true },
  });
  return new Listener(generation.id, 0, options).listen({ method: "POST", path: "/v1/chat/completions", body });
}

/**
 * Hears a generation that runs, or that ended just now, from the piece after `after` on.
 *
 * @throws TorbizError generation-unknown, and as `startGeneration`
 */
export async function followGeneration(id: string, after: number, options: ListenOptions): Promise<Heard> {
  return new Listener(id, after, options).listen(eventsAfter(id, after));
}

/**
 * Ends a generation. Returns when its server is idle again.
 * @returns false when this server doesn't run it
 */
export async function stopGenerationAt(socketPath: string, id: string, limitMs = STOP_MS): Promise<boolean> {
  const reply = await callServer(socketPath, "POST", `/torbiz/generations/${encodeURIComponent(id)}/stop`, limitMs);
  return typeof reply !== "string" && reply.status === 200;
}

/** What a server runs and what waits there; nothing where none answers. */
export async function generationsAt(socketPath: string, limitMs = CONNECT_MS): Promise<RunningGeneration[]> {
  const reply = await callServer(socketPath, "GET", "/torbiz/generations", limitMs);
  if (typeof reply === "string" || !isRecord(reply.body) || !Array.isArray(reply.body.generations)) return [];
  return reply.body.generations.filter(isRunning).map(({ id, conversation, model, startedAt }) => {
    return { id, conversation, model, startedAt };
  });
}

function isRunning(value: unknown): value is RunningGeneration {
  const fields = ["id", "conversation", "model", "startedAt"];
  return isRecord(value) && fields.every((field) => typeof value[field] === "string");
}

interface Call {
  method: "GET" | "POST";
  path: string;
  body?: string;
}

function eventsAfter(id: string, after: number): Call {
  return { method: "GET", path: `/torbiz/generations/${encodeURIComponent(id)}/events?after=${after}` };
}

/** One generation, heard over as many connections as it takes. */
class Listener {
  private readonly started = performance.now();
  private readonly reader: AnswerReader;
  private readonly connection = new AbortController();
  /** Whether the server has taken the question. */
  private accepted = false;
  private left = false;
  private ended = false;
  /** The limit that was passed, if one was. */
  private exceededMs?: number;
  private silence?: NodeJS.Timeout;

  constructor(
    private readonly id: string,
    after: number,
    private readonly options: ListenOptions,
  ) {
    this.reader = new AnswerReader(
      after,
      (text) => !this.left && options.onDelta?.(text),
      // Once it is told to stop, what its server still does is no news.
      (progress) => !this.left && !options.stop?.aborted && options.onProgress?.(progress),
    );
  }

  async listen(first: Call): Promise<Heard> {
    const { leave, stop, beginMs = BEGIN_MS } = this.options;
    if (stop?.aborted) throw interrupted();
    const beginning = setTimeout(() => this.exceed(beginMs), beginMs);
    const onStop = () => void this.stopIt();
    let onLeave: (() => void) | undefined;
    const leaving = new Promise<never>((_resolve, reject) => {
      onLeave = () => {
        this.left = true;
        // A request that is cut before its server has it is no request: it goes out first.
        if (this.accepted) this.connection.abort();
        reject(interrupted());
      };
      if (leave?.aborted) onLeave();
      else leave?.addEventListener("abort", onLeave);
    });
    stop?.addEventListener("abort", onStop);
    const hearing = this.hear(first, beginning).finally(() => {
      this.ended = true;
      clearTimeout(beginning);
      clearTimeout(this.silence);
      stop?.removeEventListener("abort", onStop);
      this.connection.abort();
    });
    hearing.catch(() => undefined); // when we have left, nobody asks how it ended
    try {
      return await Promise.race([hearing, leaving]);
    } finally {
      if (onLeave) leave?.removeEventListener("abort", onLeave);
    }
  }

  private async hear(first: Call, beginning: NodeJS.Timeout): Promise<Heard> {
    let call = first;
    for (let broken = 0; ;) {
      try {
        await this.hearOnce(call, beginning);
        return this.heard();
      } catch (error) {
        if (error instanceof TorbizError) throw this.known(error, call !== first);
        if (this.exceededMs !== undefined) {
          throw new TorbizError("ask-timeout", `Nothing came for ${this.exceededMs / 1000} seconds.`, { cause: error });
        }
        if (this.left) throw interrupted();
        if (++broken > RECONNECTS) {
          throw new TorbizError("ask-failed", "The ask server sends something that is no answer.", { cause: error });
        }
      }
      await sleep(RECONNECT_MS * (broken - 1));
      this.reader.reconnected();
      call = eventsAfter(this.id, this.reader.seq);
    }
  }

  /**
   * @throws TorbizError that ends it; anything else is a broken connection
   */
  private async hearOnce(call: Call, beginning: NodeJS.Timeout): Promise<void> {
    const response = await this.send(call);
    this.touch();
    if (response.statusCode !== 200) throw await this.refusal(response);
    this.accepted = true;
    if (this.left) this.connection.abort();
    for await (const chunk of response as AsyncIterable<Buffer>) {
      this.reader.feed(chunk);
      this.touch();
      if (this.reader.firstAt !== undefined) clearTimeout(beginning);
      if (this.reader.finished) return;
    }
    throw new BrokenStream("an end before the answer's");
  }

  private async send({ method, path, body }: Call): Promise<IncomingMessage> {
    this.touch();
    return new Promise((resolve, reject) => {
      const outgoing = request({
        socketPath: this.options.socketPath,
        path,
        method,
        headers:
          body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
        agent: false,
        signal: this.connection.signal,
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
        const aborted = this.connection.signal.aborted;
        reject(connected || aborted ? error : unreachable(error));
      });
      outgoing.end(body);
    });
  }

  private async refusal(response: IncomingMessage): Promise<TorbizError> {
    let body = "";
    response.setEncoding("utf8");
    for await (const text of response) body += text as string;
    const said = serverError(parseJson(body));
    return said ?? new TorbizError("ask-failed", `The ask server answered with status ${response.statusCode}.`);
  }

  /** What it means when a server that we had is not there any more, or is another one that knows nothing of us. */
  private known(error: TorbizError, again: boolean): TorbizError {
    if (!again || (error.code !== "ask-server-failed" && error.code !== "generation-unknown")) return error;
    if (!this.accepted) return unreachable(error);
    return new ServerGone(error);
  }

  private touch(): void {
    const { stallMs = STALL_MS } = this.options;
    const limitMs = this.reader.stage === "loading-model" ? Math.max(stallMs, LOADING_STALL_MS) : stallMs;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.exceed(limitMs), limitMs);
  }

  private exceed(limitMs: number): void {
    this.exceededMs = limitMs;
    this.connection.abort();
  }

  /** The stream then ends by itself. */
  private async stopIt(): Promise<void> {
    this.options.onProgress?.({ stage: "stopping", message: "Stopping", progress: null });
    const until = performance.now() + STOP_MS;
    while (!this.ended && performance.now() < until) {
      if (await stopGenerationAt(this.options.socketPath, this.id)) return;
      // The server may not have read the question yet.
      await sleep(STOP_RETRY_MS);
    }
    if (!this.ended) this.exceed(STOP_MS);
  }

  private heard(): Heard {
    const { end, firstAt = this.started, lastAt } = this.reader;
    if (!end) throw new BrokenStream("no end");
    const rest = end.usage.completionTokens - 1;
    const seconds = (lastAt - firstAt) / 1000;
    return {
      ...end,
      seenFirstTokenSeconds: (firstAt - this.started) / 1000,
      seenTokensPerSecond: rest > 0 && seconds > 0 ? rest / seconds : 0,
    };
  }
}

function interrupted(): TorbizError {
  return new TorbizError("interrupted", "The question was left.");
}

function unreachable(cause: unknown): TorbizError {
  return new TorbizError("ask-server-failed", "The ask server can't be reached.", { cause });
}
