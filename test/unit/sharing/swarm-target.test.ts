import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";
import { commitOf, knownModels } from "../../../src/lib/hub/known-models";
import { resolveModel } from "../../../src/lib/hub/resolve-model";
import { findModel } from "../../../src/lib/models";
import { rememberAsked } from "../../../src/lib/sharing/last-choice";
import type { Swarm } from "../../../src/lib/sharing/swarm";
import { findSwarmTarget, modelMeant } from "../../../src/lib/sharing/swarm-target";
import { healthy, scriptedEngine, type ScriptedEngine } from "../docker/scripted-engine";
import { COMMIT, INFO, ScriptedHub } from "../hub/scripted-hub";

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
async function surroundings(share?: { swarm: string; stage: string }, labels = {}): Promise<Surroundings> {
  const report = JSON.stringify({ stage: share?.stage, time: new Date().toISOString(), addresses: [OWN] });
  const container = {
    Id: "abc",
    Config: {
      Labels: {
        ...{ "com.torbiz.managed": "1", "com.torbiz.model": MODEL, "com.torbiz.swarm": share?.swarm },
        ...labels,
      },
    },
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

describe("a model of the hub", () => {
  const THEIRS = "b".repeat(40);
  let hub: ScriptedHub;

  beforeEach(async () => {
    hub = await new ScriptedHub().start();
  });

  afterEach(() => hub.stop());

  const invited = (revision: string): Swarm => ({
    ...{ kind: "join", peers: [PEER] },
    invite: { model: "Owner/Name", revision, dhtPrefix: "Name-hf", peers: [PEER], petals: "2.2.0" },
  });
  const nowhere = () => {
    const where = open(join(home, "no-engine.sock"));
    where.env.HF_ENDPOINT = hub.address;
    return where;
  };

  test.each([undefined, "Owner/Name", "owner--name"])("is asked at the invite's commit, named as %s", async (model) => {
    hub.info = { ...INFO, sha: THEIRS };
    const { model: found, initialPeers } = await findSwarmTarget(nowhere(), invited(THEIRS), { model });
    expect(found).toMatchObject({ id: "owner--name", source: { repository: "Owner/Name", revision: THEIRS } });
    expect(initialPeers).toEqual([PEER]);
    expect(hub.seen[0]?.path).toContain(`/revision/${THEIRS}?`);
  });

  test("that is known here at another commit is asked at the invite's all the same", async () => {
    const where = nowhere();
    await resolveModel(where, "Owner/Name");
    hub.info = { ...INFO, sha: THEIRS };
    const { model } = await findSwarmTarget(where, invited(THEIRS), { model: "owner--name" });
    expect(model.source).toMatchObject({ revision: THEIRS });
    expect(commitOf(findModel("owner--name", knownModels(where.paths)))).toBe(COMMIT);
    const asked = hub.seen.length;
    await findSwarmTarget(where, invited(COMMIT));
    expect(hub.seen.length).toBe(asked);
  });

  test.each([
    ["as its label tells, whatever is known by now", { "com.torbiz.revision": THEIRS }, THEIRS],
    ["as it is known where an older Torbiz made the container", {}, COMMIT],
  ])("that is shared is asked at the commit of the share: %s", async (_, labels, revision) => {
    const where = await surroundings(
      { swarm: "private", stage: "online" },
      { "com.torbiz.model": "owner--name", ...labels },
    );
    where.env.HF_ENDPOINT = hub.address;
    await resolveModel(where, "Owner/Name");
    expect((await findSwarmTarget(where)).model.source).toMatchObject({ revision });
  });
});

test("the model that is meant is told without asking anybody", () => {
  const where = open(join(home, "no-engine.sock"));
  const invite = { model: "Owner/Name", dhtPrefix: "Name-hf", peers: [PEER], petals: "2.2.0" };
  const invited: Swarm = { kind: "join", peers: [PEER], invite };
  expect(modelMeant(where)).toBe(MODEL);
  rememberAsked(where, { model: "other--one", swarm: PEER });
  expect(modelMeant(where)).toBe("other--one");
  expect(modelMeant(where, { kind: "public" })).toBe("other--one");
  expect(modelMeant(where, invited)).toBe("owner--name");
  expect(modelMeant(where, { kind: "join", peers: [PEER] }, "Third/One")).toBe("third--one");
});

test("an invite is no use for another model", async () => {
  const invite = { model: MODEL, dhtPrefix: "of-another", peers: [PEER], petals: "2.2.0" };
  const target = findSwarmTarget(open(join(home, "no-engine.sock")), { kind: "join", peers: [PEER], invite });
  await expect(target).rejects.toMatchObject({ code: "swarm-invalid" });
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
