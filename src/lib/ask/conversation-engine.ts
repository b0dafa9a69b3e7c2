import { toTorbizError, TorbizError } from "../errors";
import { idOfName } from "../hub/known-models";
import type { Paths } from "../paths";
import type { Swarm } from "../sharing/swarm";
import type { EngineChoice, EngineNote } from "./engine-choice";
import { isInstalled } from "./local-model-files";
import { findLocalModel, type LocalModel } from "./local-models";
import { isDownloading } from "./model-download";

/**
 * What answered in a conversation, as the choice for what is asked there next.
 *
 * @param last what was asked last anywhere: a swarm's peers are in no note, so they are taken from there
 */
export function choiceOf({ kind, model, where }: EngineNote, last: EngineChoice | undefined): EngineChoice {
  if (kind === "this") return { kind, model };
  if (kind === "server") return { kind, baseUrl: where, model };
  return { kind, model, ...(last?.kind === "swarm" && last.swarm && { swarm: swarmOf(model, last.swarm) }) };
}

/** An invite to another model's swarm tells nothing of this one, which its peers may know all the same. */
function swarmOf(model: string, swarm: Swarm): Swarm {
  if (swarm.kind !== "join" || !swarm.invite || idOfName(swarm.invite.model) === idOfName(model)) return swarm;
  return { kind: "join", peers: swarm.peers };
}

/**
 * Makes sure that what answered in a conversation is still there, as far as a look at this computer tells: whether a
 * server or a swarm answers shows when it is asked. Without this a model that was removed would be downloaded again
 * unasked.
 *
 * @throws TorbizError model-missing, model-unknown, model-broken
 */
export async function requireEngine(paths: Paths, { kind, model: id, title }: EngineNote): Promise<void> {
  if (kind !== "this") return;
  const message = `${title} answered in this conversation, and is no longer on this computer.`;
  let model: LocalModel;
  try {
    model = findLocalModel(id);
  } catch (error) {
    const hint = "Choose another model.";
    throw new TorbizError(toTorbizError(error).code, message, { hint, cliHint: CHOOSE, cause: error });
  }
  if (model.source === "file" || (await isInstalled(paths, model)) || (await isDownloading(paths, model))) return;
  throw new TorbizError("model-missing", message, {
    hint: "Choose another model, or download it again.",
    cliHint: `${CHOOSE} \`torbiz models pull ${id}\` downloads this one.`,
  });
}

const CHOOSE = "Choose with --model or --engine.";
