import { connect } from "node:net";
import { TorbizError } from "../errors";
import { peerEndpoint, type PeerEndpoint } from "./peer-address";

/** How long a connection may take: on the far side of the earth 0.3 s is much. */
const CONNECT_MS = 3_000;

/** An address, and whether something takes connections there. */
export interface TriedPeer {
  address: string;
  answered: boolean;
}

/**
 * Connects from this computer to each of the peers that a swarm is joined by. It takes 3 seconds at most, and tells what
 * is wrong before an image is built for nothing; whether a peer is there, and which, is found out in the container.
 */
export function tryPeers(addresses: readonly string[]): Promise<TriedPeer[]> {
  return Promise.all(
    addresses.map(async (address) => {
      const endpoint = peerEndpoint(address);
      return { address, answered: endpoint !== undefined && (await answers(endpoint)) };
    }),
  );
}

/**
 * Makes sure that a peer to join by is there.
 * @returns how each address answered
 * @throws TorbizError swarm-unreachable
 */
export async function requirePeer(addresses: readonly string[]): Promise<TriedPeer[]> {
  const tried = await tryPeers(addresses);
  if (!tried.some(({ answered }) => answered)) throw nobodyAnswers(addresses);
  return tried;
}

/** That nobody takes connections at these addresses. */
export function nobodyAnswers(addresses: readonly string[]): TorbizError {
  const hosts = addresses.map((address) => {
    const { host, port } = peerEndpoint(address) ?? { host: address, port: "?" };
    return `${host} (port ${port})`;
  });
  return new TorbizError("swarm-unreachable", `Nobody answers at ${hosts.join(", ")}.`, {
    hint:
      "Check that whoever invited you is sharing now, and that both computers are in the same network or the port is " +
      "forwarded and let through the firewall.",
  });
}

function answers({ host, port }: PeerEndpoint): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal: AbortSignal.timeout(CONNECT_MS) });
    const end = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}
