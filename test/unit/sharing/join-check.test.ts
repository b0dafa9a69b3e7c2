import { createServer, type Server } from "node:net";
import { openEngine } from "../../../src/lib/context";
import { knownModels } from "../../../src/lib/hub/known-models";
import { findModel } from "../../../src/lib/models";
import { modelIn } from "../../../src/lib/sharing/swarm-model";
import { checkJoin, findingsOf, type JoinedSwarm } from "../../../src/lib/sharing/join-check";
import type { SwarmServer } from "../../../src/lib/sharing/swarm-look";
import { PETALS_VERSION } from "../../../src/lib/version";
import { COMMIT, INFO, ScriptedHub } from "../hub/scripted-hub";
import { scriptedShare, type ScriptedShare } from "./scripted-share";

const ID = "12D3KooWK1SGTStbo4A7ibkWW4FyC65cys4K5NXdVmsgfAxLYnwL";
const SWARM: JoinedSwarm = { kind: "join", peers: [`/ip4/10.0.0.7/tcp/31330/p2p/${ID}`] };

/** A server of the first 12 of 22 blocks. */
const SERVER: SwarmServer = {
  ...{ peerId: ID, name: null, state: "online", start: 0, end: 12 },
  ...{ throughput: 300, version: PETALS_VERSION, relayed: false },
};

/** A look at that swarm. */
const LOOK = {
  servers: [SERVER],
  online: [...Array<number>(12).fill(1), ...Array<number>(10).fill(0)],
  missing: [{ start: 12, end: 22 }],
  suggestion: { start: 12, end: 16 },
  fit: { blocks: 4, all: false, weightBytes: 4, cacheBytes: 4, reason: "4 of 22 blocks fit." },
  initialPeers: [{ address: SWARM.peers[0] ?? "", answered: true, clockSkewSeconds: -0.42 }],
  clockSkewSeconds: -0.42,
};

const sentences = (...given: Parameters<typeof findingsOf>) => findingsOf(...given).map(({ sentence }) => sentence);

test("tells all that there is to know before joining", () => {
  expect(findingsOf(LOOK, { swarm: SWARM })).toEqual([
    { code: "peers-reachable", warning: false, sentence: "The peer to join by can be reached." },
    { code: "clock-agrees", warning: false, sentence: "The clocks agree: they are 0.4 s apart." },
    { code: "versions-agree", warning: false, sentence: `Others run the same Petals: ${PETALS_VERSION}.` },
    { code: "blocks-missing", warning: false, sentence: "Blocks 12 to 21 are missing." },
    { code: "blocks-suggested", warning: false, sentence: "This computer helps most with 4 blocks: 12 to 15." },
  ]);
});

test("warns of peers that are silent", () => {
  const [peer] = LOOK.initialPeers;
  const initialPeers = [{ address: "", answered: false, clockSkewSeconds: null }, ...(peer ? [peer] : [])];
  expect(findingsOf({ ...LOOK, initialPeers }, { swarm: SWARM })[0]).toEqual({
    code: "peers-partly-reachable",
    warning: true,
    sentence: "Of the 2 peers to join by, 1 can be reached.",
  });
});

test.each([
  ["2.3.0", "Others run Petals 2.3.0, "],
  ["\u001b[2J", "Others run Petals of an unknown version, "],
])("warns of another version of Petals: %j", (version, words) => {
  const finding = findingsOf({ ...LOOK, servers: [SERVER, { ...SERVER, version }] }, { swarm: SWARM })[2];
  expect(finding).toMatchObject({ code: "versions-differ", warning: true });
  expect(finding?.sentence).toBe(`${words}this computer ${PETALS_VERSION}: they may not work together.`);
});

test("takes the invite's word for the version where no server tells it, and says nothing where nobody does", () => {
  const nobody = { ...LOOK, servers: [], online: Array<number>(22).fill(0), missing: [{ start: 0, end: 22 }] };
  const invite = { model: "tiny", dhtPrefix: "tiny", peers: SWARM.peers, petals: "2.1.0" };
  expect(sentences(nobody, { swarm: { ...SWARM, invite } })[2]).toContain("Others run Petals 2.1.0");
  expect(sentences({ ...nobody, clockSkewSeconds: null }, { swarm: SWARM })).toEqual([
    "The peer to join by can be reached.",
    "Nobody serves a block of it yet.",
    "This computer helps most with 4 blocks: 12 to 15.",
  ]);
});

test("warns where not one block fits, and suggests none", () => {
  const look = { ...LOOK, suggestion: null, fit: { ...LOOK.fit, blocks: 0, reason: "Not even one block fits." } };
  expect(findingsOf(look, { swarm: SWARM }).at(-1)).toEqual({
    code: "no-block-fits",
    warning: true,
    sentence: "Not even one block fits.",
  });
});

test("suggests nothing to who is in already", () => {
  const full = { ...LOOK, online: Array<number>(22).fill(1), missing: [] };
  expect(sentences(full, { swarm: SWARM, isIn: true }).slice(-2)).toEqual([
    "Every block is served.",
    "This computer shares in this swarm already.",
  ]);
});

describe("before an engine without the image", () => {
  let share: ScriptedShare;
  let peer: Server;
  let port: number;

  beforeEach(async () => {
    share = await scriptedShare();
    peer = createServer((connection) => connection.end()).listen(0, "127.0.0.1");
    await new Promise((resolve) => peer.once("listening", resolve));
    ({ port } = peer.address() as { port: number });
  });

  afterEach(async () => {
    peer.close();
    await share.close();
  });

  const at = (number: number): JoinedSwarm => ({ kind: "join", peers: [`/ip4/127.0.0.1/tcp/${number}/p2p/${ID}`] });

  test("the peers are tried, and the rest is said to come", async () => {
    const { findings, suggestion } = await checkJoin(await openEngine(share.surroundings), { swarm: at(port) });
    expect(findings.map(({ code }) => code)).toEqual(["peers-reachable", "image-missing"]);
    expect(suggestion).toBeNull();
  });

  test("a swarm where nobody answers is told with its address, and nothing is asked further", async () => {
    peer.close();
    const context = await openEngine(share.surroundings);
    const asked = share.engine.requests.length;
    await expect(checkJoin(context, { swarm: at(port) })).rejects.toMatchObject({
      code: "swarm-unreachable",
      message: `Nobody answers at 127.0.0.1 (port ${port}).`,
    });
    expect(share.engine.requests.length).toBe(asked);
  });

  describe("by an invite that names a commit of the model", () => {
    const THEIRS = "b".repeat(40);
    let hub: ScriptedHub;

    beforeEach(async () => {
      hub = await new ScriptedHub().start();
      share.surroundings.env.HF_ENDPOINT = hub.address;
    });

    afterEach(() => hub.stop());

    const invited = (revision?: string, model = "Owner/Name", dhtPrefix = "Name-hf"): JoinedSwarm => ({
      ...at(port),
      invite: { model, revision, dhtPrefix, peers: [], petals: PETALS_VERSION },
    });
    const check = async (swarm: JoinedSwarm) => checkJoin(await openEngine(share.surroundings), { swarm });
    const codes = async (swarm: JoinedSwarm) => (await check(swarm)).findings.map(({ code }) => code);
    const here = () => findModel("owner/name", knownModels(share.surroundings.paths)).source;

    test("one that is new here is looked up at that commit", async () => {
      hub.info = { ...INFO, sha: THEIRS };
      expect(await codes(invited(THEIRS))).toEqual(["peers-reachable", "image-missing"]);
      expect(hub.seen[0]?.path).toContain(`/api/models/Owner/Name/revision/${THEIRS}?`);
      expect(here()).toMatchObject({ revision: THEIRS });
      const asked = hub.seen.length;
      await check(invited(THEIRS));
      expect(hub.seen.length).toBe(asked);
    });

    test("one that is known here at another commit is joined at theirs, which is said; a look changes nothing", async () => {
      await check(invited());
      expect(here()).toMatchObject({ revision: COMMIT });
      hub.info = { ...INFO, sha: THEIRS };
      const { model, findings } = await check(invited(THEIRS, "owner/name"));
      expect(model.source).toMatchObject({ revision: THEIRS });
      expect(findings[0]).toEqual({
        code: "commits-differ",
        warning: true,
        sentence: "Others have Name at commit bbbbbbb, this computer at 0123456: to join, theirs is downloaded.",
      });
      expect(here()).toMatchObject({ revision: COMMIT });
      // The share that follows names it by its id.
      expect(await modelIn(await openEngine(share.surroundings), invited(THEIRS), model.id, {})).toEqual(model);
    });

    test("the token goes with whatever the hub is asked", async () => {
      await check(invited());
      hub.info = { ...INFO, sha: THEIRS };
      const before = hub.seen.length;
      const context = await openEngine(share.surroundings);
      await checkJoin(context, { swarm: invited(THEIRS), token: "hf_canary" });
      const brought = hub.seen.slice(before).map(({ authorization }) => authorization);
      expect(new Set(brought)).toEqual(new Set(["Bearer hf_canary"]));
    });

    test("one that the catalogue has at another commit is refused", async () => {
      const { id, dhtPrefix } = findModel("tinyllama-1.1b-chat");
      const repository = "TinyLlama/TinyLlama-1.1B-Chat-v1.0";
      hub.info = { ...INFO, id: repository, sha: THEIRS };
      for (const name of [id, repository]) {
        await expect(check(invited(THEIRS, name, dhtPrefix))).rejects.toMatchObject({
          code: "swarm-invalid",
          hint: "Use the same version of Torbiz on both computers.",
        });
      }
    });
  });

  test("an invite to another model's swarm is refused", async () => {
    const invite = { model: "smollm2-135m-instruct", dhtPrefix: "another", peers: [], petals: PETALS_VERSION };
    const swarm: JoinedSwarm = { ...at(port), invite };
    await expect(checkJoin(await openEngine(share.surroundings), { swarm })).rejects.toMatchObject({
      code: "swarm-invalid",
    });
  });
});
