import { join } from "node:path";
import type { Paths } from "../paths";
import {
  cancelDownload,
  followDownload,
  isDownloadRunning,
  runDownload,
  type DownloadJob,
  type DownloadOptions,
  type PullProgress,
} from "./download-job";
import type { HubFile, LocalModel } from "./local-models";

/** A model that comes from the hub. */
export type HubModel = LocalModel & { hub: HubFile };

/** `environment` is of kind "local". */
export interface PullOptions extends Omit<DownloadOptions, "job" | "program"> {
  model: HubModel;
}

/**
 * Downloads a model, or joins its download that runs: progress until all is there and checked. Leaving the loop leaves the
 * download alone.
 *
 * @param signal stops watching; the download goes on
 * @throws TorbizError download-failed, disk-full, home-not-writable, interrupted (cancelled, or no longer watched)
 */
export function pull({ model, ...options }: PullOptions, signal?: AbortSignal): AsyncGenerator<PullProgress> {
  const { repo, revision, sha256 } = model.hub;
  const program = [
    ...["torbiz.download", "--repo", repo, "--revision", revision, "--file", model.file],
    ...["--sha256", sha256, "--bytes", `${model.bytes}`, "--out", modelFile(options.surroundings.paths, model)],
  ];
  return runDownload({ ...options, job: jobOf(model), program }, signal);
}

/**
 * A download that runs, whoever started it, as progress until its end. Ends at once when none runs.
 *
 * @param signal stops watching; the download goes on
 * @throws TorbizError as `pull`
 */
export function followPull(paths: Paths, model: LocalModel, signal?: AbortSignal): AsyncGenerator<PullProgress> {
  return followDownload(paths, jobOf(model), signal);
}

/**
 * Ends the download of a model, whoever started it. What has come is kept, and the next download goes on from there.
 * @returns when it has ended; false when none runs
 */
export function cancelPull(paths: Paths, model: LocalModel): Promise<boolean> {
  return cancelDownload(paths, jobOf(model));
}

/** Whether a model is being downloaded now. */
export function isDownloading(paths: Paths, model: LocalModel): Promise<boolean> {
  return isDownloadRunning(paths, jobOf(model));
}

function jobOf({ id, title }: LocalModel): DownloadJob {
  return { name: id, title };
}

/** Where a model's file is, or will be: absolute. */
export function modelFile(paths: Pick<Paths, "models">, model: LocalModel): string {
  return model.source === "file" ? model.file : join(paths.models, model.id, "gguf", model.file);
}
