import { createServer, type AddressInfo, type Server } from "node:net";
import { openEngine } from "../../../src/lib/context";
import { knownModels } from "../../../src/lib/hub/known-models";
import { resolveModel } from "../../../src/lib/hub/resolve-model";
import { findModel } from "../../../src/lib/models";
import { share } from "../../../src/lib/sharing/share";
import { lastChoice, rememberChoice } from "../../../src/lib/sharing/last-choice";
import { requestStop } from "../../../src/lib/sharing/stop-request";
import { PETALS_VERSION } from "../../../src/lib/version";
import { COMMIT, INFO, ScriptedHub } from "../hub/scripted-hub";
import { LABELS, scriptedShare, type ScriptedShare } from "./scripted-share";

let engine: ScriptedShare;

beforeEach(async () => {
  engine = await scriptedShare();
});

afterEach(() => engine.close());

test("a share that another command kills while it starts was stopped, and has not failed", async () => {
  const Config = { Labels: LABELS };
  const runs = { Id: "abc", State: { Status: "running", Running: true }, Config };
  engine.others["/containers/torbiz-petals-seeder/json"] = (_, response) => void response.end(JSON.stringify(runs));
  engine.container = { State: { Status: "exited", Running: false, ExitCode: 137 }, Config };
  engine.others["/containers/abc/logs"] = ({ url }, response) => {
    // The wish comes so late that nothing but a look at the very end can see it.
    if (!/follow=(1|true)/.test(url ?? "")) requestStop(engine.surroundings);
    response.end();
  };
  await expect(share(await openEngine(engine.surroundings))).rejects.toMatchObject({
    code: "interrupted",
    message: "Sharing was stopped before it began.",
  });
});

test.each([
  ["4", { start: 0, end: 4 }, "with 4 blocks"],
  ["auto", { start: 0, end: 4 }, "with as many blocks as fit"],
  ["12:16", { start: 0, end: 4 }, "with the blocks 12 to 15"],
  ["12:16", 4, "with the blocks 12 to 15"],
])("a share of the blocks %s is not one of %j", async (label, blocks, words) => {
  engine.container = {
    State: { Status: "running", Running: true },
    Config: { Labels: { ...LABELS, "com.torbiz.blocks": label } },
  };
  await expect(share(await openEngine(engine.surroundings), { blocks })).rejects.toMatchObject({
    code: "already-sharing",
    message: `smollm2-135m-instruct is shared already, ${words}.`,
  });
});

test("the port of a share is remembered, also of one that is adopted", async () => {
  engine.container = {
    State: { Status: "running", Running: true },
    Config: { Labels: { ...LABELS, "com.torbiz.port": "31400" } },
  };
  const context = await openEngine(engine.surroundings);
  await share(context, { wait: false });
  expect(lastChoice(context)?.port).toBe(31_400);
});

test.each([
  [{ lan: "203.0.113.7" }, "203.0.113.7"],
  [undefined, true],
] as const)("a share that is adopted stays as it was opened: chosen %j, remembered %j", async (chosen, remembered) => {
  const labels = { ...LABELS, "com.torbiz.host": "203.0.113.7" };
  engine.container = { State: { Status: "running", Running: true }, Config: { Labels: labels } };
  const context = await openEngine(engine.surroundings);
  if (chosen) rememberChoice(context, { model: "smollm2-135m-instruct", swarm: "private", ...chosen });
  await share(context, { wait: false });
  expect(lastChoice(context)?.lan).toBe(remembered);
});

test("who wants more blocks than fit is told before anything starts", async () => {
  const [taken, port] = await listening();
  const notes: string[] = [];
  const wanted = { blocks: 30, limits: { memory: { absolute: 1_300_000_000 } }, port };
  try {
    const starting = share(await openEngine(engine.surroundings), { ...wanted, onNote: (note) => notes.push(note) });
    await expect(starting).rejects.toMatchObject({ code: "port-in-use" });
  } finally {
    taken.close();
  }
  expect(notes).toEqual([expect.stringMatching(/^More blocks are wanted than fit: .+ [1-9] of 30 blocks fit: /)]);
});

test("blocks that the model has not are refused before anything starts", async () => {
  const wanted = share(await openEngine(engine.surroundings), { blocks: { start: 28, end: 31 } });
  await expect(wanted).rejects.toMatchObject({
    code: "blocks-invalid",
    message: "SmolLM2 135M Instruct has the blocks 0 to 29.",
  });
});

/** A server that takes connections, and its port. */
async function listening(): Promise<[Server, number]> {
  const server = createServer((connection) => connection.end()).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return [server, (server.address() as AddressInfo).port];
}

test("one who is invited to another commit of a model shares that one, and knows it from then on", async () => {
  const theirs = "b".repeat(40);
  const hub = await new ScriptedHub().start();
  const [peer, at] = await listening();
  const [taken, port] = await listening();
  taken.close();
  try {
    const peers = [`/ip4/127.0.0.1/tcp/${at}/p2p/12D3KooWK1SGTStbo4A7ibkWW4FyC65cys4K5NXdVmsgfAxLYnwL`];
    const { surroundings, others } = engine;
    surroundings.env.HF_ENDPOINT = hub.address;
    engine.image = {};
    let made = "";
    others["/volumes/create"] = (_, response) => void response.writeHead(201).end(JSON.stringify({ Name: "vol" }));
    others["/networks/create"] = (_, response) => void response.writeHead(201).end(JSON.stringify({ Id: "net" }));
    others["/containers/create"] = (request, response) => {
      request.on("data", (piece) => (made += String(piece)));
      request.on("end", () => response.writeHead(201).end(JSON.stringify({ Id: "abc" })));
    };
    others["/containers/abc/start"] = (_, response) => void response.writeHead(204).end();

    await resolveModel(surroundings, "owner/name");
    hub.info = { ...INFO, sha: theirs };
    const invite = { model: "Owner/Name", revision: theirs, dhtPrefix: "Name-hf", peers, petals: PETALS_VERSION };
    const swarm = { kind: "join", peers, invite } as const;
    await share(await openEngine(surroundings), {
      model: "owner--name",
      swarm,
      port,
      lan: "192.168.1.9",
      wait: false,
    });
    expect(JSON.parse(made)).toMatchObject({ Cmd: expect.arrayContaining(["--revision", theirs]) as unknown });
    expect(JSON.parse(made)).toMatchObject({ Labels: { "com.torbiz.revision": theirs } });
    expect(findModel("owner/name", knownModels(surroundings.paths)).source).toMatchObject({ revision: theirs });

    // What runs then is no share of another commit, whatever this computer remembers.
    const { Labels } = JSON.parse(made) as { Labels: Record<string, string> };
    engine.container = { State: { Status: "running", Running: true }, Config: { Labels } };
    hub.info = { ...INFO, sha: COMMIT };
    const other = { ...swarm, invite: { ...invite, revision: COMMIT } };
    await expect(share(await openEngine(surroundings), { swarm: other })).rejects.toMatchObject({
      code: "already-sharing",
      message: "owner--name is shared already, at commit bbbbbbb.",
    });
    const adopted = await share(await openEngine(surroundings), { swarm, wait: false });
    expect(adopted).toMatchObject({ adopted: true, status: { revision: theirs } });
  } finally {
    peer.close();
    await hub.stop();
  }
});
