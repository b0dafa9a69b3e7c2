import type { Surroundings } from "../context";
import { inspectContainer } from "../docker/http";
import { requireDocker } from "../docker/preflight";
import { TorbizError } from "../errors";
import { knownModels } from "../hub/known-models";
import { defaultModel, findModel, type Model } from "../models";
import { lastAsked } from "./last-choice";
import { readStatus, type InspectedContainer, type SharingStatus } from "./status";
import { parseSwarmText, type Swarm } from "./swarm";

const INSPECT_MS = 10_000;

/** Whom to ask for what: a model, and peers by which its swarm is found. */
export interface SwarmTarget {
  model: Model;
  /** Multiaddrs; empty for Petals' public network, whose peers Petals knows itself. */
  initialPeers: string[];
  swarm: Swarm;
}

/**
 * The swarm that is meant: the one named, else the running share's, else the one used last.
 * @throws TorbizError no-swarm when there is none, or it is one's own and nothing is shared in it now
 */
export async function findSwarmTarget(surroundings: Surroundings, named?: Swarm): Promise<SwarmTarget> {
  const last = lastAsked(surroundings);
  const known = knownModels(surroundings.paths);
  if (named && named.kind !== "private") return elsewhere(known, named, last?.model);

  const share = await runningShare(surroundings).catch((error: unknown) => {
    // Without an engine nothing is shared here; another's swarm can be asked all the same.
    if (!named && last && last.swarm !== "private") return undefined;
    throw error;
  });
  if (share && (share.state === "online" || share.state === "starting")) {
    const swarm = parseSwarmText(share.swarm ?? "private");
    if (!named || swarm.kind === "private") return ofShare(known, share, swarm);
  }
  const used = named ?? (last && parseSwarmText(last.swarm));
  if (used && used.kind !== "private") return elsewhere(known, used, last?.model);
  throw new TorbizError(
    "no-swarm",
    used ? "The private swarm is this computer's own, and nothing is shared in it now." : "Nothing is shared now.",
  );
}

/** A swarm that is there without us. */
function elsewhere(
  known: readonly Model[],
  swarm: Exclude<Swarm, { kind: "private" }>,
  model: string | undefined,
): SwarmTarget {
  const invited = swarm.kind === "join" ? swarm.invite?.model : undefined;
  return {
    model: findModel(invited ?? model ?? defaultModel.id, known),
    initialPeers: swarm.kind === "join" ? swarm.peers : [],
    swarm,
  };
}

/** The swarm of this computer's share; one's own is found by the addresses that its server announces. */
function ofShare(known: readonly Model[], share: SharingStatus, swarm: Swarm): SwarmTarget {
  if (share.state === "starting") {
    throw new TorbizError("no-swarm", `The share of ${share.model} is still starting.`, {
      hint: "Wait until it is online, and ask again.",
      cliHint: "`torbiz status` tells.",
    });
  }
  if (swarm.kind !== "private") return elsewhere(known, swarm, share.model ?? undefined);
  return { model: share.model ? findModel(share.model, known) : defaultModel, initialPeers: share.addresses, swarm };
}

/** Without `Engine`, which would bring dockerode: a view that only asks would be a third larger by it. */
async function runningShare(surroundings: Surroundings): Promise<SharingStatus> {
  const { endpoint } = await requireDocker(surroundings);
  const container = await inspectContainer(endpoint, surroundings.names.container, { timeoutMs: INSPECT_MS });
  return readStatus(container as InspectedContainer | undefined);
}
