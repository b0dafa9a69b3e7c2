import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Surroundings } from "../context";
import { TorbizError } from "../errors";
import type { Model } from "../models";
import type { OnProgress } from "../progress";
import { inspectStarter } from "../starter-folder";
import type { Environment } from "./environment";
import { ensureStarterHere } from "./local-starter";

export interface EnsureSwarmModelOptions {
  surroundings: Pick<Surroundings, "paths" | "env" | "home" | "runtimeFiles">;
  model: Model;
  /** Makes the environment ready whose Python prepares; called only where something is missing. */
  environment: () => Promise<Environment>;
  /** Stage preparing-model. */
  onProgress?: OnProgress;
  /** Ends it. */
  signal?: AbortSignal;
}

/**
 * What a swarm's client needs of a model on this computer: config, tokenizer, and the weights outside its blocks. Brought
 * here where it is missing, without Docker.
 *
 * @returns the absolute path of its folder
 * @throws TorbizError model-missing, starter-failed, disk-full, home-not-writable, interrupted
 */
export async function ensureSwarmModel(options: EnsureSwarmModelOptions): Promise<string> {
  const { surroundings, model, environment } = options;
  const { paths } = surroundings;
  if (model.source.kind === "starter" && (await inspectStarter(paths)) !== "ready") {
    await ensureStarterHere({ ...options, environment: await environment() });
  }
  const folder = join(paths.models, model.id, "petals");
  if (!existsSync(join(folder, "config.json"))) {
    throw new TorbizError("model-missing", `${model.title} is not on this computer yet.`);
  }
  return folder;
}
