import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { chooseEngine, type EngineFlags } from "../../../src/cli/engine-flags";
import { rememberAskSettings } from "../../../src/lib/ask/ask-settings";
import type { EngineChoice, EngineNote } from "../../../src/lib/ask/engine-choice";
import type { Offer } from "../../../src/lib/ask/engines";
import { LOCAL_MODELS } from "../../../src/lib/ask/local-models";
import { modelFile } from "../../../src/lib/ask/model-download";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";
import { defaultModel } from "../../../src/lib/models";
import { createInvite } from "../../../src/lib/sharing/invite";
import { readStatus } from "../../../src/lib/sharing/status";
import { COMMIT, ScriptedHub } from "../hub/scripted-hub";
import { recordedSession } from "./session";
import { mkdirSync, truncateSync } from "node:fs";
import { dirname } from "node:path";

const STARTER = "smollm2-135m-instruct";
const server = { kind: "server", baseUrl: "http://127.0.0.1:11434/v1", model: "llama" } as const satisfies EngineChoice;
const offered: Offer = { kind: "server", choice: server, title: "Ollama", detail: "Runs here." };
const peer = `/ip4/1.2.3.4/tcp/31330/p2p/${"Q".repeat(46)}`;

let root: string;
let file: string;
let surroundings: Surroundings;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "engine "));
  file = join(root, "mine.gguf");
  writeFileSync(file, "GGUF\x03\0\0\0");
  surroundings = openSurroundings({ runtimeFiles: root, env: { TORBIZ_HOME: join(root, "home") }, home: homedir() });
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function choice(flags: EngineFlags, before?: EngineNote, offers: Offer[] = []): Promise<EngineChoice> {
  return chooseEngine(recordedSession(surroundings), flags, before, () => Promise.resolve(offers));
}

test("what the flags name, whatever was asked last", async () => {
  rememberAskSettings(surroundings.paths, { lastChoice: server });
  expect(await choice({ engine: "this" })).toEqual({ kind: "this", model: STARTER });
  expect(await choice({ engine: "this", model: "Granite-4.1-3B" })).toEqual({ kind: "this", model: "granite-4.1-3b" });
  expect(await choice({ model: "granite-4.1-3b" })).toEqual({ kind: "this", model: "granite-4.1-3b" });
  expect(await choice({ model: relative(process.cwd(), file) })).toEqual({ kind: "this", model: file });
  expect(await choice({ model: "qwen" })).toEqual({ ...server, model: "qwen" });
  expect(await choice({ engine: "http://127.0.0.1:11434/v1/" })).toEqual(server);
  expect(await choice({ engine: "http://127.0.0.1:1/v1" })).toEqual({
    kind: "server",
    baseUrl: "http://127.0.0.1:1/v1",
  });
  expect(await choice({ engine: "swarm" })).toEqual({ kind: "swarm" });
  expect(await choice({ swarm: [peer] })).toEqual({ kind: "swarm", swarm: { kind: "join", peers: [peer] } });
  expect(await choice({ engine: "swarm", swarm: ["public"], model: STARTER })).toEqual({
    ...{ kind: "swarm", model: STARTER, swarm: { kind: "public" } },
  });
});

test("an invite names the model and its commit, also of one that was never named here", async () => {
  const hub = await new ScriptedHub().start();
  try {
    surroundings.env.HF_ENDPOINT = hub.address;
    const status = { ...readStatus(undefined), state: "online" as const, addresses: [peer] };
    const source = { kind: "hub", repository: "Owner/Name", revision: COMMIT } as const;
    const invite = createInvite(status, { ...defaultModel, source, dhtPrefix: "Name-hf" }, { kind: "private" });
    expect(await choice({ swarm: [invite] })).toMatchObject({ kind: "swarm", model: "owner--name" });
    expect(hub.seen[0]?.path).toContain(`/api/models/Owner/Name/revision/${COMMIT}?`);
  } finally {
    await hub.stop();
  }
});

test("else what answered in the conversation, else what was asked last", async () => {
  rememberAskSettings(surroundings.paths, { lastChoice: { kind: "swarm", swarm: { kind: "public" } } });
  expect(await choice({})).toEqual({ kind: "swarm", swarm: { kind: "public" } });
  const where = "http://127.0.0.1:1/v1";
  expect(await choice({}, { kind: "server", model: "m", title: "M", where })).toEqual({
    ...{ kind: "server", baseUrl: where, model: "m" },
  });
  expect(await choice({}, { kind: "swarm", model: STARTER, title: "S", where: "Swarm" })).toEqual({
    ...{ kind: "swarm", model: STARTER, swarm: { kind: "public" } },
  });
});

test("what answered in the conversation and is gone is not brought back unasked", async () => {
  rememberAskSettings(surroundings.paths, { lastChoice: server });
  const gone: EngineNote = { kind: "this", model: "granite-4.1-3b", title: "Granite", where: "This Computer" };
  await expect(choice({}, gone)).rejects.toMatchObject({
    ...{ code: "model-missing", message: expect.stringContaining("Granite answered in this conversation") as string },
  });
  expect(await choice({ model: file }, gone)).toEqual({ kind: "this", model: file });
  expect(await choice({ engine: server.baseUrl }, gone)).toMatchObject({ kind: "server", baseUrl: server.baseUrl });
});

test("else what is here already: a server, a model, the starter; and it is said", async () => {
  expect(await choice({}, undefined, [offered])).toEqual(server);
  const session = recordedSession(surroundings);
  expect(await chooseEngine(session, {}, undefined, () => Promise.resolve([]))).toEqual({
    kind: "this",
    model: STARTER,
  });
  expect(session.events).toEqual([
    { event: "note", message: expect.stringContaining("SmolLM2 135M Instruct") as string },
  ]);

  const granite = LOCAL_MODELS.find(({ id }) => id === "granite-4.1-3b");
  if (!granite) throw new Error("It is no longer offered.");
  const path = modelFile(surroundings.paths, granite);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "");
  truncateSync(path, granite.bytes); // a hole: it takes no space
  expect(await choice({})).toEqual({ kind: "this", model: granite.id });
  expect(await choice({ engine: "this" })).toEqual({ kind: "this", model: granite.id });
});

test.each([
  [{ engine: "ollama" }, "engine-invalid"],
  [{ engine: "http://" }, "engine-invalid"],
  [{ engine: "ftp://127.0.0.1" }, "engine-invalid"],
  [{ engine: "" }, "engine-invalid"],
  [{ model: "gpt-5" }, "model-unknown"],
  [{ engine: "this", model: "gpt-5" }, "model-unknown"],
  [{ engine: "swarm", model: "gpt-5" }, "model-unknown"],
  [{ model: "./none.gguf" }, "model-missing"],
  [{ swarm: ["nonsense"] }, "swarm-invalid"],
  [{ engine: "this", swarm: ["public"] }, "usage"],
])("%j is refused as %s", async (flags, code) => {
  await expect(choice(flags)).rejects.toMatchObject({ code });
});
