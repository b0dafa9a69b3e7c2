import { execFileSync } from "node:child_process";
import type { EngineContext } from "../../src/lib/context";
import { defaultModel } from "../../src/lib/models";
import { openTestBed, torbiz } from "./torbiz";

/** The map of a real swarm, beside what Petals' own client reads from the same DHT. */

const ALL = defaultModel.blocks;
/** Petals' client, in the container that shares: who serves each block, by its peer. */
const BARE = `
import json, sys
from torbiz import petals_compat
from hivemind.dht import DHT
from petals.client.routing.sequence_info import RemoteSequenceInfo
from petals.utils.dht import get_remote_module_infos
address, prefix, blocks = sys.argv[1:]
uids = [f"{prefix}.{block}" for block in range(int(blocks))]
info = RemoteSequenceInfo.make_empty(uids)
info.update_(get_remote_module_infos(DHT(initial_peers=[address], client_mode=True, start=True), uids, latest=True))
print(json.dumps([[span.peer_id.to_base58() for span in spans] for spans in info.spans_containing_block]))
`;

let context: EngineContext;
let docker: string;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
  expect((await torbiz(["build"])).code).toBe(0);
});

afterAll(async () => {
  await torbiz(["stop", "--now"]);
});

function bareClient(address: string): string[][] {
  const command = ["exec", context.names.container, "python", "-W", "ignore", "-c", BARE, address];
  const out = execFileSync(docker, [...command, defaultModel.dhtPrefix, String(ALL)], { encoding: "utf8" });
  return JSON.parse(out.trim().split("\n").at(-1) ?? "") as string[][];
}

test("torbiz swarm tells what a bare client reads, and what it suggests is what is missing", async () => {
  const shared = await torbiz(["share", "--blocks", "0:12"]);
  expect(shared.last).toMatchObject({ ok: true, blocks: { loaded: 12, total: 12, start: 0, end: 12 } });
  const { peerId, addresses } = shared.last as unknown as { peerId: string; addresses: string[] };

  const { code, last } = await torbiz(["swarm"]);
  expect(code).toBe(0);
  const bare = bareClient(addresses[0] ?? "");
  expect(last.online).toEqual(bare.map((peers) => peers.length));
  expect(bare).toEqual([...Array<string[]>(12).fill([peerId]), ...Array<string[]>(ALL - 12).fill([])]);
  expect(last).toMatchObject({
    ...{ ok: true, model: defaultModel.id, swarm: "private", blocks: ALL, peers: 0, ownPeerId: peerId },
    own: { start: 0, end: 12 },
    missing: [{ start: 12, end: ALL }],
    suggestion: { start: 12, end: ALL, command: `torbiz share --blocks 12:${ALL}` },
    servers: [{ peerId, state: "online", start: 0, end: 12 }],
  });
  // The share's own server sees the same, at a glance.
  const status = await torbiz(["status"]);
  expect(status.last.glance).toEqual({ peers: 0, online: last.online });

  // Nothing is left of the look but the share itself.
  const containers = await context.engine.list(`com.torbiz.instance=${context.names.instance}`);
  expect(containers.flatMap(({ Names }) => Names)).toEqual([`/${context.names.container}`]);
});

test("what was suggested can be shared, and fills the gap", async () => {
  await torbiz(["stop"]);
  const shared = await torbiz(["share", "--blocks", `12:${ALL}`]);
  expect(shared.last).toMatchObject({ ok: true, blocks: { start: 12, end: ALL } });
  const { last } = await torbiz(["swarm"]);
  expect(last).toMatchObject({ own: { start: 12, end: ALL }, missing: [{ start: 0, end: 12 }] });
});

test("a swarm where nobody answers is told by its code, in bounded time", async () => {
  const nobody = "/ip4/127.0.0.1/tcp/9/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2";
  const { code, last } = await torbiz(["swarm", "--swarm", nobody]);
  expect(code).toBe(1);
  expect(last).toMatchObject({
    ...{ ok: false, code: "swarm-unreachable", message: "None of the swarm's first peers answered." },
  });
});
