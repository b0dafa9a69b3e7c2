import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ContainerInspectInfo } from "dockerode";
import { findDockerCli } from "../docker/cli";
import { ensureImage } from "../docker/build/image";
import type { LogLine } from "../docker/demux";
import type { EngineContext } from "../context";
import { errorCodes, TorbizError, type ErrorCode } from "../errors";
import { defaultModel, findModel, type Model } from "../models";
import { LABELS } from "../names";
import { acquireLock } from "../process-lock";
import type { OnProgress } from "../progress";
import { containerOptions, type SharePlan, type StartedBy } from "./container";
import { keepLogs } from "./kept-logs";
import { rememberSwarm } from "./last-swarm";
import { requireFreePort } from "./port";
import { distrustStarterModel, ensureStarterModel } from "./starter";
import { readStatus, type SharingStatus } from "./status";
import { foreignContainer, stopSharing } from "./stop";
import { swarmText, type Swarm } from "./swarm";

/** What to share. Everything has a default: the starter model, in a private swarm, as many blocks as fit. */
export interface ShareOptions {
  model?: string;
  swarm?: Swarm;
  /** Number of blocks to serve. */
  blocks?: number;
  port?: number;
  /** A Hugging Face token; it reaches the container by stdin only. */
  token?: string;
  /** Return when the server is ONLINE (the default), or as soon as its container runs. */
  wait?: boolean;
  startedBy?: StartedBy;
  onProgress?: OnProgress;
  /** Takes sentences a person should know: what was found and cleaned up, what was adopted. */
  onNote?: (note: string) => void;
  /** Aborting stops what this call started. */
  signal?: AbortSignal;
}

export interface ShareResult {
  status: SharingStatus;
  model: Model;
  /** It ran already: nothing was started. */
  adopted: boolean;
  /** Who started the container that runs now. */
  startedBy: StartedBy;
}

/** A seeder that says nothing for this long while it starts won't come to an end. */
const SILENCE_LIMIT_MS = 15 * 60_000;
const POLL_MS = 500;

/**
 * Shares a model: image, model files and container are made where they are missing, and a share that runs already is
 * adopted. Returns when peers can use it.
 *
 * @throws TorbizError model-unknown, blocks-invalid, port-in-use, foreign-container, already-sharing, share-failed, ...
 */
export async function share(context: EngineContext, options: ShareOptions = {}): Promise<ShareResult> {
  const { engine } = context;
  const { swarm = { kind: "private" }, onProgress, signal } = options;
  const model = options.model === undefined ? defaultModel : findModel(options.model);
  checkNumbers(options);

  const running = await inTurn(context, options, () => adoptOrStart(context, options, { model, swarm }));
  rememberSwarm(context, { model: model.id, swarm: running.swarm });
  try {
    const status =
      options.wait === false
        ? readStatus(await engine.inspect(running.containerId))
        : await waitUntilOnline(context, running.containerId, options);
    return { status, model, adopted: running.adopted, startedBy: running.startedBy };
  } catch (error) {
    if (running.adopted) throw error;
    if (signal?.aborted) {
      await stopSharing(context, { onProgress });
      throw interrupted(error);
    }
    if (error instanceof TorbizError && error.code === "model-broken") distrustStarterModel(context.paths);
    // One that ended had its log kept by then; one that is only slow goes on.
    if (!(await engine.inspect(running.containerId))?.State.Running) {
      await engine.remove(running.containerId, { force: true });
    }
    throw error;
  }
}

/** A container that runs, and who started it. */
interface RunningContainer {
  containerId: string;
  /** The swarm it is in, as its label tells: an adopted one may be in another than the default. */
  swarm: string;
  adopted: boolean;
  startedBy: StartedBy;
}

/** Two commands at once must not take each other's half-made container for a left-over: the second waits, then adopts. */
async function inTurn<T>(
  { paths, names }: EngineContext,
  { onProgress, signal }: ShareOptions,
  work: () => Promise<T>,
): Promise<T> {
  const waiting = { stage: "waiting", message: "Another command is starting to share: waiting for it", progress: null };
  const lock = await acquireLock(join(paths.run, `${names.container}.lock`), {
    onWait: () => onProgress?.(waiting),
    signal,
  });
  try {
    return await work();
  } finally {
    lock.release();
  }
}

async function adoptOrStart(
  context: EngineContext,
  options: ShareOptions,
  { model, swarm }: { model: Model; swarm: Swarm },
): Promise<RunningContainer> {
  const { engine, names } = context;
  const { port = names.port, onProgress, signal } = options;
  const running = await adoptOrCleanUp(context, options, { model, swarm });
  if (running) return running;
  await requireFreePort(context, port);

  const image = await prepareImage(context, options);
  const plan: SharePlan = {
    model,
    modelFolder: await prepareModel(context, model, options),
    swarm,
    port,
    blocks: options.blocks,
    hasToken: options.token !== undefined,
    startedBy: options.startedBy ?? "share",
    inputs: image.labels[LABELS.inputs] ?? "",
  };
  signal?.throwIfAborted();
  onProgress?.({ stage: "starting", message: "Starting the container", progress: null });
  const labels = { [LABELS.managed]: "1", [LABELS.instance]: names.instance };
  await engine.ensureVolume(names.volume, labels);
  await engine.ensureNetwork(names.network, labels);
  const containerId = await engine.createContainer(names.container, containerOptions(plan, names, context.facts));
  try {
    if (options.token === undefined) await engine.start(containerId);
    else await engine.startWithStdin(containerId, `${options.token}\n`);
  } catch (error) {
    await engine.remove(containerId, { force: true });
    throw error;
  }
  return { containerId, swarm: swarmText(swarm), adopted: false, startedBy: plan.startedBy };
}

function checkNumbers({ blocks, port }: ShareOptions): void {
  if (blocks !== undefined && (!Number.isInteger(blocks) || blocks < 1)) {
    throw new TorbizError("blocks-invalid", `${blocks} is not a number of blocks.`);
  }
  if (port !== undefined && (!Number.isInteger(port) || port < 1024 || port > 65535)) {
    throw new TorbizError("port-invalid", `${port} can't be used as a port.`);
  }
}

/** A share that serves what is wanted is adopted; one that ended is cleaned up; another one is in the way. */
async function adoptOrCleanUp(
  context: EngineContext,
  options: ShareOptions,
  wanted: { model: Model; swarm: Swarm },
): Promise<RunningContainer | undefined> {
  const { engine, names } = context;
  const container = await engine.inspect(names.container);
  if (!container) return undefined;
  const status = readStatus(container);
  if (status.state === "foreign") throw foreignContainer(names.container, container.Config.Image);
  if (!container.State.Running) {
    const { path } = await keepLogs(context, container.Id);
    await engine.remove(container.Id, { force: true });
    options.onNote?.(
      container.State.Status === "created"
        ? "Removed a container that an earlier, interrupted run had made but not started."
        : `Removed the container of an earlier share (${status.message ?? "it had ended"}) Its log: ${path}`,
    );
    return undefined;
  }
  const differs = difference(container, options, wanted);
  if (differs) {
    throw new TorbizError("already-sharing", `${status.model ?? "A model"} is shared already, ${differs}.`, {
      hint: "Stop it first with `torbiz stop`, then share again.",
    });
  }
  options.onNote?.("A share that was started earlier is running: it is used as it is.");
  const startedBy = container.Config.Labels[LABELS.startedBy] === "quickstart" ? "quickstart" : "share";
  return { containerId: container.Id, swarm: status.swarm ?? swarmText(wanted.swarm), adopted: true, startedBy };
}

/** In what a running share differs from what is wanted, as the end of a sentence; undefined when it will do. */
function difference(
  container: ContainerInspectInfo,
  options: ShareOptions,
  { model, swarm }: { model: Model; swarm: Swarm },
): string | undefined {
  const labels = container.Config.Labels;
  if (labels[LABELS.model] !== model.id) return `not ${model.id}`;
  if (options.swarm && labels[LABELS.swarm] !== swarmText(swarm)) return `in another swarm (${labels[LABELS.swarm]})`;
  if (options.port !== undefined && labels[LABELS.port] !== String(options.port))
    return `on port ${labels[LABELS.port]}`;
  if (options.blocks !== undefined && labels[LABELS.blocks] !== String(options.blocks)) {
    return `with ${labels[LABELS.blocks] === "auto" ? "as many blocks as fit" : `${labels[LABELS.blocks]} blocks`}`;
  }
  return undefined;
}

async function prepareImage(context: EngineContext, { onProgress, onNote, signal }: ShareOptions) {
  const { engine, endpoint, names, paths, runtimeFiles, env } = context;
  const { note, built, seconds } = await ensureImage({
    engine,
    endpoint,
    cliPath: () => findDockerCli(context),
    names,
    paths,
    runtimeFiles,
    env,
    onProgress,
    signal,
  });
  if (note) onNote?.(note);
  else if (built) onNote?.(`Built the image in ${Math.round(seconds)} s.`);
  const image = await engine.image(names.image);
  if (!image) throw new TorbizError("image-missing", `The image ${names.image} is not there.`);
  return image;
}

/** The model's folder for the container, made ready where needed. */
async function prepareModel(
  context: EngineContext,
  model: Model,
  { onProgress, onNote, signal }: ShareOptions,
): Promise<string> {
  const { engine, names, paths, facts } = context;
  const { rootless } = facts;
  const { folder, prepared, seconds } = await ensureStarterModel({
    engine,
    names,
    paths,
    rootless,
    onProgress,
    signal,
  });
  if (prepared) onNote?.(`Prepared ${model.title} in ${Math.round(seconds)} s.`);
  return `${folder}/petals`;
}

/**
 * Waits until the swarm knows our blocks (Petals' ONLINE), reporting its stages as the log tells them.
 * @throws TorbizError share-failed (or the seeder's own code), share-timeout, interrupted
 */
async function waitUntilOnline(
  context: EngineContext,
  containerId: string,
  { onProgress, signal }: ShareOptions,
): Promise<SharingStatus> {
  const { engine } = context;
  const watching = new AbortController();
  let lastSign = performance.now();
  const watch = followStages(context, containerId, watching.signal, (stage) => {
    lastSign = performance.now();
    onProgress?.(stage);
  });
  try {
    for (;;) {
      const container = await engine.inspect(containerId);
      const status = readStatus(container);
      if (status.state === "online") return status;
      if (container?.State.Paused) {
        throw new TorbizError("share-failed", "The container is paused, so it can't come online.", {
          hint: `Go on with \`docker unpause ${context.names.container}\`, or stop it with \`torbiz stop\`.`,
        });
      }
      if (!container || !container.State.Running) throw await explainEnd(context, containerId, status);
      if (performance.now() - lastSign > SILENCE_LIMIT_MS) {
        throw new TorbizError("share-timeout", "The server has said nothing for 15 minutes while it starts.");
      }
      await delay(POLL_MS, undefined, { signal });
    }
  } finally {
    watching.abort();
    await watch;
  }
}

/** Reads the seeder's "Stage:" lines as they come. Ends quietly: the truth is in inspect, this only hurries it. */
async function followStages(
  { engine }: EngineContext,
  containerId: string,
  signal: AbortSignal,
  onStage: OnProgress,
): Promise<void> {
  try {
    for await (const { text } of engine.logs(containerId, { follow: true, tail: 100, signal })) {
      const [, stage, loaded, total] = /Stage: (\w+)(?: (\d+)\/(\d+))?/.exec(text) ?? [];
      if (!stage) continue;
      onStage({
        stage,
        message: stageMessage(stage, loaded, total),
        progress: loaded && total ? Number(loaded) / Number(total) : null,
      });
    }
  } catch {
    // The container or the engine went away: inspect says which.
  }
}

function stageMessage(stage: string, loaded?: string, total?: string): string {
  switch (stage) {
    case "starting":
      return "Starting Petals";
    case "connecting":
      return "Connecting to the swarm";
    case "measuring":
      return "Measuring this computer's speed";
    case "joining":
      return "Joining the swarm";
    case "loading":
      return `Loading block ${loaded} of ${total}`;
    case "checking":
      return "Checking whether peers can reach this computer";
    case "online":
      return "Online: peers can use it";
    default:
      return `Petals says: ${stage}`;
  }
}

/** Why the container ended before it was online; keeps its log. */
async function explainEnd(context: EngineContext, containerId: string, status: SharingStatus): Promise<TorbizError> {
  const { path, lines } = await keepLogs(context, containerId);
  const details = { exitCode: status.exitCode, log: path, lines: lines.slice(-20).map(({ text }) => text) };
  const { code, message } = namedFailure(lines) ?? {
    code: "share-failed" as const,
    message: status.message ?? "The server ended before it was online.",
  };
  if (status.message === "It ran out of memory.") {
    return new TorbizError("not-enough-memory", "The server ran out of memory while it started.", { details });
  }
  return new TorbizError(code, message, { details, hint: `See what happened in \`torbiz logs\`.` });
}

/** The seeder's own last word: `ERROR torbiz.seeder: [code] sentence`. */
function namedFailure(lines: readonly LogLine[]): { code: ErrorCode; message: string } | undefined {
  for (const { text } of lines.toReversed()) {
    const [, code, message] = / ERROR torbiz\.seeder: \[([a-z-]+)\] (.+)$/.exec(text) ?? [];
    if (!code || !message) continue;
    const known = errorCodes.find((known) => known === code && known !== "unexpected");
    return { code: known ?? "share-failed", message };
  }
  return undefined;
}

function interrupted(cause: unknown): TorbizError {
  return new TorbizError(
    "interrupted",
    "Sharing was interrupted while it started. What was started is stopped again.",
    {
      cause,
    },
  );
}
