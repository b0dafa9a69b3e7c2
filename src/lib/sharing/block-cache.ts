import { rmSync } from "node:fs";
import { join } from "node:path";
import { isRecord, lastRecord } from "../json";
import type { EngineContext } from "../context";
import { removeAbandoned, runOneOff } from "../docker/one-off";
import { TorbizError } from "../errors";
import { folderBytes } from "../folder-bytes";
import { forgetModel, idOfName, isOf, isRepository, knownModels } from "../hub/known-models";
import { findModel, repositoryOf, type Model } from "../models";
import { LABELS } from "../names";
import { acquireLock } from "../process-lock";
import { shareLock } from "./stop-request";

/** What is kept of a model that was fetched from a hub. */
export interface CachedModel {
  /** "owner/name" */
  repository: string;
  /** Undefined for one that is not known any more. */
  model?: Model;
  /** Blocks in the engine's cache volume. */
  volumeBytes: number;
  /** What asking needs, in the home folder. */
  homeBytes: number;
}

const JOB = "cache";
const MEMORY_BYTES = 256 * 1024 ** 2;
const TMP_BYTES = 1024 ** 2;
const LIMIT_MS = 120_000;

/**
 * What is kept of the hub's models, the largest first. The starter isn't among them: it is made here, not fetched.
 * @throws TorbizError image-missing (the volume is read by our image), or the engine's own
 */
export async function listCache(context: EngineContext, signal?: AbortSignal): Promise<CachedModel[]> {
  const { models } = await onVolume(context, ["list"], signal);
  const inVolume = (Array.isArray(models) ? models : []).flatMap((each: unknown) => {
    const { repository, bytes } = isRecord(each) ? each : {};
    return typeof repository === "string" && typeof bytes === "number" ? [{ repository, bytes }] : [];
  });
  const known = knownModels(context.paths).flatMap((model) => {
    const repository = repositoryOf(model);
    return repository === undefined ? [] : [{ repository, model }];
  });
  const others = inVolume.filter(({ repository }) => !known.some(({ model }) => isOf(model, repository)));
  return [...known, ...others.map(({ repository }) => ({ repository, model: undefined }))]
    .map(({ repository, model }) => ({
      ...{ repository, model },
      volumeBytes: inVolume.find((each) => idOfName(each.repository) === idOfName(repository))?.bytes ?? 0,
      homeBytes: folderBytes(homeFolder(context, repository)),
    }))
    .filter(({ volumeBytes, homeBytes }) => volumeBytes + homeBytes > 0)
    .toSorted((a, b) => b.volumeBytes + b.homeBytes - a.volumeBytes - a.homeBytes);
}

/**
 * Removes what is kept of a model, and forgets what the hub told of it. It is fetched anew when it is shared again.
 *
 * @param name its id or its repository
 * @returns the bytes that were freed
 * @throws TorbizError model-unknown, model-missing when nothing is kept of it, already-sharing while it is shared
 */
export async function removeCached(context: EngineContext, name: string, signal?: AbortSignal): Promise<number> {
  const { engine, names, paths } = context;
  const known = knownModels(paths);
  const typed = name.trim();
  const model = known.find((each) => isOf(each, typed)) ?? (isRepository(typed) ? undefined : findModel(typed, known));
  const repository = model ? repositoryOf(model) : typed;
  if (repository === undefined) {
    throw new TorbizError("model-missing", `${model?.title ?? typed} was not fetched from a model hub.`, {
      hint: "There is nothing to remove.",
    });
  }
  // No share begins meanwhile.
  const lock = await acquireLock(shareLock(context), { signal });
  try {
    const container = await engine.inspect(names.container);
    // A model that isn't known any more may be shared all the same.
    if (container?.State.Running && container.Config.Labels[LABELS.model] === idOfName(repository)) {
      throw new TorbizError(
        "already-sharing",
        `${model?.title ?? repository} is shared now, so its blocks are in use.`,
        {
          hint: "Stop it first, then remove them.",
          cliHint: "Stop it with `torbiz stop`.",
        },
      );
    }
    const { removed } = await onVolume(context, ["remove", repository], signal);
    const folder = homeFolder(context, repository);
    const homeBytes = folderBytes(folder);
    rmSync(folder, { recursive: true, force: true });
    if (model) forgetModel(paths, model);
    const freed = (typeof removed === "number" ? removed : 0) + homeBytes;
    if (freed > 0) return freed;
  } finally {
    lock.release();
  }
  throw new TorbizError("model-missing", `Nothing of ${model?.title ?? repository} is kept on this computer.`, {
    hint: "There is nothing to remove.",
    cliHint: "`torbiz cache list` tells what is kept.",
  });
}

/** Runs `torbiz.block_cache` on the volume, in a container without a network; its answer. */
async function onVolume(
  context: EngineContext,
  job: readonly string[],
  signal?: AbortSignal,
): Promise<Record<string, unknown>> {
  const { engine, names } = context;
  if (!(await engine.image(names.image))) {
    throw new TorbizError("image-missing", `The image ${names.image} is not there, and it reads the cache.`);
  }
  await engine.ensureVolume(names.volume, { [LABELS.managed]: "1", [LABELS.instance]: names.instance });
  await removeAbandoned({ engine, names, job: JOB });
  const { exitCode, lines } = await runOneOff({
    engine,
    names,
    job: JOB,
    command: ["python", "-m", "torbiz.block_cache", ...job],
    memoryBytes: MEMORY_BYTES,
    tmpBytes: TMP_BYTES,
    mounts: [{ Type: "volume", Source: names.volume, Target: "/cache" }],
    limit: {
      ms: LIMIT_MS,
      error: () => new TorbizError("docker-not-answering", "The cache couldn't be read within two minutes."),
    },
    signal,
  });
  const answer = lastRecord(lines);
  if (exitCode === 0 && answer) return answer;
  throw new TorbizError("docker-request-failed", `The cache couldn't be read: exit code ${exitCode}.`, {
    details: { lines },
  });
}

/** Where asking keeps what it needs of a model. */
function homeFolder({ paths }: EngineContext, repository: string): string {
  return join(paths.models, idOfName(repository), "petals");
}
