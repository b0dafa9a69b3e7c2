import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Surroundings } from "../context";
import { toTorbizError, TorbizError } from "../errors";
import type { OnProgress } from "../progress";
import type { SwarmTarget } from "../sharing/swarm-target";
import { streamChat, type ChatAnswer, type ChatOptions } from "./old-client";
import { ensureAskEnvironment } from "./ask-environments";
import { ensureAskServer } from "./server";

export interface AskOptions {
  surroundings: Surroundings;
  target: Pick<SwarmTarget, "model" | "initialPeers">;
  prompt: string;
  /** Stages: preparing-python, connecting-client, asking. */
  onProgress?: OnProgress;
  /** Everything is ready, and the question goes out. */
  onStart?: () => void;
  onDelta?: (text: string) => void;
  /** Ends the generation; the server stays warm. */
  signal?: AbortSignal;
}

export type Answer = ChatAnswer;

/**
 * Asks a model in a swarm from the system's Python: makes its environment once, keeps a server warm, streams the answer.
 * Greedy: the same question has the same answer.
 *
 * @throws TorbizError python-missing, environment-failed, ask-server-failed, model-missing, missing-blocks,
 * swarm-unreachable, prompt-too-long, ask-timeout, ask-failed, interrupted, ...
 */
export async function ask(options: AskOptions): Promise<Answer> {
  const { surroundings, target, prompt, onProgress, onStart, onDelta, signal } = options;
  const { model, initialPeers } = target;
  const modelPath = join(surroundings.paths.models, model.id, "petals");
  if (!existsSync(join(modelPath, "config.json"))) {
    throw new TorbizError("model-missing", `${model.title} is not on this computer yet.`);
  }
  const environment = await ensureAskEnvironment(surroundings, "swarm", { onProgress, signal });
  onProgress?.({ stage: "connecting-client", message: "Starting the swarm's client", progress: null });
  const findServer = () => ensureAskServer({ surroundings, environment, signal });
  const socketPath = await findServer();
  onProgress?.({ stage: "asking", message: `Asking ${model.title}`, progress: null });
  onStart?.();
  const question: Omit<ChatOptions, "socketPath"> = {
    model: model.id,
    messages: [{ role: "user", content: prompt }],
    torbiz: { modelPath, dhtPrefix: model.dhtPrefix, initialPeers },
    temperature: 0,
    onDelta,
    signal,
  };
  try {
    return await streamChat({ ...question, socketPath });
  } catch (error) {
    // It may have left, idle for long, just before it was asked.
    if (toTorbizError(error).code !== "ask-server-failed") throw error;
    return streamChat({ ...question, socketPath: await findServer() });
  }
}
