import { isAbsolute, resolve, sep } from "node:path";
import { readAskSettings } from "../lib/ask/ask-settings";
import { choiceOf, requireEngine } from "../lib/ask/conversation-engine";
import type { EngineChoice, EngineNote } from "../lib/ask/engine-choice";
import { firstRunOffers, type Offer } from "../lib/ask/engines";
import { parseBaseUrl } from "../lib/ask/found-servers";
import { installedModels } from "../lib/ask/local-model-files";
import { findLocalModel, LOCAL_MODELS, recommendedModel, type LocalModel } from "../lib/ask/local-models";
import { TorbizError } from "../lib/errors";
import { nameModel } from "../lib/hub/resolve-model";
import type { Model } from "../lib/models";
import { parseSwarm, type Swarm } from "../lib/sharing/swarm";
import { modelIn } from "../lib/sharing/swarm-model";
import { choose } from "./choose";
import type { Session } from "./session";

/** How a command says what it wants to be answered by. */
export interface EngineFlags {
  /** this, swarm, or a server's base URL. */
  engine?: string;
  model?: string;
  swarm?: string[];
}

/**
 * What is to answer: what the flags name; else what answered in the conversation, or was asked last; else what a person
 * chooses now, or what is here already where nobody can be asked.
 *
 * @param before what answered last in the conversation that goes on
 * @param look for what a first question is offered
 * @throws TorbizError engine-invalid, model-unknown, model-missing, model-broken, swarm-invalid, usage, interrupted
 */
export async function chooseEngine(
  session: Session,
  flags: EngineFlags,
  before?: EngineNote,
  look: () => Promise<Offer[]> = firstRunOffers,
): Promise<EngineChoice> {
  const { paths } = session.surroundings;
  const { lastChoice } = readAskSettings(paths);
  const usual = before ? choiceOf(before, lastChoice) : lastChoice;
  const { model, swarm } = flags;
  if (swarm && flags.engine !== undefined && flags.engine !== "swarm") {
    throw new TorbizError("usage", "A swarm can't be asked with another engine.", {
      hint: "Leave one of the two out.",
      cliHint: "--swarm goes with --engine swarm.",
    });
  }
  const engine = swarm ? "swarm" : (flags.engine ?? kindFor(model, usual));
  if (engine === undefined) {
    if (before) await requireEngine(paths, before);
    return usual ?? firstChoice(session, look);
  }
  if (engine === "this") {
    if (model !== undefined) return { kind: "this", model: namedLocalModel(model).id };
    return usual?.kind === "this" ? usual : { kind: "this", model: await bestHere(session) };
  }
  if (engine === "swarm") {
    const joined = swarm && parseSwarm(swarm);
    const isNamed = model !== undefined || (joined?.kind === "join" && joined.invite !== undefined);
    return {
      kind: "swarm",
      ...(isNamed && { model: (await swarmModel(session, joined, model)).id }),
      ...(joined && { swarm: joined }),
    };
  }
  if (!/^https?:\/\//i.test(engine)) throw new TorbizError("engine-invalid", `"${engine}" is no engine.`);
  const baseUrl = parseBaseUrl(engine);
  if (model === undefined && usual?.kind === "server" && usual.baseUrl === baseUrl) return usual;
  return { kind: "server", baseUrl, ...(model !== undefined && { model }) };
}

/** Where a model is asked that is named without its engine: on this computer if it is one of its own, else where it was. */
function kindFor(model: string | undefined, usual: EngineChoice | undefined): string | undefined {
  if (model === undefined) return undefined;
  const isOurs = isPath(model) || LOCAL_MODELS.some(({ id }) => id === model.trim().toLowerCase());
  if (isOurs || !usual) return "this";
  return usual.kind === "server" ? usual.baseUrl : usual.kind;
}

/**
 * A model for this computer that is named as people do in a terminal, where paths are relative.
 * @throws TorbizError model-unknown, model-missing, model-broken
 */
export function namedLocalModel(text: string): LocalModel {
  return findLocalModel(isPath(text) ? resolve(text) : text);
}

function swarmModel(session: Session, swarm: Swarm | undefined, name: string | undefined): Promise<Model> {
  const { surroundings, signal } = session;
  const options = { find: nameModel, token: surroundings.env.HF_TOKEN || undefined, signal };
  return modelIn(surroundings, swarm ?? { kind: "private" }, name, options);
}

function isPath(text: string): boolean {
  return isAbsolute(text) || text.includes(sep) || /\.gguf$/i.test(text);
}

async function firstChoice(session: Session, look: () => Promise<Offer[]>): Promise<EngineChoice> {
  const { output, signal, interactive, surroundings } = session;
  const [[first, ...rest], installed] = await Promise.all([look(), installedModels(surroundings.paths)]);
  const downloaded = installed.findLast(({ model }) => model.source !== "starter")?.model;
  if (interactive && first && !downloaded) {
    const offers: [Offer, ...Offer[]] = [first, ...rest];
    const { choice } = await choose("Who is to answer?", offers, ({ title, detail }) => `${title}: ${detail}`, signal);
    return choice;
  }
  if (first?.kind === "server" && !interactive) {
    output.note(`Nothing was chosen yet, so ${first.title} answers: it runs on this computer.`);
    return first.choice;
  }
  const model = downloaded ?? findLocalModel(await bestHere(session));
  output.note(`Nothing was chosen yet, so ${model.title} answers on this computer. Choose with --model or --engine.`);
  return { kind: "this", model: model.id };
}

/** The best model that is here; the starter where none is: nobody wants a large download unasked. */
async function bestHere({ surroundings }: Session): Promise<string> {
  const installed = (await installedModels(surroundings.paths)).findLast(({ model }) => model.source !== "starter");
  return installed?.model.id ?? recommendedModel(0).id;
}
