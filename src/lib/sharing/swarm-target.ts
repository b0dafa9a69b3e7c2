import { openEngine, type Surroundings } from "../context";
import { TorbizError } from "../errors";
import { defaultModel, findModel, type Model } from "../models";
import { lastShare } from "./last-share";
import { readStatus, type SharingStatus } from "./status";
import { parseSwarmText, type Swarm } from "./swarm";

/** Whom to ask for what: a model, and peers by which its swarm is found. */
export interface SwarmTarget {
  model: Model;
  /** Multiaddrs; empty for Petals' public network, whose peers Petals knows itself. */
  initialPeers: string[];
  swarm: Swarm;
}

/**
 * The swarm that is meant: the one named, else the running share's, else the one shared in last.
 * @throws TorbizError no-swarm when there is none, or it is one's own and nothing is shared now
 */
export async function findSwarmTarget(surroundings: Surroundings, swarm?: Swarm): Promise<SwarmTarget> {
  const last = lastShare(surroundings);
  const wanted = swarm ?? (last && parseSwarmText(last.swarm));
  if (wanted?.kind === "join") return { model: modelOf(last?.model), initialPeers: wanted.peers, swarm: wanted };
  if (wanted?.kind === "public") return { model: modelOf(last?.model), initialPeers: [], swarm: wanted };

  // One's own swarm is there only while this computer serves it, under the addresses that its server announces.
  const status = await runningShare(surroundings);
  switch (status.state) {
    case "online":
      return { model: modelOf(status.model), initialPeers: status.addresses, swarm: { kind: "private" } };
    case "starting":
      throw new TorbizError("no-swarm", `The share of ${status.model} is still starting.`, {
        hint: "Wait until `torbiz status` says that it is online.",
      });
    default:
      throw new TorbizError(
        "no-swarm",
        wanted ? "The private swarm is this computer's own, and nothing is shared now." : "Nothing is shared now.",
      );
  }
}

async function runningShare(surroundings: Surroundings): Promise<SharingStatus> {
  const { engine, names } = await openEngine(surroundings);
  return readStatus(await engine.inspect(names.container));
}

/** The model of a share; the default one where none is known. */
function modelOf(id: string | null | undefined): Model {
  return id ? findModel(id) : defaultModel;
}
