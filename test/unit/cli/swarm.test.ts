import { describeMap } from "../../../src/cli/swarm";
import { defaultModel } from "../../../src/lib/models";
import { gapsOf } from "../../../src/lib/sharing/block-bar";
import { readInvite } from "../../../src/lib/sharing/invite";
import type { SwarmMap } from "../../../src/lib/sharing/swarm-map";

const OWN = "12D3KooWQUMM28Xv4SJQEG9Jdzxmuj7NdQJscxLfqR1Ckm3XWCEw";
const OTHER = "12D3KooWK1SGTStbo4A7ibkWW4FyC65cys4K5NXdVmsgfAxLYnwL";
const ADDRESS = `/ip4/192.168.1.20/tcp/31330/p2p/${OTHER}`;

/** A model of 22 blocks: 0 to 11 here, 4 to 15 elsewhere. */
function map(more: Partial<SwarmMap> = {}): SwarmMap {
  const online = [
    ...Array<number>(4).fill(1),
    ...Array<number>(8).fill(2),
    ...Array<number>(4).fill(1),
    ...Array<number>(6).fill(0),
  ];
  const server = { state: "online", version: "2.2.0.post1", relayed: false, name: null, throughput: 812.46 } as const;
  return {
    model: { ...defaultModel, title: "Tiny", blocks: 22 },
    swarm: { kind: "private" },
    blocks: 22,
    servers: [
      { ...server, peerId: OWN, start: 0, end: 12 },
      { ...server, peerId: OTHER, start: 4, end: 16, relayed: true, name: "Basement" },
    ],
    online,
    missing: gapsOf(online),
    suggestion: { start: 16, end: 20 },
    fit: { blocks: 4, all: false, weightBytes: 4, cacheBytes: 4, reason: "4 of 22 blocks fit." },
    initialPeers: [],
    clockSkewSeconds: 0,
    ownPeerId: OWN,
    own: { start: 0, end: 12 },
    peers: 1,
    ...more,
  };
}

it("draws what is served by whom, and says what is missing", () => {
  expect(describeMap(map(), 80)).toBe(
    [
      "Tiny, 22 blocks. Swarm: private",
      "  0 ████████████▒▒▒▒······ 21",
      "  █ this computer  ▒ others  · missing",
      "  Blocks   State   Speed                    Peer                                                  Name",
      `  0 to 11  online  812.5 tokens/s           ${OWN}  this computer`,
      `  4 to 15  online  812.5 tokens/s  relayed  ${OTHER}  Basement`,
      "1 peer besides this computer.",
      "Blocks 16 to 21 are missing.",
      "Another computer helps most with 4 blocks from 16: --blocks 16:20",
    ].join("\n"),
  );
});

it("suggests nothing where not one block fits, and says why", () => {
  const reason = "Not even one block fits: it takes 5.0 GB of 3.0 GB that sharing may use.";
  const told = describeMap(map({ suggestion: null, fit: { ...map().fit, blocks: 0, reason }, ownPeerId: null }), 80);
  expect(told.split("\n").slice(-2)).toEqual(["Blocks 16 to 21 are missing.", reason]);
});

it("keeps the bar within the line, however narrow", () => {
  const bars = [80, 40, 20, 10, 1].map((columns) => describeMap(map(), columns).split("\n")[1] ?? "");
  expect(bars.map((bar) => bar.length)).toEqual([29, 29, 20, 10, 8]);
  for (const bar of bars) expect(bar).toContain("·");
});

it("names the command that fills the gap, where this computer shares nothing there", () => {
  const swarm = { kind: "join" as const, peers: [ADDRESS] };
  const text = describeMap(map({ swarm, ownPeerId: null, own: null, peers: 2 }), 80);
  expect(text).toContain(`Serve 4 blocks from 16: \`torbiz share --swarm ${ADDRESS} --blocks 16:20\``);
  expect(text).toContain("2 peers online.");
  expect(describeMap(map({ swarm: { kind: "public" }, ownPeerId: null, own: null }), 80)).toContain(
    "`torbiz share --swarm public --blocks 16:20`",
  );
});

it("names the command that joins by the invite that was looked at: its peers alone tell no commit", () => {
  const invite = {
    model: "Owner/Name",
    revision: "b".repeat(40),
    dhtPrefix: "Name-hf",
    peers: [ADDRESS],
    petals: "2.2.0",
  };
  const swarm = { kind: "join" as const, peers: [ADDRESS], invite };
  const text = describeMap(map({ swarm, ownPeerId: null, own: null }), 80);
  const [, typed = ""] = /`torbiz join (\S+) --blocks 16:20`/.exec(text) ?? [];
  expect(readInvite(typed)).toEqual(invite);
});

it("says plainly that nobody else is there, and that nothing is missing", () => {
  const online = Array<number>(22).fill(1);
  const text = describeMap(map({ online, missing: [], peers: 0, servers: [], own: { start: 0, end: 22 } }), 80);
  expect(text).toContain("0 peers besides this computer. Invite others: `torbiz invite`");
  expect(text).toContain("Every block is served.");
  expect(text).not.toContain("--blocks");
});
