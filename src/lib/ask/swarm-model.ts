import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Surroundings } from "../context";
import { TorbizError } from "../errors";
import type { Model } from "../models";
import type { Paths } from "../paths";
import type { OnProgress } from "../progress";
import { distrustStarterModel, inspectStarter } from "../starter-folder";
import { cancelDownload, describePull, isDownloadRunning, runDownload, type DownloadJob } from "./download-job";
import type { Environment } from "./environment";
import { ensureStarterHere } from "./local-starter";

const CONFIG = "config.json";

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

/** Whether all of it is in its folder: the config is put there last. */
export function isWhole(folder: string): boolean {
  return existsSync(join(folder, CONFIG));
}

/** Lets the next use bring a model anew: it is whole, but couldn't be loaded. */
export async function distrustSwarmModel(paths: Paths, model: Model): Promise<void> {
  if (model.source.kind === "starter") distrustStarterModel(paths);
  else await rm(join(swarmModelFolder(paths, model), CONFIG), { force: true });
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

/**
 * Ends the downloads of a swarm's model by its id, at whatever commit and whoever started them: what has come is kept.
 * @returns false when none runs
 */
export async function cancelSwarmModel(paths: Paths, id: string): Promise<boolean> {
  const jobs = await jobsFor(paths, id);
  return (await Promise.all(jobs.map((job) => cancelDownload(paths, job)))).includes(true);
}

/** Whether a swarm's model is being downloaded now, at whatever commit. */
export async function isSwarmModelDownloading(paths: Paths, id: string): Promise<boolean> {
  const jobs = await jobsFor(paths, id);
  return (await Promise.all(jobs.map((job) => isDownloadRunning(paths, job)))).includes(true);
}

/** Those that were ever started: their status files tell. */
async function jobsFor(paths: Paths, id: string): Promise<DownloadJob[]> {
  const names = (await readdir(paths.run)).map((file) => /^download-((.+)-petals(?:-.+)?)\.json$/.exec(file) ?? []);
  return names.flatMap(([, name, model]) => (name && model === id ? [{ name, title: id }] : []));
}

/** One of each commit at a time. A model for this computer may have the same id. */
function jobOf({ id, title, source }: Model): DownloadJob {
  const revision = source.kind === "hub" ? [source.revision.replaceAll("/", "-")] : [];
  return { name: [id, "petals", ...revision].join("-"), title };
}
