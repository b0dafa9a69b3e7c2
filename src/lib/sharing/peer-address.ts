/** A libp2p multiaddr that names a host, a TCP port and a peer: what Petals takes as an initial peer. */
const PEER_ADDRESS = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/\s]{1,253})\/tcp\/(\d{1,5})\/p2p\/[1-9A-HJ-NP-Za-km-z]{40,64}$/;

export interface PeerEndpoint {
  host: string;
  port: number;
}

/** Where a peer listens; undefined for what is no address of a peer, or one through a relay. */
export function peerEndpoint(address: string): PeerEndpoint | undefined {
  const [, , host, digits] = PEER_ADDRESS.exec(address) ?? [];
  const port = Number(digits);
  return host !== undefined && port >= 1 && port <= 65535 ? { host, port } : undefined;
}

/** Whether only this computer can mean that address. */
export function isLoopback({ host }: PeerEndpoint): boolean {
  return host.startsWith("127.") || host === "::1" || host === "localhost";
}
