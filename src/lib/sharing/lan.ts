import { createSocket } from "node:dgram";
import { isIPv4 } from "node:net";
import { networkInterfaces, type NetworkInterfaceInfo } from "node:os";
import { TorbizError } from "../errors";

type Interfaces = NodeJS.Dict<readonly Pick<NetworkInterfaceInfo, "address" | "family" | "internal">[]>;

/** Networks that a program made within this computer, and tunnels: others on the local network aren't in them. */
const VIRTUAL =
  /^(br-|bridge|cni|docker|ifb|ipsec|llw|lxc|podman|ppp|tailscale|tap|tun|utun|vboxnet|veth|virbr|vmenet|vmnet|wg|zt)/;
/** RFC 1918. */
const PRIVATE = /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/;
/** What a host name is made of; the engine's address parser has the last word. */
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;
/** TEST-NET-1: nothing is ever sent there. */
const ELSEWHERE = "192.0.2.1";

/**
 * This computer's addresses in its local networks, the one by which the way out of them begins first. Found out here, as a
 * container sees only the engine's own networks.
 */
export async function lanAddresses(interfaces: Interfaces = networkInterfaces()): Promise<string[]> {
  return rank(interfaces, await outgoingAddress());
}

/** The likeliest first. @param outgoing the address of the default route, where it is known */
export function rank(interfaces: Interfaces, outgoing: string | undefined): string[] {
  return Object.entries(interfaces)
    .flatMap(([name, addresses = []]) =>
      addresses
        .filter(({ address, family, internal }) => family === "IPv4" && !internal && !address.startsWith("169.254."))
        .map(({ address }) => ({
          address,
          cost: (VIRTUAL.test(name) ? 4 : 0) + (address === outgoing ? 0 : 2) + (PRIVATE.test(address) ? 0 : 1),
        })),
    )
    .toSorted((a, b) => a.cost - b.cost)
    .map(({ address }) => address);
}

/**
 * An address that a person names, as it is: of this computer, or of a router that passes the port on to it.
 * @throws TorbizError address-invalid
 */
export function parseHost(text: string): string {
  const host = text.trim();
  if (isIPv4(host) || (HOST_NAME.test(host) && !/^[\d.]+$/.test(host))) return host;
  throw new TorbizError("address-invalid", `"${text}" is neither an IPv4 address nor a host name.`);
}

/** The multiaddr of a host and a port. */
export function multiaddr(host: string, port: number): string {
  return `/${isIPv4(host) ? "ip4" : "dns"}/${host}/tcp/${port}`;
}

/** The address that packets out of the local network leave by: a UDP socket learns it without sending one. */
async function outgoingAddress(): Promise<string | undefined> {
  const socket = createSocket("udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.connect(9, ELSEWHERE, resolve);
    });
    return socket.address().address;
  } catch {
    return undefined; // no way out: the other signs have to do
  } finally {
    socket.close();
  }
}
