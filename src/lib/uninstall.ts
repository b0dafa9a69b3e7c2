import { existsSync, readdirSync } from "node:fs";
import { readFile, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { cancelAllDownloads } from "./ask/download-job";
import { endAskServer } from "./ask/server";
import { connectEngine, openEngine, type EngineContext, type Surroundings } from "./context";
import { entriesOf } from "./docker/build/build-cache";
import { buildFiles, currentBuild } from "./docker/build/lock";
import { statusOf, type CacheEntry, type DiskUsage, type Engine, type ListedImage } from "./docker/engine";
import { findAbandoned } from "./docker/one-off";
import { checkDocker } from "./docker/preflight";
import { TorbizError, toTorbizError } from "./errors";
import { folderBytes } from "./folder-bytes";
import { homeContents, type HomePart } from "./home-contents";
import { LABELS } from "./names";
import { acquireLock, lockHolder, type LockOptions, type ProcessLock } from "./process-lock";
import type { OnProgress } from "./progress";
import { BASE_IMAGE_STAND_IN } from "./setup/base-image";
import { lastShareAt } from "./sharing/last-choice";
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
  /** What of another instance works with this home folder, as a sentence: it isn't this one's to stop. */
  usedByOthers?: string;
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

const IN_ENGINE: readonly PartId[] = ["container", "image", "volume"];
/** What a share that runs, or the build of its image, needs; its lock and its log are among the settings. */
const NEEDED_BY_SHARE: readonly PartId[] = [...IN_ENGINE, "models", "settings"];
/** What all instances have together. */
const NEEDED_BY_OTHERS: readonly PartId[] = ["environments", "models", "settings"];
/** What the ask servers have open. */
const NEEDED_TO_ASK: readonly PartId[] = ["environments", "models", "conversations", "settings"];

const TOLD_NAMES = 5;

/**
 * All that Torbiz has put on this computer, with sizes. In the engine that is what has our label and this instance's
 * name; what only has the name is somebody else's.
 */
export async function findBelongings(surroundings: Surroundings): Promise<Belongings> {
  return belongingsOf(surroundings, await engineOf(surroundings));
}

async function belongingsOf(surroundings: Surroundings, context: EngineContext | undefined): Promise<Belongings> {
  const inEngine = context
    ? await inEngineOf(context)
    : { parts: [], notes: ["Docker doesn't answer: what is in it isn't listed."] };
  const { others, ...ours } = homeContents(surroundings.paths);
  const inHome = (id: HomePart, title: string, detail: string): Part[] =>
    ours[id].length === 0
      ? []
      : [{ id, title, detail, bytes: ours[id].reduce((sum, path) => sum + folderBytes(path), 0) }];
  const usedByOthers = await useByOthers(surroundings, context);
  return {
    parts: [
      ...inEngine.parts,
      ...inHome("environments", "Python environments", "what asking needs, and Pythons that were fetched"),
      ...inHome("models", "Models", "files that answer on this computer or are shared from it"),
      ...inHome("conversations", "Conversations", "questions and answers"),
      ...inHome("settings", "Logs and settings", "and what this computer has given"),
    ],
    notes: [
      ...inEngine.notes,
      ...(others.length > 0 ? [`Torbiz didn't make ${namesOf(others)}: that is left alone.`] : []),
      ...(usedByOthers === undefined ? [] : [usedByOthers]),
    ],
    ...(context && { inUse: (await inUse(context)) ?? startOf(context) }),
    usedByOthers,
  };
}

/** The first few of what may be very many. */
function namesOf(paths: readonly string[]): string {
  const more = paths.length - TOLD_NAMES;
  return new Intl.ListFormat("en").format([...paths.slice(0, TOLD_NAMES), ...(more > 0 ? [`${more} more`] : [])]);
}

/** Whether removing these parts takes the end of a share that runs. */
export function needsStop({ inUse: share }: Belongings, ids: readonly PartId[]): boolean {
  return share !== undefined && ids.some((id) => NEEDED_BY_SHARE.includes(id));
}

/**
 * Removes what was chosen; what can't be removed keeps nothing else from it.
 * @throws TorbizError already-sharing when a share needs it and `stop` isn't set, or another instance's does; and the
 *   engine's own, such as docker-not-running where something in it was chosen
 */
export async function removeBelongings(
  surroundings: Surroundings,
  ids: readonly PartId[],
  { stop = false, onProgress, signal }: RemovalOptions = {},
): Promise<Removal> {
  const context = ids.some((id) => IN_ENGINE.includes(id))
    ? await openEngine(surroundings)
    : await engineOf(surroundings);
  const found = await belongingsOf(surroundings, context);
  requireNoOthers(found.usedByOthers, ids);
  let stopped: string | undefined;
  if (context && needsStop(found, ids)) {
    if (!stop) throw shared(`${found.inUse} Nothing was removed.`);
    stopped = (await stopSharing(context, { onProgress })).message;
  }
  const chosen = found.parts.filter(({ id }) => ids.includes(id));
  const onWait = () => onProgress?.({ stage: "removing", message: "Waiting for another Torbiz", progress: null });
  const result: Removal = { ...(stopped !== undefined && { stopped }), removed: [], failed: [] };
  // No share begins meanwhile.
  const lock = await acquireLock(shareLock(surroundings), { signal, onWait });
  try {
    // One may have begun while we waited, and nobody agreed to its end.
    const begun = context && (await inUse(context));
    if (needsStop({ ...found, inUse: begun }, ids)) throw shared(`${begun} Nothing was removed.`);
    requireNoOthers(await useByOthers(surroundings, context), ids);
    if (chosen.some(({ id }) => NEEDED_TO_ASK.includes(id))) {
      onProgress?.({ stage: "removing", message: "Ending what answers on this computer", progress: null });
      for (const kind of ["local", "swarm"] as const) await endAskServer(surroundings, kind);
      await cancelAllDownloads(surroundings.paths);
    }
    for (const part of chosen) {
      if (signal?.aborted) break;
      onProgress?.({
        stage: "removing",
        message: `Removing: ${part.title}`,
        progress: result.removed.length / chosen.length,
      });
      try {
        await removePart(surroundings, context, part.id, { signal, onWait });
        result.removed.push(part);
      } catch (error) {
        result.failed.push({ part, error: toTorbizError(error) });
      }
    }
  } finally {
    lock.release();
  }
  // Only now: the lock is in one of them.
  if (result.removed.some(({ id }) => id === "settings")) await removeEmptyFolders(surroundings);
  return result;
}

function shared(message: string): TorbizError {
  return new TorbizError("already-sharing", message, {
    hint: "Stop sharing first, then remove it.",
    cliHint: "Add --stop: peers are told, then it ends.",
  });
}

/** @throws TorbizError already-sharing */
function requireNoOthers(use: string | undefined, ids: readonly PartId[]): void {
  if (use === undefined || !ids.some((id) => NEEDED_BY_OTHERS.includes(id))) return;
  throw new TorbizError("already-sharing", `${use} Nothing was removed.`, {
    hint: "End that first, then remove it.",
    cliHint: "End it with `torbiz stop` and its TORBIZ_INSTANCE.",
  });
}

async function removePart(
  surroundings: Surroundings,
  context: EngineContext | undefined,
  id: PartId,
  waiting: LockOptions,
): Promise<void> {
  const { paths } = surroundings;
  switch (id) {
    case "container":
    case "image":
    case "volume":
      if (!context) throw new TorbizError("docker-not-running", "Docker doesn't answer.");
      return removeFromEngine(context, id);
    case "environments":
      return removeEnvironments(surroundings, waiting);
    case "models":
    case "conversations":
      await removeAll(homeContents(paths)[id]);
      return removeIfEmpty(paths[id]);
    case "settings":
      return removeAll(homeContents(paths).settings);
  }
}

async function removeFromEngine(context: EngineContext, id: "container" | "image" | "volume"): Promise<void> {
  const { engine, names } = context;
  await clearEndedShare(context);
  if (id === "image") {
    // All is asked before anything goes: else the image would be gone, and that told as a failure.
    const { tags, untagged, cache, base } = await imagesOf(context, await diskUsageOf(engine));
    if (tags.includes(names.image)) await engine.removeImage(names.image);
    const left = [...tags.filter((tag) => tag !== names.image), ...untagged.map((image) => image.id)];
    // Last: the others stand on it.
    for (const image of [...left, ...(base ? [BASE_IMAGE_STAND_IN] : [])]) await removeUnlessUsed(engine, image);
    return engine.removeFromBuildCache(cache.map((entry) => entry.id));
  }
  if (id === "volume") return engine.removeVolume(names.volume);
  for (const { id: left } of await findAbandoned({ engine, names })) await engine.remove(left, { force: true });
  if (isOurs(await engine.network(names.network))) await engine.removeNetwork(names.network);
}

/** What a container still needs stays. */
async function removeUnlessUsed(engine: Engine, image: string): Promise<void> {
  try {
    await engine.removeImage(image);
  } catch (error) {
    if (statusOf(error) !== 409) throw error;
  }
}

/** None is being made meanwhile, and no Python fetched: who does waits, or is waited for. */
async function removeEnvironments({ paths }: Surroundings, waiting: LockOptions): Promise<void> {
  const names = homeContents(paths).environments.flatMap((path) => /^[a-z]+-[0-9a-f]{16}/.exec(basename(path)) ?? []);
  const locks: ProcessLock[] = [];
  try {
    for (const name of new Set(names)) locks.push(await acquireLock(join(paths.envs, `${name}.lock`), waiting));
    locks.push(await acquireLock(join(paths.run, "fetch-python.lock"), waiting));
    await removeAll(homeContents(paths).environments);
  } finally {
    for (const lock of locks) lock.release();
  }
  await removeIfEmpty(paths.envs);
}

/** Removes these, and their folders where they are empty then. A lock that somebody holds stays: its holder works on. */
async function removeAll(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    if (path.endsWith(".lock") && lockHolder(path) !== undefined) continue;
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
    await removeIfEmpty(dirname(path));
  }
}

async function removeEmptyFolders({ paths }: Surroundings): Promise<void> {
  const { home, ...rooms } = paths;
  for (const path of [...Object.values(rooms), home]) await removeIfEmpty(path);
}

async function removeIfEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch(() => undefined);
}

/**
 * A container that ended holds its image and its volume. Its log is kept, as by a stop.
 * @throws TorbizError already-sharing for one that runs
 */
async function clearEndedShare(context: EngineContext): Promise<void> {
  const container = await context.engine.inspect(context.names.container);
  if (!container || !isOurs(container.Config.Labels)) return;
  if (!["created", "exited", "dead"].includes(container.State.Status)) throw shared("A share runs now.");
  await stopContainer(context, container.Id);
}

async function engineOf(surroundings: Surroundings): Promise<EngineContext | undefined> {
  const docker = await checkDocker(surroundings);
  return docker.state === "ready" ? connectEngine(surroundings, docker) : undefined;
}

/** What of the image and its builds is ours. */
interface Images {
  /** The image's name, and the one that a killed build gave it; without those that aren't there. */
  tags: string[];
  /** What the classic builder kept of its steps, and images whose name a newer one has. */
  untagged: ListedImage[];
  /** What the builder BuildKit kept. */
  cache: CacheEntry[];
  /** The base image that was made where no registry answered. */
  base?: ListedImage;
}

/**
 * What no name tells whose it is isn't ours while another instance has an image, as it is for all, or while an image is
 * being built. The base image is all instances', too: it is the usual one's to remove.
 *
 * @param usage undefined where the engine doesn't say
 */
async function imagesOf(context: EngineContext, usage: DiskUsage | undefined): Promise<Images> {
  const { engine, names, paths, runtimeFiles } = context;
  const images = await engine.images(LABELS.contract);
  const own = [names.image, `${names.image}-building`];
  const ours = images.filter(({ labels }) => isOurs(labels));
  const tags = own.filter((tag) => ours.some((image) => image.tags.includes(tag)));
  if (images.some((image) => image.tags.some((tag) => !own.includes(tag)))) return { tags, untagged: [], cache: [] };
  const building = currentBuild(paths, names) ?? otherBuild(context);
  const left = building ? [] : [...ours, ...(await engine.images(LABELS.buildStep))];
  const managed = building || names.instance !== "" ? [] : await engine.images(LABELS.managed);
  const dockerfile = await readFile(join(runtimeFiles, "docker", "Dockerfile.macos"), "utf8");
  return {
    tags,
    untagged: left.filter((image) => image.tags.length === 0),
    cache: entriesOf(dockerfile, usage?.buildCache ?? []),
    base: managed.find(({ labels, tags: all }) => isOurs(labels) && all.includes(BASE_IMAGE_STAND_IN)),
  };
}

/** What holds how much; undefined where the engine takes too long over it, or is at it for somebody else. */
async function diskUsageOf(engine: Engine): Promise<DiskUsage | undefined> {
  return engine.diskUsage().catch(() => undefined);
}

async function inEngineOf(context: EngineContext): Promise<Belongings> {
  const { engine, names } = context;
  const [container, left, network, image, volume] = await Promise.all([
    engine.inspect(names.container),
    findAbandoned({ engine, names }),
    engine.network(names.network),
    engine.image(names.image),
    engine.volume(names.volume),
  ]);
  const status = readStatus(container);
  const own = container && status.state !== "foreign" ? [container.Id] : [];
  const containers = [...left.map(({ id }) => id), ...own];
  const parts: Part[] = [];
  // Once for all: an engine answers only one such question at a time.
  const usage = await diskUsageOf(engine);
  const { length } = containers;
  if (length > 0 || isOurs(network)) {
    const what = length === 0 ? "" : `${length} ${length === 1 ? "container" : "containers"} and `;
    const bytes = usage ? containers.reduce((sum, id) => sum + (usage.containers.get(id) ?? 0), 0) : null;
    parts.push({ id: "container", title: "Container", detail: `${what}the network ${names.network}`, bytes });
  }
  const { tags, untagged, cache, base } = await imagesOf(context, usage);
  const hasImage = tags.includes(names.image);
  const hasLeft = untagged.length + cache.length > 0 || tags.some((tag) => tag !== names.image);
  const what = [
    ...(hasImage ? [names.image] : []),
    ...(base ? [`its base image ${BASE_IMAGE_STAND_IN}`] : []),
    ...(hasLeft ? ["what its builds left in Docker"] : []),
  ];
  if (what.length > 0) {
    // What is another image's, too, is counted with that.
    const bytes = [
      hasImage ? (image?.sizeBytes ?? 0) : 0,
      ...[...untagged, ...(base ? [base] : [])].map(({ id }) => usage?.images.get(id) ?? 0),
      ...cache.map((entry) => (entry.shared ? 0 : entry.bytes)),
    ].reduce((sum, part) => sum + part);
    parts.push({ id: "image", title: "Image", detail: new Intl.ListFormat("en").format(what), bytes });
  }
  if (isOurs(volume)) {
    const bytes = usage?.volumes.get(names.volume) ?? null;
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
  return {
    parts,
    notes: [
      ...foreign.map((what) => `Torbiz didn't make ${what}: it is left alone.`),
      ...(usage ? [] : ["Docker didn't say what holds how much: sizes are missing, and its build cache isn't listed."]),
    ],
  };
}

function isOurs(labels: Readonly<Record<string, string>> | undefined): boolean {
  return labels?.[LABELS.managed] === "1";
}

/** What of this instance runs now, as a sentence. */
async function inUse({ engine, names, paths }: EngineContext): Promise<string | undefined> {
  const { state, model } = readStatus(await engine.inspect(names.container));
  if (!["absent", "foreign", "exited"].includes(state)) return `${model ?? "A model"} is shared now.`;
  return currentBuild(paths, names) ? "The image is being built now." : undefined;
}

function startOf(surroundings: Surroundings): string | undefined {
  return lockHolder(shareLock(surroundings)) === undefined ? undefined : "A share is about to begin.";
}

/**
 * What runs besides this instance's share, as a sentence: what another instance shares from this home folder, or the build
 * of another image. What was shared from other folders, as by another person, has nothing to lose here.
 */
async function useByOthers(
  { names, paths }: Surroundings,
  context: EngineContext | undefined,
): Promise<string | undefined> {
  const running = (await context?.engine.list(LABELS.managed))?.find(
    ({ Names, Labels, State }) =>
      isOurs(Labels) &&
      ["running", "paused", "restarting"].includes(State) &&
      Names[0] !== `/${names.container}` &&
      lastShareAt({ paths, names: { ...names, instance: Labels[LABELS.instance] ?? "" } }) !== undefined,
  );
  if (running) return `The container ${running.Names[0]?.slice(1)} runs now, and was shared from this home folder.`;
  const image = otherBuild({ names, paths });
  return image === undefined ? undefined : `The image ${image} is being built now.`;
}

/** Which image of another instance is being built from this home folder. */
function otherBuild({ names, paths }: Pick<Surroundings, "names" | "paths">): string | undefined {
  const own = basename(buildFiles(paths, names).lock);
  const locks = existsSync(paths.run) ? readdirSync(paths.run) : [];
  const builds = locks.flatMap((lock) => (lock === own ? [] : (/^build-(.+)\.lock$/.exec(lock)?.[1] ?? [])));
  return builds.find((name) => currentBuild(paths, { image: name }));
}
