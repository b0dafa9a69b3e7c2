import { readdirSync } from "node:fs";
import { rm, rmdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { cancelAllDownloads } from "./ask/download-job";
import { endAskServer } from "./ask/server";
import { connectEngine, type EngineContext, type Surroundings } from "./context";
import { currentBuild } from "./docker/build/lock";
import { findAbandoned } from "./docker/one-off";
import { checkDocker } from "./docker/preflight";
import { TorbizError, toTorbizError } from "./errors";
import { folderBytes } from "./folder-bytes";
import { LABELS } from "./names";
import { acquireLock, lockHolder } from "./process-lock";
import type { OnProgress } from "./progress";
import { readStatus } from "./sharing/status";
import { stopContainer, stopSharing } from "./sharing/stop";
import { shareLock } from "./sharing/stop-request";

/** What can be removed each by itself, in the order in which it goes. */
export const PART_IDS = [
  "container",
  "image",
  "volume",
  "environments",
  "models",
  "conversations",
  "settings",
] as const;

export type PartId = (typeof PART_IDS)[number];

/** Something of Torbiz's that is on this computer. */
export interface Part {
  id: PartId;
  title: string;
  /** What it is and where. */
  detail: string;
  /** What its removal frees; null where that can't be told. */
  bytes: number | null;
}

export interface Belongings {
  parts: Part[];
  /** Why a share has to be stopped first, as a sentence; undefined when none runs. */
  inUse?: string;
  /** What is left alone, and why. */
  notes: string[];
}

export interface RemovalOptions {
  /** A share that runs is stopped first, and its peers are told. */
  stop?: boolean;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

export interface Removal {
  /** How a share that ran ended, as a sentence; absent where none was stopped. */
  stopped?: string;
  removed: Part[];
  failed: { part: Part; error: TorbizError }[];
}

/** What a share that runs needs. */
const NEEDED_BY_SHARE: readonly PartId[] = ["container", "image", "volume", "models"];
/** What the ask servers have open. */
const NEEDED_TO_ASK: readonly PartId[] = ["environments", "models", "conversations", "settings"];

/**
 * All that Torbiz has put on this computer, with sizes. In the engine that is what has our label and this instance's
 * name; what only has the name is somebody else's.
 */
export async function findBelongings(surroundings: Surroundings): Promise<Belongings> {
  const { paths } = surroundings;
  const context = await engineOf(surroundings);
  const inEngine = context
    ? await inEngineOf(context)
    : { parts: [], notes: ["Docker doesn't answer: what is in it isn't listed."] };
  const folders: Part[] = [
    folder(
      "environments",
      "Python environments",
      "what asking needs, and Pythons that were fetched",
      paths.envs,
      paths.pythons,
    ),
    folder("models", "Models", "files that answer on this computer or are shared from it", paths.models),
    folder("conversations", "Conversations", "questions and answers", paths.conversations),
    folder("settings", "Logs and settings", "and what this computer has given", ...settingsOf(surroundings)),
  ];
  return {
    ...inEngine,
    parts: [...inEngine.parts, ...folders.filter(({ bytes }) => bytes !== 0)],
    ...(context && { inUse: await inUse(context) }),
  };
}

/** Whether removing these parts takes the end of a share that runs. */
export function needsStop({ inUse: share }: Belongings, ids: readonly PartId[]): boolean {
  return share !== undefined && ids.some((id) => NEEDED_BY_SHARE.includes(id));
}

/**
 * Removes what was chosen; what can't be removed keeps nothing else from it.
 * @throws TorbizError already-sharing when a share needs it and `stop` isn't set, and the engine's own
 */
export async function removeBelongings(
  surroundings: Surroundings,
  ids: readonly PartId[],
  { stop = false, onProgress, signal }: RemovalOptions = {},
): Promise<Removal> {
  const found = await findBelongings(surroundings);
  const chosen = found.parts.filter(({ id }) => ids.includes(id));
  const context = await engineOf(surroundings);
  let stopped: string | undefined;
  if (context && needsStop(found, ids)) {
    if (!stop) {
      throw new TorbizError("already-sharing", `${found.inUse} Nothing was removed.`, {
        hint: "Stop sharing first, then remove it.",
        cliHint: "Add --stop: peers are told, then it ends.",
      });
    }
    stopped = (await stopSharing(context, { onProgress })).message;
  }
  if (chosen.some(({ id }) => NEEDED_TO_ASK.includes(id))) {
    onProgress?.({ stage: "removing", message: "Ending what answers on this computer", progress: null });
    for (const kind of ["local", "swarm"] as const) await endAskServer(surroundings, kind);
    await cancelAllDownloads(surroundings.paths);
  }
  const result: Removal = { ...(stopped !== undefined && { stopped }), removed: [], failed: [] };
  // No share begins meanwhile.
  const lock = await acquireLock(shareLock(surroundings), { signal });
  try {
    for (const part of chosen) {
      if (signal?.aborted) break;
      onProgress?.({
        stage: "removing",
        message: `Removing: ${part.title}`,
        progress: result.removed.length / chosen.length,
      });
      // The lock is in a folder of it.
      if (part.id === "settings") lock.release();
      try {
        await REMOVE[part.id](surroundings, context);
        result.removed.push(part);
      } catch (error) {
        result.failed.push({ part, error: toTorbizError(error) });
      }
    }
  } finally {
    lock.release();
  }
  return result;
}

type Remove = (surroundings: Surroundings, context: EngineContext | undefined) => Promise<void>;

const REMOVE: Record<PartId, Remove> = {
  container: async (_, context) => {
    if (!context) return;
    const { engine, names } = context;
    await clearEndedShare(context);
    for (const { id } of await findAbandoned({ engine, names })) await engine.remove(id, { force: true });
    if (isOurs(await engine.network(names.network))) await engine.removeNetwork(names.network);
  },
  image: async (_, context) => {
    if (!context) return;
    await clearEndedShare(context);
    await context.engine.removeImage(context.names.image);
  },
  volume: async (_, context) => {
    if (!context) return;
    await clearEndedShare(context);
    await context.engine.removeVolume(context.names.volume);
  },
  environments: ({ paths }) => removeAll([paths.envs, paths.pythons]),
  models: ({ paths }) => removeAll([paths.models]),
  conversations: ({ paths }) => removeAll([paths.conversations]),
  settings: async (surroundings) => {
    const { home, envs, pythons, models, conversations } = surroundings.paths;
    await removeAll(settingsOf(surroundings));
    // Only those in which nothing is left.
    for (const path of [envs, pythons, models, conversations, home]) await rmdir(path).catch(() => undefined);
  },
};

async function removeAll(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { recursive: true, force: true, maxRetries: 3 });
}

/** A container that ended holds its image and its volume. Its log is kept, as by a stop. */
async function clearEndedShare(context: EngineContext): Promise<void> {
  const status = readStatus(await context.engine.inspect(context.names.container));
  if (status.state !== "absent" && status.state !== "foreign") await stopContainer(context, context.names.container);
}

async function engineOf(surroundings: Surroundings): Promise<EngineContext | undefined> {
  const docker = await checkDocker(surroundings);
  return docker.state === "ready" ? connectEngine(surroundings, docker) : undefined;
}

async function inEngineOf({ engine, names }: EngineContext): Promise<Belongings> {
  const [container, left, network, image, volume] = await Promise.all([
    engine.inspect(names.container),
    findAbandoned({ engine, names }),
    engine.network(names.network),
    engine.image(names.image),
    engine.volume(names.volume),
  ]);
  const status = readStatus(container);
  const containers = left.length + (status.state === "absent" || status.state === "foreign" ? 0 : 1);
  const parts: Part[] = [];
  if (containers > 0 || isOurs(network)) {
    const what = containers === 0 ? "" : `${containers} ${containers === 1 ? "container" : "containers"} and `;
    parts.push({ id: "container", title: "Container", detail: `${what}the network ${names.network}`, bytes: null });
  }
  if (image && isOurs(image.labels)) {
    parts.push({ id: "image", title: "Image", detail: names.image, bytes: image.sizeBytes });
  }
  if (isOurs(volume)) {
    const bytes = (await engine.volumeBytes(names.volume)) ?? null;
    parts.push({
      id: "volume",
      title: "Cache",
      detail: `the volume ${names.volume}: downloaded blocks, and your peer's identity`,
      bytes,
    });
  }
  const foreign = [
    ...(status.state === "foreign" ? [`the container ${names.container}`] : []),
    ...(image && !isOurs(image.labels) ? [`the image ${names.image}`] : []),
    ...(volume && !isOurs(volume) ? [`the volume ${names.volume}`] : []),
    ...(network && !isOurs(network) ? [`the network ${names.network}`] : []),
  ];
  return { parts, notes: foreign.map((what) => `Torbiz didn't make ${what}: it is left alone.`) };
}

function isOurs(labels: Readonly<Record<string, string>> | undefined): boolean {
  return labels?.[LABELS.managed] === "1";
}

async function inUse(context: EngineContext): Promise<string | undefined> {
  const { engine, names, paths } = context;
  const { state, model } = readStatus(await engine.inspect(names.container));
  if (!["absent", "foreign", "exited"].includes(state)) return `${model ?? "A model"} is shared now.`;
  if (currentBuild(paths, names)) return "The image is being built now.";
  return lockHolder(shareLock(context)) === undefined ? undefined : "A share is about to begin.";
}

function folder(id: PartId, title: string, detail: string, ...paths: readonly string[]): Part {
  const bytes = paths.reduce((sum, path) => sum + folderBytes(path), 0);
  return { id, title, detail, bytes };
}

/** What is in the home folder and is no part of its own. */
function settingsOf({ paths }: Surroundings): string[] {
  const others = [paths.envs, paths.pythons, paths.models, paths.conversations].map((path) => basename(path));
  try {
    return readdirSync(paths.home)
      .filter((name) => !others.includes(name))
      .map((name) => join(paths.home, name));
  } catch {
    return [];
  }
}
