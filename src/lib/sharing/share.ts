import { setTimeout as delay } from "node:timers/promises";
import type { ContainerInspectInfo } from "dockerode";
import { findDockerCli } from "../docker/cli";
import { ensureImage } from "../docker/build/image";
import type { EngineContext } from "../context";
import { TorbizError } from "../errors";
import { hubEndpoint } from "../hub/endpoint";
import type { Model } from "../models";
import { commitOf, rememberUsed } from "../hub/known-models";
import { LABELS } from "../names";
import { acquireLock } from "../process-lock";
import type { OnProgress } from "../progress";
import { countBlocks, formatBlocks, isBlockChoice, parseBlocks, rangeText, type BlockChoice } from "./blocks";
import { containerOptions, STOP_SECONDS, type SharePlan, type StartedBy } from "./container";
import { keepContribution } from "./contribution";
import { downloadProgress, downloadText, parseDownload } from "./download-text";
import { canFinish, finishContainer } from "./finish";
import { fitOf } from "./fit";
import { hubAccess } from "./hub-access";
import { requirePeer } from "./first-peers";
import { keepLogs } from "./kept-logs";
import { lanAddresses, parseHost } from "./lan";
import { lastChoice, rememberChoice } from "./last-choice";
import { resourceLimits, type LimitRequest, type Limits } from "./limits";
import { isPort, requireFreePort } from "./port";
import { shareFailure } from "./share-failure";
import { ensureStarterModel } from "./starter";
import { readStatus, STAGES, type SharingStatus } from "./status";
import { foreignContainer, stopContainer } from "./stop";
import { shareLock, StopRequests, wishedEnd } from "./stop-request";
import { swarmText, type Swarm } from "./swarm";
import { modelIn } from "./swarm-model";
import { whyEnded } from "./why-ended";

/** What to share. Everything has a default: the starter model, in a private swarm, as many blocks as fit. */
export interface ShareOptions {
  model?: string;
  swarm?: Swarm;
  /** How many or which blocks to serve; as many as fit when absent. */
  blocks?: BlockChoice;
  port?: number;
  /**
   * Opens a swarm of one's own to others, and tells peers where this server is: at this computer's address in the local
   * network (`true`; the default where a swarm is joined), or at the host that is named.
   */
  lan?: true | string;
  /** What it may use; three quarters of the engine's memory and processors where nothing is said. */
  limits?: LimitRequest;
  /** What to do with an image of an older Torbiz that still serves: use it (the default), or build a new one first. */
  outdatedImage?: "build" | "use";
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
  /** It was started from an image of an older Torbiz: a new build would bring it up to date. */
  outdatedImage: boolean;
}

/** A seeder that says nothing for this long while it starts won't come to an end. */
const SILENCE_LIMIT_MS = 15 * 60_000;
const POLL_MS = 500;
/** How long a command that stops this share may take for it. */
const STOPPED_BY_OTHER_MS = (STOP_SECONDS + 15) * 1_000;

/** What is to be started, with everything that was checked. */
interface Start {
  options: ShareOptions;
  model: Model;
  swarm: Swarm;
  /** Where peers are told that this server is. */
  host?: string;
  limits: Limits;
  requests: StopRequests;
}

/**
 * Shares a model: image, model files and container are made where they are missing, and a share that runs already is
 * adopted. Returns when peers can use it. A share that ended before is left with its log, until the next start or a stop.
 *
 * @throws TorbizError model-unknown, model-gated, model-unsupported, hub-unreachable, blocks-invalid, limit-invalid, port-in-use, not-enough-memory, foreign-container,
 * already-sharing, share-failed, interrupted (also when `stopSharing` was called meanwhile, wherever), ...
 */
export async function share(context: EngineContext, options: ShareOptions = {}): Promise<ShareResult> {
  const { swarm = { kind: "private" } } = options;
  checkNumbers(options);
  const limits = resourceLimits(context.facts, options.limits);
  const requests = new StopRequests(context);
  const signal = options.signal ? AbortSignal.any([options.signal, requests.signal]) : requests.signal;
  try {
    const model = await modelIn(context, swarm, options.model, { token: options.token, signal });
    checkBlocks(options, model);
    const host = await hostFor(swarm, options);
    return await shareInTurn(context, { options: { ...options, signal }, model, swarm, host, limits, requests });
  } catch (error) {
    // What was asked to stop has not failed, even if the stop was faster than the look for it.
    requests.check();
    throw error;
  } finally {
    requests.end();
  }
}

/**
 * Where peers are to be told that this server is; undefined where they aren't told. Addresses of a local network are no
 * use to strangers, and not their business.
 *
 * @throws TorbizError address-invalid, lan-missing
 */
async function hostFor(swarm: Swarm, { lan, onNote }: ShareOptions): Promise<string | undefined> {
  if (typeof lan === "string") return parseHost(lan);
  if (swarm.kind === "public" && lan) {
    throw new TorbizError("address-invalid", "An address of the local network is no use to the public one.", {
      hint: "Name the address of your router, which has to forward the port, or none.",
      cliHint: "Name it with --lan ADDRESS.",
    });
  }
  if (swarm.kind === "public" || (swarm.kind === "private" && !lan)) return undefined;
  const [address, ...others] = await lanAddresses();
  if (address === undefined && lan) throw new TorbizError("lan-missing", "This computer is in no local network now.");
  if (others.length > 0) {
    onNote?.(`Peers are told the address ${address}. This computer also has ${others.join(", ")}.`);
  }
  return address;
}

async function shareInTurn(context: EngineContext, start: Start): Promise<ShareResult> {
  const { engine } = context;
  const { model, options, requests } = start;
  const { onProgress, signal } = options;
  const running = await inTurn(context, options, () => adoptOrStart(context, start));
  const { containerId, adopted, startedBy, outdatedImage } = running;
  const { swarm, blocks, lan, port } = running;
  rememberChoice(context, { model: model.id, swarm, blocks, lan, port });
  try {
    const status =
      options.wait === false
        ? readStatus(await engine.inspect(containerId))
        : await waitUntilOnline(context, containerId, options);
    return { status, model, adopted, startedBy, outdatedImage };
  } catch (error) {
    requests.look();
    if (adopted || !signal?.aborted) throw error;
    // Who asked for the stop also does it, and tells how it went; should that one be killed, it is done here.
    if (requests.signal.aborted) await untilGone(context, containerId);
    await stopContainer(context, containerId, { onProgress });
    throw interrupted(error);
  }
}

async function untilGone({ engine }: EngineContext, containerId: string): Promise<void> {
  const end = performance.now() + STOPPED_BY_OTHER_MS;
  while ((await engine.inspect(containerId)) && performance.now() < end) await delay(POLL_MS);
}

/** A container that runs, and who started it. */
interface RunningContainer {
  containerId: string;
  /** The swarm it is in, as its label tells: an adopted one may be in another than the default. */
  swarm: string;
  /** How many or which blocks; undefined for as many as fit. */
  blocks?: BlockChoice;
  lan?: true | string;
  /** Undefined for the usual one. */
  port?: number;
  adopted: boolean;
  startedBy: StartedBy;
  outdatedImage: boolean;
}

/** Two commands at once must not take each other's half-made container for a left-over: the second waits, then adopts. */
async function inTurn<T>(
  context: EngineContext,
  { onProgress, signal }: ShareOptions,
  work: () => Promise<T>,
): Promise<T> {
  const waiting = { stage: "waiting", message: "Another command is starting to share: waiting for it", progress: null };
  const lock = await acquireLock(shareLock(context), { onWait: () => onProgress?.(waiting), signal });
  try {
    return await work();
  } finally {
    lock.release();
  }
}

async function adoptOrStart(context: EngineContext, start: Start): Promise<RunningContainer> {
  const { engine, names } = context;
  const { options, model, swarm, host, limits, requests } = start;
  const { port = names.port, onProgress, signal } = options;
  requests.check();
  const running = await adoptOrCleanUp(context, start);
  if (running) return running;
  const fit = fitOf(model, limits, context.facts);
  if (fit.blocks < 1) throw shareFailure("not-enough-memory", `${model.title} can't be shared. ${fit.reason}`);
  if (Math.min(countBlocks(options.blocks ?? 1), model.blocks) > fit.blocks) {
    options.onNote?.(`More blocks are wanted than fit: Docker may end the share for want of memory. ${fit.reason}`);
  }
  await requireFreePort(context, port);
  // Only an engine on this computer sees of the network what this computer sees.
  if (swarm.kind === "join" && context.endpoint.socketPath) await requirePeer(swarm.peers);

  const { image, outdated } = await prepareImage(context, options);
  requests.check();
  const files =
    model.source.kind === "starter"
      ? { folder: await prepareStarter(context, model, options) }
      : { hub: hubEndpoint(context.env) };
  const access = "hub" in files ? await hubAccess(context, options.token) : undefined;
  const plan: SharePlan = {
    ...{ model, files, swarm, host, port, limits },
    blocks: options.blocks,
    diskBytes: options.limits?.diskBytes,
    hubAccess: access,
    startedBy: options.startedBy ?? "share",
    began: requests.began,
    inputs: image.labels[LABELS.inputs] ?? "",
  };
  signal?.throwIfAborted();
  onProgress?.({ stage: "starting", message: "Starting the container", progress: null });
  const labels = { [LABELS.managed]: "1", [LABELS.instance]: names.instance };
  await engine.ensureVolume(names.volume, labels);
  await engine.ensureNetwork(names.network, labels);
  requests.check();
  const containerId = await engine.createContainer(names.container, containerOptions(plan, names));
  try {
    if (access) await engine.startWithStdin(containerId, access.input);
    else await engine.start(containerId);
    requests.check();
  } catch (error) {
    await engine.remove(containerId, { force: true });
    throw error;
  }
  rememberUsed(context.paths, model);
  return {
    containerId,
    swarm: swarmText(swarm),
    blocks: options.blocks,
    lan: options.lan,
    port: options.port,
    adopted: false,
    startedBy: plan.startedBy,
    outdatedImage: outdated,
  };
}

function checkNumbers({ blocks, port }: ShareOptions): void {
  if (blocks !== undefined && !isBlockChoice(blocks)) {
    throw new TorbizError("blocks-invalid", `${formatBlocks(blocks)} is neither a number of blocks nor a range.`);
  }
  if (port !== undefined && !isPort(port)) {
    throw new TorbizError("port-invalid", `${port} can't be used as a port.`);
  }
}

function checkBlocks({ blocks }: ShareOptions, model: Model): void {
  if (typeof blocks !== "object" || blocks.end <= model.blocks) return;
  throw new TorbizError("blocks-invalid", `${model.title} has the blocks 0 to ${model.blocks - 1}.`);
}

/** A share that serves what is wanted is adopted; one that ended, or is about to, is cleaned up; another one is in the way. */
async function adoptOrCleanUp(context: EngineContext, start: Start): Promise<RunningContainer | undefined> {
  const { engine, names } = context;
  const { options, swarm } = start;
  const container = await engine.inspect(names.container);
  if (!container) return undefined;
  const status = readStatus(container);
  if (status.state === "foreign") throw foreignContainer(names.container, container.Config.Image);
  if (!container.State.Running) {
    const kept = await keepLogs(context, container);
    // What can't be copied now is still in the volume for the next time.
    await keepContribution(context, container.Id).catch(() => undefined);
    await engine.remove(container.Id, { force: true });
    options.onNote?.(
      container.State.Status === "created"
        ? "Removed a container that an earlier, interrupted run had made but not started."
        : `Removed the container of an earlier share (${status.message ?? "it had ended"}) Its log: ${kept?.path ?? "gone"}`,
    );
    return undefined;
  }
  if (await endFirst(context, container, start)) return undefined;
  const differs = difference(container, start);
  if (differs) {
    throw new TorbizError("already-sharing", `${status.model ?? "A model"} is shared already, ${differs}.`, {
      hint: "Stop it first, then share again.",
      cliHint: "Stop it with `torbiz stop`.",
    });
  }
  options.onNote?.("A share that was started earlier is running: it is used as it is.");
  if (options.limits && hasOtherLimits(container, start.limits)) {
    options.onNote?.(
      "Other limits are set now than those it runs with: they count when it is stopped and started again.",
    );
  }
  return {
    containerId: container.Id,
    swarm: status.swarm ?? swarmText(swarm),
    blocks: blocksOf(container),
    lan: options.lan ?? lanOf(context, container),
    port: status.port ?? undefined,
    adopted: true,
    startedBy: container.Config.Labels[LABELS.startedBy] === "quickstart" ? "quickstart" : "share",
    outdatedImage: false,
  };
}

/** How a running share was opened to others: by its own choice where that is remembered, as an address may change. */
function lanOf(context: EngineContext, { Config }: ContainerInspectInfo): true | string | undefined {
  const { [LABELS.model]: model, [LABELS.swarm]: swarm, [LABELS.host]: host } = Config.Labels;
  const last = lastChoice(context);
  if (last?.lan !== undefined && last.model === model && last.swarm === swarm) return last.lan;
  return host === undefined ? undefined : true;
}

/** A share that was asked to end before this one was wanted comes to its end first: adopted, it would go with that. */
async function endFirst(context: EngineContext, container: ContainerInspectInfo, { options, requests }: Start) {
  const { state } = readStatus(container);
  const { onProgress, onNote, signal } = options;
  const began = Number(container.Config.Labels[LABELS.began] ?? Infinity);
  const wish = wishedEnd(context, began) ?? (state === "finishing" ? "finish" : undefined);
  if (wish === undefined && state !== "stopping") return false;
  if (wish === "finish" && canFinish(container)) await finishContainer(context, container, { onProgress, signal });
  else await stopContainer(context, container.Id, { onProgress });
  requests.check();
  signal?.throwIfAborted();
  onNote?.("An earlier share was about to end: this one begins after it.");
  return true;
}

/** In what a running share differs from what is wanted, as the end of a sentence; undefined when it will do. */
function difference(container: ContainerInspectInfo, { options, model, swarm, host }: Start): string | undefined {
  const labels = container.Config.Labels;
  if (labels[LABELS.model] !== model.id) return `not ${model.id}`;
  if (options.swarm && labels[LABELS.swarm] !== swarmText(swarm)) return `in another swarm (${labels[LABELS.swarm]})`;
  const commit = labels[LABELS.revision]; // none where an older Torbiz made it
  if (options.swarm && commit !== undefined && commit !== commitOf(model)) return `at commit ${commit.slice(0, 7)}`;
  if (options.lan && labels[LABELS.host] !== host) {
    return labels[LABELS.host] === undefined ? "but not open to others" : `at the address ${labels[LABELS.host]}`;
  }
  if (options.port !== undefined && labels[LABELS.port] !== String(options.port))
    return `on port ${labels[LABELS.port]}`;
  if (options.blocks !== undefined && labels[LABELS.blocks] !== formatBlocks(options.blocks)) {
    const running = blocksOf(container);
    if (running === undefined) return "with as many blocks as fit";
    return typeof running === "number" ? `with ${running} blocks` : `with the blocks ${rangeText(running)}`;
  }
  return undefined;
}

/** What was asked for, as the label has it; undefined for as many as fit. */
function blocksOf(container: ContainerInspectInfo): BlockChoice | undefined {
  const label = container.Config.Labels[LABELS.blocks] ?? "auto";
  return label === "auto" ? undefined : parseBlocks(label);
}

function hasOtherLimits({ HostConfig }: ContainerInspectInfo, { memoryBytes, nanoCpus }: Limits): boolean {
  return HostConfig.Memory !== memoryBytes || HostConfig.NanoCpus !== nanoCpus;
}

async function prepareImage(context: EngineContext, { outdatedImage = "use", ...options }: ShareOptions) {
  const { engine, endpoint, names, paths, runtimeFiles, env } = context;
  const { onProgress, onNote, signal } = options;
  const { note, built, outdated, seconds } = await ensureImage({
    engine,
    endpoint,
    cliPath: () => findDockerCli(context),
    names,
    paths,
    runtimeFiles,
    env,
    outdated: outdatedImage,
    onProgress,
    signal,
  });
  if (note) onNote?.(note);
  else if (built) onNote?.(`Built the image in ${Math.round(seconds)} s.`);
  const image = await engine.image(names.image);
  if (!image) throw new TorbizError("image-missing", `The image ${names.image} is not there.`);
  return { image, outdated };
}

/** The starter's folder for the container, made ready where needed. */
async function prepareStarter(
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
          hint: `Go on with \`docker unpause ${context.names.container}\`, or stop it and share again.`,
        });
      }
      if (!container || !container.State.Running) throw await whyEnded(context, containerId);
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
      const download = parseDownload(text);
      if (download) {
        onStage({ stage: "downloading", message: downloadText(download), progress: downloadProgress(download) });
        continue;
      }
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
  if (stage === "loading" && loaded) return `Loading block ${loaded} of ${total}`;
  return STAGES.find((known) => known.stage === stage)?.title ?? `Petals says: ${stage}`;
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
