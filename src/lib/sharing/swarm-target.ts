import type { Surroundings } from "../context";
import { inspectContainer } from "../docker/http";
import { requireDocker } from "../docker/preflight";
import { TorbizError } from "../errors";
import { idOfName } from "../hub/known-models";
import { nameModel } from "../hub/resolve-model";
import { defaultModel, type Model } from "../models";
import { lastAsked } from "./last-choice";
import { readStatus, type InspectedContainer, type SharingStatus } from "./status";
import { sharedModel } from "./shared-model";
import { parseSwarmText, type Swarm } from "./swarm";
import { modelIn, type ModelInOptions } from "./swarm-model";

const INSPECT_MS = 10_000;

/** Whom to ask for what: a model, and peers by which its swarm is found. */
export interface SwarmTarget {
  model: Model;
  /** Multiaddrs; empty for Petals' public network, whose peers Petals knows itself. */
  initialPeers: string[];
  swarm: Swarm;
}

export interface SwarmTargetOptions extends Omit<ModelInOptions, "find"> {
  /** The id or the repository of the model; the swarm's usual one when absent. */
  model?: string;
}

/**
 * The swarm that is meant: the one named, else the running share's, else the one used last. The model hub is asked only
 * for a model that is new here, or for another commit of it that an invite names.
 *
 * @throws TorbizError no-swarm when there is none, or it is one's own and nothing is shared in it now; as `modelIn`
 */
export async function findSwarmTarget(
  surroundings: Surroundings,
  named?: Swarm,
  { model, token = surroundings.env.HF_TOKEN || undefined, signal }: SwarmTargetOptions = {},
): Promise<SwarmTarget> {
  const last = lastAsked(surroundings);
  const modelOf = (swarm: Swarm, name: string | undefined) =>
    modelIn(surroundings, swarm, name, { find: nameModel, token, signal });
  const elsewhere = async (swarm: Swarm): Promise<SwarmTarget> => {
    const isInvite = swarm.kind === "join" && swarm.invite !== undefined;
    return { model: await modelOf(swarm, model ?? (isInvite ? undefined : last?.model)), ...peersOf(swarm) };
  };
  if (named && named.kind !== "private") return elsewhere(named);

  const share = await runningShare(surroundings).catch((error: unknown) => {
    // Without an engine nothing is shared here; another's swarm can be asked all the same.
    if (!named && last && last.swarm !== "private") return undefined;
    throw error;
  });
  if (share && (share.state === "online" || share.state === "starting")) {
    const swarm = parseSwarmText(share.swarm ?? "private");
    if (!named || swarm.kind === "private") {
      requireOnline(share);
      const isShared = model === undefined || idOfName(model) === share.model;
      return {
        model: isShared ? sharedModel(surroundings.paths, share) : await modelOf(swarm, model),
        ...peersOf(swarm, share.addresses),
      };
    }
  }
  const used = named ?? (last && parseSwarmText(last.swarm));
  if (used && used.kind !== "private") return elsewhere(used);
  throw new TorbizError(
    "no-swarm",
    used ? "The private swarm is this computer's own, and nothing is shared in it now." : "Nothing is shared now.",
  );
}

/**
 * The id of the model that `findSwarmTarget` would take, as far as this computer remembers: neither hub nor engine is
 * asked, so a share that runs counts only where nothing was asked after it began.
 */
export function modelMeant(surroundings: Surroundings, named?: Swarm, model?: string): string {
  const invite = named?.kind === "join" ? named.invite : undefined;
  return idOfName(model ?? invite?.model ?? lastAsked(surroundings)?.model ?? defaultModel.id);
}

/** One's own swarm is found by the addresses that its server announces. */
function peersOf(swarm: Swarm, own: string[] = []): Omit<SwarmTarget, "model"> {
  if (swarm.kind === "join") return { initialPeers: swarm.peers, swarm };
  return { initialPeers: swarm.kind === "private" ? own : [], swarm };
}

function requireOnline({ state, model }: SharingStatus): void {
  if (state !== "starting") return;
  throw new TorbizError("no-swarm", `The share of ${model} is still starting.`, {
    hint: "Wait until it is online, and ask again.",
    cliHint: "`torbiz status` tells.",
  });
}

/** Without `Engine`, which would bring dockerode: a view that only asks would be a third larger by it. */
async function runningShare(surroundings: Surroundings): Promise<SharingStatus> {
  const { endpoint } = await requireDocker(surroundings);
  const container = await inspectContainer(endpoint, surroundings.names.container, { timeoutMs: INSPECT_MS });
  return readStatus(container as InspectedContainer | undefined);
}
