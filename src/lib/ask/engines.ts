import { existsSync, readdirSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import type { Surroundings } from "../context";
import { toTorbizError } from "../errors";
import { findSwarmTarget } from "../sharing/swarm-target";
import { swarmText } from "../sharing/swarm";
import type { EngineChoice } from "./engine-choice";
import { foundServers, type FoundServersOptions } from "./found-servers";
import { installedModels } from "./local-model-files";
import { LOCAL_MODELS, recommendedModel, type LocalModel } from "./local-models";
import { findAskServer, type AskServerKind } from "./server";
import { isWhole, swarmModelFolder } from "./swarm-model";

/** An engine and a model that can be chosen, and how near it is to an answer. */
export interface EngineInfo {
  choice: EngineChoice;
  title: string;
  /** One line for people who choose. */
  detail: string;
  state: "ready" | "needs-setup" | "needs-download" | "unavailable";
  /** Whether it answers at once: its model is loaded. */
  warm: boolean;
}

export interface EnginesOptions {
  servers?: FoundServersOptions;
  /** Of this computer, bytes. */
  memoryBytes?: number;
}

/** All that can be asked from this computer: its own models, servers that run on it, and the swarm. Starts nothing. */
export async function listEngines(
  surroundings: Surroundings,
  { servers, memoryBytes = totalmem() }: EnginesOptions = {},
): Promise<EngineInfo[]> {
  const [here, elsewhere, swarm] = await Promise.all([
    modelsHere(surroundings, memoryBytes),
    foundServers(servers),
    theSwarm(surroundings),
  ]);
  const others = elsewhere.flatMap(({ title, baseUrl, models }) =>
    models.map((model): EngineInfo => {
      const choice: EngineChoice = { kind: "server", baseUrl, model };
      return { choice, title: model, detail: `${title}, ${baseUrl}`, state: "ready", warm: false };
    }),
  );
  return [...here, ...others, swarm];
}

/** One of the ways to a first answer. */
export interface Offer {
  kind: "server" | "download" | "starter";
  choice: EngineChoice;
  title: string;
  /** One line for people who choose. */
  detail: string;
}

/** What is offered to somebody who has never asked: a server that runs here, the one fitting download, the starter. */
export async function firstRunOffers({ servers, memoryBytes = totalmem() }: EnginesOptions = {}): Promise<Offer[]> {
  const found = (await foundServers(servers)).map(({ title, baseUrl, models }): Offer => {
    const detail = `Runs on this computer already, with ${models.length === 1 ? models[0] : `${models.length} models`}.`;
    return { kind: "server", choice: { kind: "server", baseUrl, model: models[0] }, title, detail };
  });
  const download = recommendedModel(memoryBytes);
  const starter = LOCAL_MODELS.find(({ source }) => source === "starter");
  return [
    ...found,
    ...(download.source === "hub" ? [offer("download", download, `Recommended: ${describe(download)}`)] : []),
    ...(starter ? [offer("starter", starter, describe(starter))] : []),
  ];
}

function offer(kind: Offer["kind"], model: LocalModel, detail: string): Offer {
  return { kind, choice: { kind: "this", model: model.id }, title: model.title, detail };
}

async function modelsHere(surroundings: Surroundings, memoryBytes: number): Promise<EngineInfo[]> {
  const { paths } = surroundings;
  const [installed, server] = await Promise.all([installedModels(paths), findAskServer(surroundings, "local")]);
  const isSetUp = hasEnvironment(surroundings, "local");
  const recommended = recommendedModel(memoryBytes);
  const fitting = LOCAL_MODELS.filter((model) => model.memoryBytes <= memoryBytes);
  const known = [...installed.map(({ model }) => model), ...fitting.reverse()];
  const models = known.filter((model, index) => known.findIndex(({ id }) => id === model.id) === index);
  return models.map((model): EngineInfo => {
    const path = installed.find((each) => each.model.id === model.id)?.path;
    return {
      choice: { kind: "this", model: model.id },
      title: model.title,
      detail: `${model.id === recommended.id ? "Recommended. " : ""}${describe(model)}`,
      state: path === undefined ? "needs-download" : isSetUp ? "ready" : "needs-setup",
      warm: path !== undefined && server?.engine === path,
    };
  });
}

async function theSwarm(surroundings: Surroundings): Promise<EngineInfo> {
  try {
    const { model, swarm } = await findSwarmTarget(surroundings);
    const server = await findAskServer(surroundings, "swarm");
    const modelPath = swarmModelFolder(surroundings.paths, model);
    return {
      choice: { kind: "swarm" },
      title: model.title,
      detail: swarm.kind === "private" ? "Your private swarm" : `Swarm: ${swarmText(swarm)}`,
      state: hasEnvironment(surroundings, "swarm") && isWhole(modelPath) ? "ready" : "needs-setup",
      warm: server?.engine === modelPath,
    };
  } catch (error) {
    const detail = toTorbizError(error).message;
    return { choice: { kind: "swarm" }, title: "Swarm", detail, state: "unavailable", warm: false };
  }
}

function hasEnvironment({ paths }: Surroundings, kind: AskServerKind): boolean {
  const name = new RegExp(`^${kind}-[0-9a-f]+$`);
  return readdirSync(paths.envs).some((entry) => name.test(entry) && existsSync(join(paths.envs, entry, "bin/python")));
}

function describe({ bytes, license, note }: LocalModel): string {
  return [`${(bytes / 1e9).toFixed(1)} GB`, license, note].filter(Boolean).join(", ");
}
