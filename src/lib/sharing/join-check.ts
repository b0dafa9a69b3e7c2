import type { EngineContext } from "../context";
import { toTorbizError } from "../errors";
import { commitOf, knownModels } from "../hub/known-models";
import type { Model } from "../models";
import { PETALS_VERSION } from "../version";
import { helpText, missingText } from "./block-bar";
import type { BlockRange } from "./blocks";
import { requirePeer, type TriedPeer } from "./first-peers";
import type { LimitRequest } from "./limits";
import { readStatus } from "./status";
import { parseSwarmText, swarmText, type Swarm } from "./swarm";
import { readSwarmMap, type SwarmMap } from "./swarm-map";
import { modelIn } from "./swarm-model";

/** A swarm that others are in. */
export type JoinedSwarm = Extract<Swarm, { kind: "join" }>;

/** What was found about one question, for scripts and for people. */
export interface Finding {
  code:
    | "peers-reachable"
    | "peers-partly-reachable"
    | "clock-agrees"
    | "versions-agree"
    | "versions-differ"
    | "commits-differ"
    | "blocks-complete"
    | "blocks-missing"
    | "blocks-suggested"
    | "no-block-fits"
    | "already-joined"
    | "image-missing";
  /** It may cause trouble. */
  warning: boolean;
  sentence: string;
}

/** What is to be known before one joins. */
export interface JoinCheck {
  model: Model;
  swarm: JoinedSwarm;
  findings: Finding[];
  /** The blocks to serve; null where this computer serves some already or none fits, or nobody could look. */
  suggestion: BlockRange | null;
  /** How this computer's share is in it, where it is: by other peers than these, or as its first. */
  sharedAs: Swarm | null;
}

export interface JoinCheckOptions {
  swarm: JoinedSwarm;
  /** Its id or repository; the invite's when absent. */
  model?: string;
  /** What a share may use: no more blocks are suggested than fit. */
  limits?: LimitRequest;
  /** A Hugging Face token. */
  token?: string;
  signal?: AbortSignal;
}

const WARNINGS: readonly Finding["code"][] = [
  "peers-partly-reachable",
  "versions-differ",
  "commits-differ",
  "no-block-fits",
];
/** That are named; one is usual. */
const MAX_VERSIONS = 3;

/**
 * Looks before this computer joins a swarm: whether its peers answer, whether clocks and versions of Petals agree, and
 * which blocks it should serve. What makes joining impossible is thrown; whatever else there is to know is found.
 * Without the image only the peers are tried.
 *
 * @throws TorbizError swarm-unreachable, clock-skew, swarm-invalid, model-unknown, hub-unreachable, ...
 *
 * @example
 * const { findings, suggestion } = await checkJoin(context, { swarm });
 */
export async function checkJoin(context: EngineContext, options: JoinCheckOptions): Promise<JoinCheck> {
  const { engine, names } = context;
  const { swarm, limits, token, signal } = options;
  const model = await modelIn(context, swarm, options.model, options);
  const known = knownModels(context.paths).find(({ id }) => id === model.id);
  // Only an engine on this computer sees of the network what this computer sees.
  const tried = context.endpoint.socketPath ? await requirePeer(swarm.peers) : [];
  try {
    const map = await readSwarmMap(context, { swarm, model: model.id, limits, token, signal });
    const { state, model: sharedModel, swarm: shared, peerId } = readStatus(await engine.inspect(names.container));
    // Another's invite to the same swarm names other peers.
    const isThere = shared === swarmText(swarm) || map.servers.some((server) => server.peerId === peerId);
    const isIn = isThere && sharedModel === model.id && (state === "starting" || state === "online");
    const findings = [...commits(model, known), ...findingsOf(map, { swarm, tried, isIn })];
    const sharedAs = isIn && shared !== null ? parseSwarmText(shared) : null;
    return { model, swarm, findings, suggestion: isIn ? null : map.suggestion, sharedAs };
  } catch (error) {
    const { code } = toTorbizError(error);
    if (code !== "image-missing") throw error;
    const unknown = found(code, "Who serves which blocks can be told when the image is built.");
    const findings = [...commits(model, known), ...reached(tried), unknown];
    return { model, swarm, findings, suggestion: null, sharedAs: null };
  }
}

/** What a map tells one who wants to join. @param isIn this computer shares there already */
export function findingsOf(
  map: Pick<SwarmMap, "servers" | "online" | "missing" | "suggestion" | "fit" | "initialPeers" | "clockSkewSeconds">,
  { swarm, tried = [], isIn = false }: { swarm: JoinedSwarm; tried?: readonly TriedPeer[]; isIn?: boolean },
): Finding[] {
  const { servers, online, missing, suggestion, fit, initialPeers, clockSkewSeconds } = map;
  return [
    // A look through this computer's own share says nothing of the others.
    ...reached(isIn && tried.length > 0 ? tried : initialPeers),
    ...clocks(clockSkewSeconds),
    ...versions(servers, swarm.invite?.petals),
    gaps(online, missing),
    isIn
      ? found("already-joined", "This computer shares in this swarm already.")
      : suggestion
        ? found("blocks-suggested", helpText("This computer", suggestion))
        : found("no-block-fits", fit.reason),
  ];
}

/** Nothing where nobody was asked; who asks in vain is told by an error. */
function reached(peers: readonly Pick<TriedPeer, "answered">[]): Finding[] {
  const answering = peers.filter(({ answered }) => answered).length;
  if (answering === 0) return [];
  if (answering < peers.length) {
    return [found("peers-partly-reachable", `Of the ${peers.length} peers to join by, ${answering} can be reached.`)];
  }
  const all = peers.length === 1 ? "The peer" : `All ${peers.length} peers`;
  return [found("peers-reachable", `${all} to join by can be reached.`)];
}

/** Clocks that differ by more than a swarm bears are an error. */
function clocks(skewSeconds: number | null): Finding[] {
  if (skewSeconds === null) return [];
  return [found("clock-agrees", `The clocks agree: they are ${Math.abs(skewSeconds).toFixed(1)} s apart.`)];
}

/** By what servers announce, where there are any, else by the invite. */
function versions(servers: SwarmMap["servers"], invited: string | undefined): Finding[] {
  const told = servers.flatMap(({ version }) => version ?? []);
  const known = told.length > 0 || invited === undefined ? told : [invited];
  if (known.length === 0) return [];
  const others = new Set(known.filter((version) => version !== PETALS_VERSION).map(versionWords));
  if (others.size === 0) return [found("versions-agree", `Others run the same Petals: ${PETALS_VERSION}.`)];
  const theirs = [...others].sort().slice(0, MAX_VERSIONS).join(", ");
  return [
    found(
      "versions-differ",
      `Others run Petals ${theirs}, this computer ${PETALS_VERSION}: they may not work together.`,
    ),
  ];
}

/** Of the swarm's model, beside what this computer knows of it. */
function commits(model: Model, known: Model | undefined): Finding[] {
  const [theirs, ours] = [model, known].map((each) => each && commitOf(each)?.slice(0, 7));
  if (!ours || theirs === ours) return [];
  return [
    found(
      "commits-differ",
      `Others have ${model.title} at commit ${theirs}, this computer at ${ours}: to join, theirs is downloaded.`,
    ),
  ];
}

/** What strangers announce may be anything. */
function versionWords(version: string): string {
  return /^\d[\w.+-]{0,39}$/.test(version) ? version : "of an unknown version";
}

function gaps(online: readonly number[], missing: readonly BlockRange[]): Finding {
  if (!online.some((count) => count > 0)) return found("blocks-missing", "Nobody serves a block of it yet.");
  const text = missingText(missing);
  return text === undefined ? found("blocks-complete", "Every block is served.") : found("blocks-missing", text);
}

function found(code: Finding["code"], sentence: string): Finding {
  return { code, warning: WARNINGS.includes(code), sentence };
}
