import type { EngineContext } from "../context";
import { TorbizError } from "../errors";
import { imageState } from "../docker/build/state";
import type { Model } from "../models";
import type { BlockRange } from "./blocks";
import { fitOf, type Fit } from "./fit";
import { resourceLimits, type LimitRequest } from "./limits";
import { readStatus, type SharingStatus } from "./status";
import { lookAtSwarm, type SwarmLook } from "./swarm-look";
import { swarmText, type Swarm } from "./swarm";
import { findSwarmTarget } from "./swarm-target";

/** Who serves which blocks of a model in a swarm, seen from this computer. */
export interface SwarmMap extends Omit<SwarmLook, "dhtPrefix" | "seconds" | "suggestion"> {
  model: Model;
  swarm: Swarm;
  /** This computer's server among them, where it shares in this swarm. */
  ownPeerId: string | null;
  /** What it serves; null also while it isn't online. */
  own: BlockRange | null;
  /** How many others are online. */
  peers: number;
  /** How much of the model a share here may serve. */
  fit: Fit;
  /** What a further server should serve, as far as it fits here; null where not one block does. */
  suggestion: BlockRange | null;
}

export interface SwarmMapOptions {
  /** The running share's when absent, else the one used last. */
  swarm?: Swarm;
  /** The id or the repository of the model; the swarm's usual one when absent. */
  model?: string;
  /** What a share may use: no more blocks are suggested than fit into it. */
  limits?: LimitRequest;
  /** A Hugging Face token; HF_TOKEN unless given. */
  token?: string;
  signal?: AbortSignal;
}

/**
 * Reads the whole map from the swarm itself: through this computer's share where that is in it, else by the swarm's own
 * first peers. It takes some seconds; while a share runs, the glance in its status costs nothing.
 *
 * @throws TorbizError no-swarm, model-unknown, image-missing, swarm-unreachable, clock-skew, ...
 */
export async function readSwarmMap(context: EngineContext, options: SwarmMapOptions = {}): Promise<SwarmMap> {
  const { engine, names, facts } = context;
  const target = await findSwarmTarget(context, options.swarm, options);
  const { model } = target;
  const state = await imageState(context);
  if (state === "missing" || state === "unusable") {
    throw new TorbizError("image-missing", "Looking at a swarm takes the image for sharing, which isn't built.");
  }
  const container = await engine.inspect(names.container);
  const share = ownShare(readStatus(container), target.swarm);
  const host = container?.NetworkSettings.Networks[names.network]?.IPAddress;
  const through = share && host && `/ip4/${host}/tcp/${share.port}/p2p/${share.peerId}`;
  const fit = fitOf(model, resourceLimits(facts, options.limits), facts);
  const look = await lookAtSwarm(context, {
    model,
    initialPeers: through ? [through] : target.initialPeers,
    fitting: Math.max(1, fit.blocks),
    signal: options.signal,
  });
  return mapOf(look, { model, swarm: target.swarm, fit, ownPeerId: share?.peerId ?? null });
}

/** The share that runs here, where it is in that swarm. */
function ownShare(status: SharingStatus, swarm: Swarm): SharingStatus | undefined {
  return status.state === "online" && status.swarm === swarmText(swarm) ? status : undefined;
}

function mapOf(look: SwarmLook, here: Pick<SwarmMap, "model" | "swarm" | "fit" | "ownPeerId">): SwarmMap {
  const { blocks, servers, online, missing, initialPeers, clockSkewSeconds } = look;
  const { fit, ownPeerId } = here;
  const own = servers.find(({ peerId, state }) => peerId === ownPeerId && state === "online");
  return {
    ...here,
    ...{ blocks, servers, online, missing, initialPeers, clockSkewSeconds },
    suggestion: fit.blocks > 0 ? look.suggestion : null,
    own: own ? { start: own.start, end: own.end } : null,
    peers: servers.filter(({ peerId, state }) => peerId !== ownPeerId && state === "online").length,
  };
}
