import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";
import { rememberAsked } from "../../../src/lib/sharing/last-choice";
import { findSwarmTarget } from "../../../src/lib/sharing/swarm-target";
import { healthy, scriptedEngine, type ScriptedEngine } from "../docker/scripted-engine";

const PEER = "/ip4/10.0.0.7/tcp/31330/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2";
const OWN = "/ip4/127.0.0.1/tcp/31330/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2";
const MODEL = "smollm2-135m-instruct";

let home: string;
let engine: ScriptedEngine | undefined;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "torbiz-target-"));
});

afterEach(async () => {
  await engine?.close();
  engine = undefined;
  rmSync(home, { recursive: true, force: true });
});

/** An engine whose container shares in `swarm`, is at `stage`, or isn't there. */
async function surroundings(share?: { swarm: string; stage: string }): Promise<Surroundings> {
  const report = JSON.stringify({ stage: share?.stage, time: new Date().toISOString(), addresses: [OWN] });
  const container = {
    Id: "abc",
    Config: { Labels: { "com.torbiz.managed": "1", "com.torbiz.model": MODEL, "com.torbiz.swarm": share?.swarm } },
    State: {
      Status: "running",
      Running: true,
      Health: { Log: [{ End: new Date().toISOString(), Output: report }] },
    },
  };
  const path = "/containers/torbiz-petals-seeder/json";
  engine = await scriptedEngine((request, response) => {
    if (share && request.url?.includes(path)) return void response.end(JSON.stringify(container));
    return healthy()(request, response);
  });
  return open(engine.socketPath);
}

function open(host: string): Surroundings {
  return openSurroundings({ runtimeFiles: ".", env: { TORBIZ_HOME: home, PATH: "" }, home, host });
}

test("the running share comes first, whatever was used last", async () => {
  const where = await surroundings({ swarm: "private", stage: "online" });
  rememberAsked(where, { model: MODEL, swarm: "public" });
  expect(await findSwarmTarget(where)).toMatchObject({ initialPeers: [OWN], swarm: { kind: "private" } });
});

test("a share in another's swarm is asked by that swarm's peers", async () => {
  const where = await surroundings({ swarm: PEER, stage: "online" });
  expect(await findSwarmTarget(where)).toMatchObject({ initialPeers: [PEER], swarm: { kind: "join" } });
});

test("where nothing is shared the swarm used last is meant", async () => {
  const where = await surroundings();
  rememberAsked(where, { model: MODEL, swarm: PEER });
  expect(await findSwarmTarget(where)).toMatchObject({ initialPeers: [PEER] });
});

test("the swarm used last needs no engine", async () => {
  const where = open(join(home, "no-engine.sock"));
  rememberAsked(where, { model: MODEL, swarm: "public" });
  expect(await findSwarmTarget(where)).toMatchObject({ initialPeers: [], swarm: { kind: "public" } });
});

test("a named swarm is asked, and no other", async () => {
  const where = await surroundings({ swarm: "public", stage: "online" });
  expect(await findSwarmTarget(where, { kind: "join", peers: [PEER] })).toMatchObject({ initialPeers: [PEER] });
  await expect(findSwarmTarget(where, { kind: "private" })).rejects.toMatchObject({ code: "no-swarm" });
});

test.each([
  ["nothing was ever shared", undefined, undefined, "Nothing is shared now."],
  ["the last one was one's own", undefined, "private", "this computer's own"],
  ["the share is on its way", { swarm: "private", stage: "loading" }, undefined, "still starting"],
])("says why there is none: %s", async (_, share, last, words) => {
  const where = await surroundings(share);
  if (last) rememberAsked(where, { model: MODEL, swarm: last });
  await expect(findSwarmTarget(where)).rejects.toMatchObject({
    code: "no-swarm",
    message: expect.stringContaining(words) as unknown,
  });
});
