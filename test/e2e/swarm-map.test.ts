import { setTimeout as sleep } from "node:timers/promises";
import type { EngineContext } from "../../src/lib/context";
import { defaultModel } from "../../src/lib/models";
import { parseSwarm } from "../../src/lib/sharing/swarm";
import { bareClient } from "./bare-client";
import { Neighbourhood } from "./computers";
import { openTestBed, torbiz } from "./torbiz";

/**
 * The map of a real swarm, beside what Petals' own client reads from the same DHT. This computer opens the swarm to its
 * local network, and another one joins by the invite.
 */

const ALL = defaultModel.blocks;

let context: EngineContext;
let docker: string;
let neighbourhood: Neighbourhood;
let peerId: string;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
  expect((await torbiz(["build"])).code).toBe(0);
  neighbourhood = new Neighbourhood(context, docker);
  await neighbourhood.open();
});

afterAll(async () => {
  await torbiz(["stop", "--now"]);
  await neighbourhood?.close();
});

test("torbiz swarm tells what a bare client reads, and what it suggests is what is missing", async () => {
  const lan = neighbourhood.addressIn(neighbourhood.lan);
  const shared = await torbiz(["share", "--blocks", "0:12", "--lan", lan]);
  expect(shared.last).toMatchObject({ ok: true, blocks: { loaded: 12, total: 12, start: 0, end: 12 } });
  peerId = String(shared.last.peerId);
  const addresses = ["127.0.0.1", lan].map((ip) => `/ip4/${ip}/tcp/${context.names.port}/p2p/${peerId}`);
  expect(shared.last.addresses).toEqual(addresses);

  const { code, last } = await torbiz(["swarm"]);
  expect(code).toBe(0);
  const bare = await bareClient(docker, context.names.container, String(addresses[0]));
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
  let status = await torbiz(["status"]);
  // It looks again after half a minute where its first look found nobody who answered.
  for (let tries = 0; tries < 60 && !status.last.glance; tries += 1) {
    await sleep(1_000);
    status = await torbiz(["status"]);
  }
  expect(status.last.glance).toEqual({ peers: 0, online: last.online });

  // Nothing is left of the look but the share itself.
  const containers = await context.engine.list(`com.torbiz.instance=${context.names.instance}`);
  expect(containers.flatMap(({ Names }) => Names)).toEqual([`/${context.names.container}`]);
});

test("another computer that has the invite joins through the published port, takes what was suggested, and a question crosses both", async () => {
  const { invite } = (await torbiz(["invite"])).last;
  const swarm = parseSwarm([String(invite)]);
  const other = await neighbourhood.start(neighbourhood.lan, 12, swarm, { start: 12, end: ALL });
  const { peerId: otherPeerId } = await other.online();
  expect((await torbiz(["swarm"])).last).toMatchObject({ peers: 1, own: { start: 0, end: 12 }, missing: [] });
  const { last } = await torbiz([
    ...["ask", "--engine", "swarm", "--allow-strangers", "--temperature", "0"],
    "What is the capital of France?",
  ]);
  expect(last).toMatchObject({
    ...{ ok: true, answer: "The capital of France is Paris." },
    route: [
      { peer: peerId, blocks: [0, 11] },
      { peer: otherPeerId, blocks: [12, ALL - 1] },
    ],
  });
});

test("a swarm where nobody answers is told by its code, in bounded time", async () => {
  const nobody = "/ip4/127.0.0.1/tcp/9/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2";
  const { code, last } = await torbiz(["swarm", "--swarm", nobody]);
  expect(code).toBe(1);
  expect(last).toMatchObject({
    ...{ ok: false, code: "swarm-unreachable", message: "None of the swarm's first peers answered." },
  });
});
