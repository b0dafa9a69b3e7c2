import { TorbizError } from "../../../src/lib/errors";
import { parseSwarm, parseSwarmText, swarmText } from "../../../src/lib/sharing/swarm";

const PEER = "/ip4/10.0.0.7/tcp/31330/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2";
const OTHER = "/dns4/peer.example/tcp/31337/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

test("one's own swarm is the default", () => {
  expect(parseSwarm([])).toEqual({ kind: "private" });
  expect(parseSwarm(["private"])).toEqual({ kind: "private" });
});

test("public and peers' addresses are understood", () => {
  expect(parseSwarm(["public"])).toEqual({ kind: "public" });
  expect(parseSwarm([PEER, OTHER])).toEqual({ kind: "join", peers: [PEER, OTHER] });
});

test.each([["priv"], ["10.0.0.7:31330"], ["/ip4/10.0.0.7/tcp/31330"], [`${PEER} `], [`${PEER}\n--blocks`]])(
  "%j is refused by name",
  (value) => {
    expect(() => parseSwarm([value])).toThrow(TorbizError);
    expect(() => parseSwarm([value])).toThrow(/neither private, public, an invite nor a peer's address/);
  },
);

test("kinds can't be mixed", () => {
  expect(() => parseSwarm(["public", PEER])).toThrow(/"public" can't be combined/);
});

test.each([[["private"]], [["public"]], [[PEER, OTHER]]])("%j survives a label", (values) => {
  const swarm = parseSwarm(values);
  expect(parseSwarmText(swarmText(swarm))).toEqual(swarm);
});
