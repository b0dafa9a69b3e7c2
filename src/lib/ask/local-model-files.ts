import { rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Surroundings } from "../context";
import { TorbizError } from "../errors";
import type { Paths } from "../paths";
import type { OnProgress } from "../progress";
import { distrustStarterModel, inspectStarter } from "../starter-folder";
import { describePull } from "./download-job";
import type { Environment } from "./environment";
import { findLocalModel, LOCAL_MODELS, type LocalModel } from "./local-models";
import { ensureStarterHere } from "./local-starter";
import { isDownloading, modelFile, pull, type HubModel } from "./model-download";

/** A model whose file is here, whole. */
export interface InstalledModel {
  model: LocalModel;
  /** Absolute. */
  path: string;
  /** On the disk: of the starter with its other form, which sharing uses. */
  bytes: number;
}

export interface EnsureModelOptions {
  surroundings: Pick<Surroundings, "paths" | "env" | "home" | "runtimeFiles">;
  model: LocalModel;
  /** Kind "local": its Python downloads and prepares. */
  environment: Environment;
  /** A Hugging Face token, where the hub refuses without: HF_TOKEN unless given. */
  token?: string;
  /** Stage preparing-model. */
  onProgress?: OnProgress;
  /** Ends the preparation of the starter; of a download only the watching, `cancelPull` ends it. */
  signal?: AbortSignal;
}

const STAGE = "preparing-model";
/** Both forms of the starter together. */
const STARTER_BYTES = 811_000_000;

/** What is on this computer, in the catalogue's order. A look at sizes, not at contents. */
export async function installedModels(paths: Paths): Promise<InstalledModel[]> {
  const found = await Promise.all(
    LOCAL_MODELS.map(async (model) => ((await isInstalled(paths, model)) ? [toInstalled(paths, model)] : [])),
  );
  return found.flat();
}

/** Whether a model's file is here, whole as far as its size tells. */
export async function isInstalled(paths: Paths, model: LocalModel): Promise<boolean> {
  if (model.source === "starter") return (await inspectStarter(paths)) === "ready";
  return (await sizeOf(modelFile(paths, model))) === model.bytes;
}

function toInstalled(paths: Paths, model: LocalModel): InstalledModel {
  const bytes = model.source === "starter" ? STARTER_BYTES : model.bytes;
  return { model, path: modelFile(paths, model), bytes };
}

/**
 * A model's file, brought here first where it is missing or damaged: downloaded, or the starter prepared. For a file of the
 * user's own: that it is still there.
 *
 * @returns its absolute path
 * @throws TorbizError download-failed, disk-full, home-not-writable, starter-failed, model-missing, model-broken, interrupted
 */
export async function ensureLocalModel(options: EnsureModelOptions): Promise<string> {
  const { surroundings, model, onProgress, signal } = options;
  const path = modelFile(surroundings.paths, model);
  if (model.source === "file") return findLocalModel(path).file;
  if (await isInstalled(surroundings.paths, model)) return path;
  if (isHubModel(model)) {
    for await (const progress of pull({ ...options, model }, signal)) {
      onProgress?.({ stage: STAGE, ...describePull(model.title, progress) });
    }
  } else {
    await ensureStarterHere(options);
  }
  if (!(await isInstalled(surroundings.paths, model))) {
    throw new TorbizError("model-broken", `${model.title} was prepared, but ${path} isn't complete.`);
  }
  return path;
}

function isHubModel(model: LocalModel): model is HubModel {
  return model.hub !== undefined;
}

/**
 * Lets the next use look at a model's contents: its file has the right size, but couldn't be loaded. The starter is
 * prepared anew, a download is checked by its hash and comes anew when that is wrong. A file of the user's own is left alone.
 */
export async function distrustModel(paths: Paths, model: LocalModel): Promise<void> {
  if (model.source === "starter") distrustStarterModel(paths);
  if (!isHubModel(model)) return;
  const path = modelFile(paths, model);
  // The name under which torbiz.download goes on with what has come: all of it, so it only checks.
  await rename(path, join(dirname(path), `.${model.hub.sha256.slice(0, 16)}.partial`)).catch(() => undefined);
}

/**
 * Removes a model's files, also those of an unfinished download. A server that has it loaded keeps it until it ends.
 *
 * @returns false when there was nothing to remove
 * @throws TorbizError usage for a file of the user's own, and while it is being downloaded
 */
export async function removeModel(paths: Paths, model: LocalModel): Promise<boolean> {
  if (model.source === "file") {
    throw new TorbizError("usage", `${model.file} is a file of your own.`, { hint: "Torbiz leaves it alone." });
  }
  if (await isDownloading(paths, model)) {
    throw new TorbizError("usage", `${model.title} is being downloaded.`, { hint: "Cancel the download first." });
  }
  const folder = join(paths.models, model.id);
  const there = (await sizeOf(folder)) !== undefined;
  await rm(folder, { recursive: true, force: true });
  return there;
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (facts) => facts.size,
    () => undefined,
  );
}
