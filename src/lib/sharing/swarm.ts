import { TorbizError } from "../errors";
import { isInvite, readInvite, type Invite } from "./invite";
import { peerEndpoint } from "./peer-address";

/** Which swarm to share in or to ask. */
export type Swarm =
  /** One's own: this computer bootstraps it. Others can join where the share is opened to them. */
  | { kind: "private" }
  /** Petals' public network. */
  | { kind: "public" }
  /** Another's, joined by the addresses of peers in it. `invite`: what named them, and the model. */
  | { kind: "join"; peers: string[]; invite?: Invite };

/**
 * Reads what people give as `--swarm`: `private`, `public`, an invite, or one or more peer addresses.
 * @throws TorbizError swarm-invalid, invite-invalid
 */
export function parseSwarm(values: readonly string[]): Swarm {
  const [first] = values;
  if (values.length === 0 || (values.length === 1 && first === "private")) return { kind: "private" };
  if (values.length === 1 && first === "public") return { kind: "public" };
  if (values.length === 1 && first !== undefined && isInvite(first)) {
    const invite = readInvite(first);
    return { kind: "join", peers: invite.peers, invite };
  }
  const wrong = values.find((value) => !peerEndpoint(value));
  if (wrong === undefined) return { kind: "join", peers: [...values] };
  if (wrong === "private" || wrong === "public") {
    throw new TorbizError("swarm-invalid", `"${wrong}" can't be combined with other swarms.`);
  }
  throw new TorbizError("swarm-invalid", `"${wrong}" is neither private, public, an invite nor a peer's address.`);
}

/** The swarm as one word or a list of addresses: for labels, files and people. `parseSwarmText` reads these back. */
export function swarmText(swarm: Swarm): string {
  return swarm.kind === "join" ? swarm.peers.join(",") : swarm.kind;
}

/** Reads what `swarmText` wrote. */
export function parseSwarmText(text: string): Swarm {
  return parseSwarm(text.split(",").filter(Boolean));
}
