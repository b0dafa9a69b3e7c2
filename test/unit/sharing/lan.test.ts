import { networkInterfaces } from "node:os";
import { lanAddresses, multiaddr, parseHost, rank } from "../../../src/lib/sharing/lan";

function at(address: string, internal = false) {
  return [
    { address, family: "IPv4" as const, internal },
    { address: "fe80::1", family: "IPv6" as const, internal },
  ];
}

test("the address by which the way out begins comes first, those of bridges and tunnels last", () => {
  const interfaces = {
    lo: at("127.0.0.1", true),
    docker0: at("172.17.0.1"),
    "br-6c15f6d464ca": at("172.18.0.1"),
    eth1: at("10.1.2.3"),
    eth0: at("192.168.1.20"),
    utun3: at("10.99.0.2"),
  };
  expect(rank(interfaces, "192.168.1.20").slice(0, 2)).toEqual(["192.168.1.20", "10.1.2.3"]);
  expect(rank(interfaces, "192.168.1.20")).toHaveLength(5);
});

test("a VPN that has the way out doesn't hide the local network", () => {
  expect(rank({ utun3: at("10.99.0.2"), en0: at("192.168.1.20") }, "10.99.0.2")[0]).toBe("192.168.1.20");
});

test("a private address goes before a public one, and one that a network gave before one made up", () => {
  expect(rank({ en0: at("203.0.113.9"), en1: at("192.168.1.20") }, undefined)[0]).toBe("192.168.1.20");
  expect(rank({ en0: at("169.254.7.7") }, undefined)).toEqual([]);
});

test("what it finds here are this computer's own addresses", async () => {
  const own = Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address));
  for (const address of await lanAddresses()) expect(own).toContain(address);
});

test.each([
  ["192.168.1.20", "/ip4/192.168.1.20/tcp/31330"],
  [" my-mac.local ", "/dns/my-mac.local/tcp/31330"],
])("%j is taken as it is", (text, address) => {
  expect(multiaddr(parseHost(text), 31330)).toBe(address);
});

test.each([[""], ["300.1.1.1"], ["fd00::2"], ["a b"], ["-x"], ["/ip4/1.2.3.4"], ["host/p2p"]])(
  "%j is refused",
  (text) => {
    expect(() => parseHost(text)).toThrow(expect.objectContaining({ code: "address-invalid" }) as Error);
  },
);
