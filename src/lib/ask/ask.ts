import type { Surroundings } from "../context";
import { toTorbizError, TorbizError } from "../errors";
import type { OnProgress } from "../progress";
import { rememberAsked } from "../sharing/last-choice";
import { swarmText } from "../sharing/swarm";
import { findSwarmTarget } from "../sharing/swarm-target";
import { serverError } from "./answer-reader";
import { ensureAskEnvironment } from "./ask-environments";
import { readAskSettings, rememberAskSettings } from "./ask-settings";
import {
  followGeneration,
  generationsAt,
  ServerGone,
  startGeneration,
  stopGenerationAt,
  type ChatMessage,
  type EngineTarget,
  type Heard,
  type RunningGeneration,
  type Sampling,
} from "./client";
import type { AnswerNode, Conversation } from "./conversations/conversation";
import { ConversationStore, newId } from "./conversations/store";
import type { EngineChoice, EngineNote, Hop } from "./engine-choice";
import { modelsAt, parseBaseUrl } from "./found-servers";
import { distrustModel, ensureLocalModel, isInstalled } from "./local-model-files";
import { findLocalModel } from "./local-models";
import { modelFile } from "./model-download";
import { distrustSwarmModel, ensureSwarmModel } from "./swarm-model";
import { askSocket, endHungServer, ensureAskServer, findAskServer, whyGone, type AskServerKind } from "./server";

export interface WatchOptions {
  /**
   * Stages: preparing-python, preparing-model, starting-server, waiting, loading-model, connecting, reading-prompt,
   * asking, recovering, stopping.
   */
  onProgress?: OnProgress;
  /** Takes the new text piece by piece; not what it goes on from. */
  onDelta?: (text: string) => void;
  /** Stops watching; the generation goes on. The promise rejects with `interrupted`. */
  leave?: AbortSignal;
  /** Ends the generation. The promise resolves with the part, its reason is "stopped"; before it began, it rejects. */
  stop?: AbortSignal;
}

/** Exactly one of `prompt`, `regenerate` and `continues` is given. */
export interface AskOptions extends WatchOptions {
  surroundings: Surroundings;
  /** Id of the conversation; it is there already. */
  conversation: string;
  prompt?: string;
  /** Id of the answer or message that `prompt` goes on from: the newest unless given. */
  follows?: string;
  /** Id of an answer that is to be given anew, or of the question that it answers. */
  regenerate?: string;
  /** Id of an answer that is to go on from exactly where it ended. */
  continues?: string;
  /** Id of the user's message whose place `prompt` takes: both stay, as branches. */
  edits?: string;
  choice: EngineChoice;
  /** For another server. Goes nowhere but there. */
  apiKey?: string;
  /** A Hugging Face token, for the files of a swarm's model that come from a hub; HF_TOKEN unless given. */
  token?: string;
  /** Instructions that go before a new conversation's first question. */
  system?: string;
  sampling?: Sampling;
  /** Lets this question go to strangers' computers, consent recorded or not. */
  allowStrangers?: boolean;
  /** How long the ask server stays after this, without a question. */
  idleMinutes?: number;
  /** How long a server may be silent, milliseconds: in an answer, and when it is asked whether it is there. */
  limits?: { stallMs?: number; answerMs?: number };
  /** The question goes out. */
  onStarted?: (generation: string) => void;
}

export interface Answer {
  conversation: string;
  generation: string;
  /** Whole, with what it continues. */
  text: string;
  /** `length`: cut off at the most tokens that were asked for or have room. */
  reason: "stop" | "length" | "stopped";
  usage: { promptTokens: number; completionTokens: number; cachedTokens: number };
  /** Seen from here, from the request to the first text; the server's figure for an answer that was attached to. */
  firstTokenSeconds: number;
  /** Of the tokens after the first; 0 when there was only one. */
  tokensPerSecond: number;
  /** null where no swarm answered. */
  route: readonly Hop[] | null;
  engine: EngineNote;
}

/**
 * The one way to ask. What was typed is in the conversation before anything else happens, so that whatever fails can be
 * tried again with `regenerate`. Makes environment, model and server ready where they are not.
 *
 * @throws TorbizError prompt-empty, conversation-unknown, generation-unknown, consent-needed, python-missing,
 * environment-failed, model-unknown, model-missing, model-gated, hub-unreachable, ask-server-failed, answer-cut,
 * prompt-too-long, interrupted, ...
 *
 * @example
 * const conversation = await new ConversationStore(surroundings.paths.conversations).create();
 * const { text } = await ask({ surroundings, conversation, prompt: "Why?", choice: { kind: "this", model } });
 */
export async function ask(options: AskOptions): Promise<Answer> {
  const { leave } = options;
  let left = false;
  const unlessLeft =
    <Value>(tell?: (value: Value) => void) =>
    (value: Value) => {
      if (!left) tell?.(value);
    };
  const work = new Asking({
    ...options,
    onProgress: unlessLeft(options.onProgress),
    onDelta: unlessLeft(options.onDelta),
    onStarted: unlessLeft(options.onStarted),
  })
    .run()
    .catch((error: unknown) => {
      throw toTorbizError(error);
    });
  if (!leave) return work;
  work.catch(() => undefined); // nobody listens when they have left
  let onLeave: (() => void) | undefined;
  const leaving = new Promise<never>((_resolve, reject) => {
    onLeave = () => {
      left = true;
      reject(new TorbizError("interrupted", "The answer is no longer watched."));
    };
    if (leave.aborted) onLeave();
    else leave.addEventListener("abort", onLeave);
  });
  try {
    return await Promise.race([work, leaving]);
  } finally {
    if (onLeave) leave.removeEventListener("abort", onLeave);
  }
}

export interface AttachOptions extends WatchOptions {
  surroundings: Surroundings;
  conversation: string;
  generation: string;
}

/**
 * Watches an answer that is being written: what is there of it comes as the first piece. One that has ended is given as
 * it is in its file.
 *
 * @throws TorbizError conversation-unknown, generation-unknown, answer-cut, and the error by which it failed
 */
export async function attach(options: AttachOptions): Promise<Answer> {
  const { surroundings, conversation: id, generation, onDelta } = options;
  const store = new ConversationStore(surroundings.paths.conversations);
  const node = answerIn(await store.read(id), generation);
  if (!node.ended) {
    for (const kind of await kindsWith(surroundings, generation)) {
      if (node.own) onDelta?.(node.own);
      let text = node.text;
      const heard = await followGeneration(generation, node.seq, {
        ...options,
        socketPath: askSocket(surroundings, kind),
        onDelta: (piece) => {
          text += piece;
          onDelta?.(piece);
        },
      }).catch((error: unknown) => failCut(store, id, generation, explained(surroundings, kind, error)));
      return answerOf(id, node, text, heard);
    }
  }
  // It may have ended since its file was read.
  const last = node.ended ? node : answerIn(await store.read(id), generation);
  if (!last.ended) return failCut(store, id, generation, new ServerGone(undefined));
  if (last.own) onDelta?.(last.own);
  const { reason, error } = last.ended;
  if (reason === "failed") throw serverError({ error }) ?? new ServerGone(undefined);
  return answerOf(id, last, last.text, { ...last.ended, reason });
}

/**
 * Ends a generation, whoever watches it. Nothing happens to one that has just ended.
 * @returns false when no server knows it
 */
export async function stopGeneration(surroundings: Surroundings, generation: string): Promise<boolean> {
  const stopped = KINDS.map((kind) => stopGenerationAt(askSocket(surroundings, kind), generation));
  return (await Promise.all(stopped)).includes(true);
}

/** What runs or waits now, in all servers that are there; starts none. */
export async function runningGenerations(surroundings: Surroundings): Promise<RunningGeneration[]> {
  return (await Promise.all(KINDS.map((kind) => generationsAt(askSocket(surroundings, kind))))).flat();
}

const KINDS: readonly AskServerKind[] = ["local", "swarm"];

async function kindsWith(surroundings: Surroundings, generation: string): Promise<AskServerKind[]> {
  const running = await Promise.all(KINDS.map((kind) => generationsAt(askSocket(surroundings, kind))));
  return KINDS.filter((_kind, index) => running[index]?.some(({ id }) => id === generation));
}

/** What a question is in its conversation. */
interface Question {
  /** Id of what is answered. */
  parent: string;
  /** The answer that is gone on from. */
  continues?: AnswerNode;
  messages: readonly ChatMessage[];
}

/** An engine that can be asked. */
interface Ready {
  socketPath: string;
  target: EngineTarget;
  engine: EngineNote;
  /** Where nobody says otherwise; undefined: the server's own. */
  temperature?: number;
  /** Lets the next question check or bring anew a model that couldn't be loaded. */
  distrust?: () => Promise<void>;
}

/** Greedy once more would only be the same answer once more. */
const REGENERATE_TEMPERATURE = 0.8;

/** One question on its way. */
class Asking {
  private readonly store: ConversationStore;
  private readonly kind: AskServerKind;

  constructor(private readonly options: AskOptions) {
    this.store = new ConversationStore(options.surroundings.paths.conversations);
    this.kind = options.choice.kind === "swarm" ? "swarm" : "local";
  }

  async run(): Promise<Answer> {
    const { prompt, surroundings } = this.options;
    if (prompt?.trim() === "") throw new TorbizError("prompt-empty", "There is nothing to ask.");
    // What the server is found with takes its time, and needs nothing of the conversation.
    const running = findAskServer(surroundings, this.kind);
    running.catch(() => undefined);
    const question = await this.write();
    try {
      return await this.answer(question, () => running);
    } catch (error) {
      await this.noteUnasked(question, toTorbizError(error));
      throw error;
    }
  }

  private async answer(question: Question, findServer: () => ReturnType<typeof findAskServer>): Promise<Answer> {
    const { regenerate, surroundings, conversation: id, sampling } = this.options;
    const ready = await this.makeReady(findServer);
    const { continues, parent, messages } = question;
    const generation = newId("g");
    let text = continues?.text ?? "";
    const listen = ({ socketPath, target, engine, temperature }: Ready) => {
      const { onDelta, onProgress, leave, stop, limits } = this.options;
      const place = { id: generation, conversation: id, file: this.store.pathOf(id), parent };
      const freedom = temperature === 0 && regenerate !== undefined ? REGENERATE_TEMPERATURE : temperature;
      return startGeneration(
        {
          ...{ messages, target, generation: { ...place, continues: continues?.id ?? null, engine } },
          sampling: { ...sampling, temperature: sampling?.temperature ?? freedom },
          idleMinutes: this.options.idleMinutes,
        },
        {
          socketPath,
          onProgress,
          onDelta: (piece) => {
            text += piece;
            onDelta?.(piece);
          },
          leave,
          stop,
          stallMs: limits?.stallMs,
        },
      );
    };
    this.options.onProgress?.({ stage: "asking", message: `Asking ${ready.engine.title}`, progress: null });
    this.options.onStarted?.(generation);
    const hearing = listen(ready).catch(async (error: unknown) => {
      // It may have left, idle for long, just before it was asked. A question that it took is not asked twice.
      if (toTorbizError(error).code !== "ask-server-failed") throw error;
      if ((await this.store.read(id)).nodes.has(generation)) throw new ServerGone(error);
      return listen(await this.makeReady(() => Promise.resolve(undefined)));
    });
    const heard = await hearing.catch(async (error: unknown) => {
      if (toTorbizError(error).code === "model-broken") await ready.distrust?.();
      return failCut(this.store, id, generation, explained(surroundings, this.kind, error));
    });
    this.remember(ready);
    return {
      ...answerOf(id, { id: generation, engine: ready.engine }, text, heard),
      firstTokenSeconds: heard.seenFirstTokenSeconds,
      tokensPerSecond: heard.seenTokensPerSecond,
    };
  }

  /** A window that is opened later says why the question has no answer. A question of which something came has its end. */
  private async noteUnasked({ parent }: Question, error: TorbizError): Promise<void> {
    const { conversation, stop } = this.options;
    const isStopped = stop?.aborted && error.code === "interrupted";
    const reason = isStopped ? { code: "not-asked", message: "It was stopped before it was asked." } : noted(error);
    // Where it can't be written, the error itself has told.
    await this.store.noteUnasked(conversation, parent, reason).catch(() => undefined);
  }

  /** Puts the question into the conversation, and finds what goes before it. */
  private async write(): Promise<Question> {
    const { conversation: id, prompt, follows, edits, system } = this.options;
    const conversation = await this.store.read(id);
    const { regenerate, continues } = this.options;
    if (continues !== undefined) {
      const ended = await this.ended(conversation, continues);
      const answer = answerIn(ended, continues);
      return { parent: answer.parent ?? answer.id, continues: answer, messages: ended.messages(answer.id) };
    }
    if (regenerate !== undefined) {
      const node = conversation.nodes.get(regenerate);
      if (!node) throw noAnswer(regenerate);
      const parent = node.kind === "answer" ? (node.parent ?? node.id) : node.id;
      return { parent, messages: conversation.messages(parent) };
    }
    if (prompt === undefined) throw new TorbizError("prompt-empty", "There is nothing to ask.");
    const before =
      edits === undefined ? (conversation.branch(follows).at(-1)?.id ?? null) : parentOf(conversation, edits);
    const next: ChatMessage[] = [{ role: "user", content: prompt }];
    let parent = before;
    if (parent === null && system?.trim()) {
      parent = await this.store.appendMessage(id, { role: "system", content: system, parent });
      next.unshift({ role: "system", content: system });
    }
    const question = await this.store.appendMessage(id, { role: "user", content: prompt, parent });
    return { parent: question, messages: conversation.messages(before, next) };
  }

  /** The conversation with an answer that nobody writes any more: one whose server died gets its end. */
  private async ended(conversation: Conversation, generation: string): Promise<Conversation> {
    if (answerIn(conversation, generation).ended) return conversation;
    const { surroundings, limits } = this.options;
    // One that hangs could write on, once it wakes, what is continued meanwhile.
    await Promise.all(KINDS.map((kind) => endHungServer(surroundings, kind, limits?.answerMs)));
    if ((await kindsWith(surroundings, generation)).length > 0) {
      throw new TorbizError("answer-running", "This answer is still being written.");
    }
    await this.store.fail(conversation.id, generation, noted(new ServerGone(undefined)));
    // It may have come to life and written more since it was read.
    return this.store.read(conversation.id);
  }

  /** @param findServer the server that runs, if it is one that can be used */
  private async makeReady(findServer: () => ReturnType<typeof findAskServer>): Promise<Ready> {
    const { choice } = this.options;
    if (choice.kind === "this") return this.readyHere(choice, findServer);
    if (choice.kind === "swarm") return this.readySwarm(choice, findServer);
    return this.readyElsewhere(choice, findServer);
  }

  private async readyHere(
    choice: Extract<EngineChoice, { kind: "this" }>,
    findServer: () => ReturnType<typeof findAskServer>,
  ): Promise<Ready> {
    const { surroundings, onProgress, stop: signal } = this.options;
    const model = findLocalModel(choice.model);
    const engine: EngineNote = { kind: "this", model: model.id, title: model.title, where: "This Computer" };
    const installed = (await isInstalled(surroundings.paths, model)) ? modelFile(surroundings.paths, model) : undefined;
    const { temperature } = model;
    const distrust = () => distrustModel(surroundings.paths, model);
    const server = await findServer();
    if (server && installed) {
      return { socketPath: server.socketPath, target: localTarget(installed), engine, temperature, distrust };
    }
    const environment = await ensureAskEnvironment(surroundings, "local", { onProgress, signal });
    const path = installed ?? (await ensureLocalModel({ surroundings, model, environment, onProgress, signal }));
    const socketPath = await this.startServer(environment, path);
    return { socketPath, target: localTarget(path), engine, temperature, distrust };
  }

  private async readySwarm(
    choice: Extract<EngineChoice, { kind: "swarm" }>,
    findServer: () => ReturnType<typeof findAskServer>,
  ): Promise<Ready> {
    const { surroundings, allowStrangers, token, onProgress, stop: signal } = this.options;
    const found = await findSwarmTarget(surroundings, choice.swarm, { model: choice.model, token, signal });
    const { model } = found;
    if (found.swarm.kind !== "private" && !allowStrangers && !readAskSettings(surroundings.paths).allowedStrangersAt) {
      throw new TorbizError(
        "consent-needed",
        "In this swarm your question, the conversation before it and the answer pass through computers of people you " +
          "don't know, and whoever runs one can read them.",
      );
    }
    const environment = () => ensureAskEnvironment(surroundings, "swarm", { onProgress, signal });
    const modelPath = await ensureSwarmModel({ surroundings, model, environment, token, onProgress, signal });
    const { dhtPrefix } = model;
    return {
      socketPath: await this.anyServer(findServer),
      target: { kind: "swarm", modelPath, dhtPrefix, initialPeers: found.initialPeers },
      engine: { kind: "swarm", model: model.id, title: model.title, where: "Swarm" },
      temperature: 0,
      distrust: () => distrustSwarmModel(surroundings.paths, model),
    };
  }

  private async readyElsewhere(
    choice: Extract<EngineChoice, { kind: "server" }>,
    findServer: () => ReturnType<typeof findAskServer>,
  ): Promise<Ready> {
    const { surroundings, apiKey, stop: signal } = this.options;
    const baseUrl = parseBaseUrl(choice.baseUrl);
    const model = choice.model ?? (await modelsAt(baseUrl, { apiKey, signal, surroundings }))[0];
    if (model === undefined) throw new TorbizError("server-refused", `${baseUrl} has no model that could answer.`);
    return {
      socketPath: await this.anyServer(findServer),
      target: { kind: "server", baseUrl, apiKey: apiKey ?? null },
      engine: { kind: "server", model, title: model, where: baseUrl },
    };
  }

  private async anyServer(findServer: () => ReturnType<typeof findAskServer>): Promise<string> {
    const { surroundings, onProgress, stop: signal } = this.options;
    const server = await findServer();
    if (server) return server.socketPath;
    return this.startServer(await ensureAskEnvironment(surroundings, this.kind, { onProgress, signal }));
  }

  private async startServer(
    environment: Awaited<ReturnType<typeof ensureAskEnvironment>>,
    modelPath?: string,
  ): Promise<string> {
    const { surroundings, onProgress, idleMinutes, limits, stop: signal } = this.options;
    onProgress?.({ stage: "starting-server", message: "Starting the ask server", progress: null });
    return ensureAskServer({ surroundings, environment, modelPath, idleMinutes, signal, answerMs: limits?.answerMs });
  }

  /** The next question goes there, too, unless told otherwise. */
  private remember({ engine, target }: Ready): void {
    const { surroundings, choice } = this.options;
    try {
      rememberAskSettings(surroundings.paths, { lastChoice: choice });
      if (target.kind === "swarm" && choice.kind === "swarm" && choice.swarm) {
        rememberAsked(surroundings, { model: engine.model, swarm: swarmText(choice.swarm) });
      }
    } catch {
      // It is only a convenience; a full disk is told by what matters.
    }
  }
}

function localTarget(modelPath: string): EngineTarget {
  return { kind: "local", modelPath, context: null };
}

function parentOf(conversation: Conversation, message: string): string | null {
  const node = conversation.nodes.get(message);
  if (node?.kind !== "message") throw noAnswer(message);
  return node.parent;
}

function answerIn(conversation: Conversation, generation: string): AnswerNode {
  const node = conversation.nodes.get(generation);
  if (node?.kind !== "answer") throw noAnswer(generation);
  return node;
}

function answerOf(
  conversation: string,
  { id: generation, engine }: Pick<AnswerNode, "id" | "engine">,
  text: string,
  { reason, usage, firstTokenSeconds, tokensPerSecond, route }: Omit<Heard, `seen${string}`>,
): Answer {
  return { conversation, generation, text, reason, usage, firstTokenSeconds, tokensPerSecond, route, engine };
}

/** A server that died can't note it itself. */
async function failCut(store: ConversationStore, id: string, generation: string, error: unknown): Promise<never> {
  const known = toTorbizError(error);
  if (known.code === "generation-unknown") return failCut(store, id, generation, new ServerGone(error));
  // Where it can't be written, the missing end tells as much.
  if (known.code === "answer-cut") await store.fail(id, generation, noted(known)).catch(() => undefined);
  throw known;
}

/** The same, with why the server is gone where that is what happened. */
function explained(surroundings: Surroundings, kind: AskServerKind, error: unknown): unknown {
  if (!(error instanceof ServerGone)) return error;
  const { reason, ...details } = whyGone(surroundings, kind);
  return new ServerGone(error.cause, reason, details);
}

function noted({ code, message }: TorbizError): { code: string; message: string } {
  return { code, message };
}

function noAnswer(id: string): TorbizError {
  return new TorbizError("generation-unknown", `This conversation has no question or answer ${id}.`);
}
