import { addAbortSignal } from "node:stream";
import { text as readAll } from "node:stream/consumers";
import { ask } from "../lib/ask/old-ask";
import { TorbizError } from "../lib/errors";
import { findSwarmTarget } from "../lib/sharing/swarm-target";
import { rememberAsked } from "../lib/sharing/last-choice";
import { parseSwarm, swarmText } from "../lib/sharing/swarm";
import type { Session } from "./session";

export interface AskFlags {
  swarm?: string[];
}

/** `torbiz ask`: the answer on stdout as it comes, what it took on stderr. */
export async function runAsk({ output, surroundings, signal }: Session, given: string, flags: AskFlags): Promise<void> {
  const prompt = (given === "-" ? await readAll(addAbortSignal(signal, process.stdin)) : given).trim();
  if (prompt === "") throw new TorbizError("prompt-empty", "There is nothing to ask.");
  const target = await findSwarmTarget(surroundings, flags.swarm && parseSwarm(flags.swarm));
  const answer = await ask({
    surroundings,
    target,
    prompt,
    onProgress: output.progress,
    onDelta: output.delta,
    signal,
  });
  rememberAsked(surroundings, { model: target.model.id, swarm: swarmText(target.swarm) });
  const { completionTokens, promptTokens } = answer.usage;
  output.done(
    "answered",
    `${completionTokens} tokens, first after ${answer.firstTokenSeconds.toFixed(2)} s, then ${answer.tokensPerSecond.toFixed(1)} tokens/s`,
  );
  output.result(
    {
      answer: answer.text,
      finishReason: answer.finishReason,
      tokens: completionTokens,
      promptTokens,
      firstTokenSeconds: answer.firstTokenSeconds,
      tokensPerSecond: answer.tokensPerSecond,
      model: target.model.id,
    },
    "",
  );
}
