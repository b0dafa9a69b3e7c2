import { TorbizError } from "../errors";

/** Which swarm to share in or to ask. */
export type Swarm =
  /** One's own: this computer bootstraps it, reachable on loopback only. */
  | { kind: "private" }
  /** Petals' public network. */
  | { kind: "public" }
  /** Another's, joined by the addresses of peers in it. */
  | { kind: "join"; peers: string[] };

/** A libp2p multiaddr that names a host, a TCP port and a peer: what Petals takes as an initial peer. */
const PEER_ADDRESS = /^\/(ip4|ip6|dns|dns4|dns6)\/[^/\s]+\/tcp\/\d{1,5}\/p2p\/[1-9A-HJ-NP-Za-km-z]{40,64}$/;

/**
 * Reads what people give as `--swarm`: `private`, `public`, or one or more peer addresses.
 * @throws TorbizError swarm-invalid
 */
export function parseSwarm(values: readonly string[]): Swarm {
  const [first] = values;
  if (values.length === 0 || (values.length === 1 && first === "private")) return { kind: "private" };
  if (values.length === 1 && first === "public") return { kind: "public" };
  const wrong = values.find((value) => !PEER_ADDRESS.test(value));
  if (wrong === undefined) return { kind: "join", peers: [...values] };
  if (wrong === "private" || wrong === "public") {
    throw new TorbizError("swarm-invalid", `"${wrong}" can't be combined with other swarms.`);
  }
  throw new TorbizError("swarm-invalid", `"${wrong}" is neither private, public nor a peer's address.`);
}

/** The swarm as one word or a list of addresses: for labels, files and people. `parseSwarmText` reads it back. */
export function swarmText(swarm: Swarm): string {
  return swarm.kind === "join" ? swarm.peers.join(",") : swarm.kind;
}

/** Reads what `swarmText` wrote. */
export function parseSwarmText(text: string): Swarm {
  return parseSwarm(text.split(",").filter(Boolean));
}
