import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Surroundings } from "../context";
import { TorbizError } from "../errors";
import type { Model } from "../models";
import type { Paths } from "../paths";
import type { OnProgress } from "../progress";
import { inspectStarter } from "../starter-folder";
import { cancelDownload, describePull, runDownload, type DownloadJob } from "./download-job";
import type { Environment } from "./environment";
import { ensureStarterHere } from "./local-starter";

export interface EnsureSwarmModelOptions {
  surroundings: Pick<Surroundings, "paths" | "env" | "home" | "runtimeFiles">;
  model: Model;
  /** Makes the environment ready whose Python prepares or downloads; called only where something is missing. */
  environment: () => Promise<Environment>;
  /** A Hugging Face token; HF_TOKEN unless given. */
  token?: string;
  /** Stage preparing-model. */
  onProgress?: OnProgress;
  /** Ends the preparation of the starter; of a download only the watching, `cancelSwarmModel` ends it. */
  signal?: AbortSignal;
}

/**
 * What a swarm's client needs of a model on this computer: config, tokenizer, and the weights outside its blocks. Brought
 * here where it is missing, without Docker.
 *
 * @returns the absolute path of its folder
 * @throws TorbizError starter-failed, model-unknown, model-unsupported, model-gated, model-broken, hub-unreachable,
 *   download-failed, disk-full, home-not-writable, interrupted
 */
export async function ensureSwarmModel(options: EnsureSwarmModelOptions): Promise<string> {
  const { surroundings, model, environment } = options;
  const { paths } = surroundings;
  const folder = swarmModelFolder(paths, model);
  if (model.source.kind === "hub") {
    if (!isWhole(folder)) await download(options, model.source, folder);
  } else if ((await inspectStarter(paths)) !== "ready") {
    await ensureStarterHere({ ...options, environment: await environment() });
  }
  if (!isWhole(folder)) throw new TorbizError("model-broken", `${model.title} was prepared, but isn't complete.`);
  return folder;
}

/** Where it is kept. Of a model of the hub each commit has its own folder: parts of two make no model. */
export function swarmModelFolder(paths: Paths, { id, source }: Model): string {
  const folder = join(paths.models, id, "petals");
  return source.kind === "hub" ? join(folder, source.revision) : folder;
}

/** The config is put there last. */
function isWhole(folder: string): boolean {
  return existsSync(join(folder, "config.json"));
}

async function download(
  { surroundings, model, environment, token, onProgress, signal }: EnsureSwarmModelOptions,
  { repository, revision }: Extract<Model["source"], { kind: "hub" }>,
  folder: string,
): Promise<void> {
  const program = ["torbiz.hub_download", "--repo", repository, "--revision", revision, "--out", folder];
  const job = { surroundings, job: jobOf(model), program, environment: await environment(), token };
  for await (const progress of runDownload(job, signal)) {
    onProgress?.({ stage: "preparing-model", ...describePull(model.title, progress) });
  }
}

/** Ends its download, whoever started it: what has come is kept. @returns false when none runs */
export function cancelSwarmModel(paths: Paths, model: Model): Promise<boolean> {
  return cancelDownload(paths, jobOf(model));
}

/** One of each commit at a time. A model for this computer may have the same id. */
function jobOf({ id, title, source }: Model): DownloadJob {
  const revision = source.kind === "hub" ? [source.revision.replaceAll("/", "-")] : [];
  return { name: [id, "petals", ...revision].join("-"), title };
}
