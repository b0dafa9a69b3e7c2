import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { jest } from "@jest/globals";
import { cancelChoiceDownload, isChoiceDownloading } from "../../../src/lib/ask/choice-download";
import type { EngineChoice } from "../../../src/lib/ask/engine-choice";
import type { Environment } from "../../../src/lib/ask/environment";
import { cancelSwarmModel, distrustSwarmModel, ensureSwarmModel } from "../../../src/lib/ask/swarm-model";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";
import { defaultModel, onHub, type Model } from "../../../src/lib/models";
import type { Progress } from "../../../src/lib/progress";
import { HubProcess } from "../../hub-process";
import { localEnvironment } from "./local-environment";

const REPOSITORY = "maker/tiny-llama";
const TOKEN = "hf_secret";
const SHARD = Buffer.alloc(2_000_000, "some weights ");
const FILES = {
  "config.json": JSON.stringify({ model_type: "llama" }),
  "tokenizer.json": "{}",
  "model.safetensors.index.json": JSON.stringify({
    weight_map: {
      "model.embed_tokens.weight": "model-00001-of-00003.safetensors",
      "model.layers.0.w": "model-00002-of-00003.safetensors",
      "lm_head.weight": "model-00003-of-00003.safetensors",
    },
  }),
  ...Object.fromEntries([1, 2, 3].map((number) => [`model-0000${number}-of-00003.safetensors`, SHARD])),
};
const WANTED = Object.keys(FILES).filter((name) => name !== "model-00002-of-00003.safetensors");

let hub: HubProcess;
let root: string;
let home: string;
let environment: Environment;
let surroundings: Surroundings;

// A download is a real process, on a machine that others may use too.
jest.setTimeout(180_000);

beforeAll(async () => {
  environment = await localEnvironment();
  root = mkdtempSync(join(tmpdir(), "torbiz-hub-"));
  mkdirSync(join(root, REPOSITORY), { recursive: true });
  for (const [name, content] of Object.entries(FILES)) writeFileSync(join(root, REPOSITORY, name), content);
  hub = await HubProcess.start(environment.python, root);
}, 600_000);

afterAll(async () => {
  await hub.close();
  rmSync(root, { recursive: true, force: true });
});

beforeEach(async () => {
  await hub.fail();
  home = mkdtempSync(join(tmpdir(), "torbiz-swarm-model-"));
  const env = { ...process.env, TORBIZ_HOME: join(home, "torbiz"), HOME: home, HF_ENDPOINT: hub.url, HF_TOKEN: TOKEN };
  surroundings = openSurroundings({ runtimeFiles: process.cwd(), env, home });
});

afterEach(async () => {
  await cancelSwarmModel(surroundings.paths, model.id);
  rmSync(home, { recursive: true, force: true });
});

const model: Model = onHub({
  ...{ id: "maker--tiny-llama", title: "Tiny Llama", license: "MIT", gated: false, note: "" },
  ...{ repository: REPOSITORY, revision: "main", config: defaultModel.config },
});

function ensure(onProgress?: (progress: Progress) => void, signal?: AbortSignal, revision = "main"): Promise<string> {
  return ensureSwarmModel({
    surroundings,
    model: { ...model, source: { kind: "hub", repository: REPOSITORY, revision } },
    environment: () => Promise.resolve(environment),
    onProgress,
    signal,
  });
}

/** At which the hub has the model now. */
async function commit(): Promise<string> {
  const answer = await fetch(`${hub.url}/api/models/${REPOSITORY}`);
  return ((await answer.json()) as { sha: string }).sha;
}

it("brings what is in no block, told as it comes, and asks nobody the next time", async () => {
  const told: Progress[] = [];
  await hub.fail({ file: "*.safetensors", bytes_per_second: 2_000_000 });
  const folder = await ensure((progress) => told.push(progress));
  expect(folder).toBe(join(surroundings.paths.models, model.id, "petals", "main"));
  expect(readdirSync(folder).sort()).toEqual(WANTED.toSorted());
  expect(told.filter(({ progress }) => progress !== null && progress > 0 && progress < 1).length).toBeGreaterThan(2);
  expect(told.map(({ message }) => message)).toContainEqual(expect.stringMatching(/^Downloading Tiny Llama: /));
  expect(new Set((await hub.requests()).map(({ place, token }) => `${place} ${token}`))).toContain(`hub ${TOKEN}`);

  await hub.fail();
  expect(await ensure()).toBe(folder);
  expect(await hub.requests()).toEqual([]);
});

it("keeps each commit in a folder of its own: one that is whole is none of another", async () => {
  const first = await commit();
  const older = await ensure(undefined, undefined, first);
  const added = join(root, REPOSITORY, "chat_template.jinja");
  writeFileSync(added, "");
  try {
    const second = await commit();
    const newer = await ensure(undefined, undefined, second);
    expect([older, newer].map((folder) => basename(folder))).toEqual([first, second]);
    expect(existsSync(join(older, "chat_template.jinja"))).toBe(false);
    expect(existsSync(join(newer, "chat_template.jinja"))).toBe(true);
    expect(await ensure(undefined, undefined, first)).toBe(older);
  } finally {
    rmSync(added);
  }
});

it("goes on in the background when nobody watches, is cancelled by anybody, and goes on from there", async () => {
  await hub.fail({ file: "model-00003-of-00003.safetensors", bytes_per_second: 400_000 });
  const leave = new AbortController();
  const left = ensure(({ progress }) => {
    if (progress !== null && progress > 0.6) leave.abort();
  }, leave.signal);
  await expect(left).rejects.toMatchObject({ code: "interrupted" });
  const folder = join(surroundings.paths.models, model.id, "petals", "main");
  expect(await cancelSwarmModel(surroundings.paths, "maker--tiny")).toBe(false);
  expect(await cancelSwarmModel(surroundings.paths, model.id)).toBe(true);
  expect(await cancelSwarmModel(surroundings.paths, model.id)).toBe(false);
  expect(existsSync(join(folder, "config.json"))).toBe(false);

  await hub.fail();
  await ensure();
  const stored = (await hub.requests()).filter(({ place }) => place === "store");
  expect(stored.map(({ file, range }) => [file, range !== null])).toEqual([["model-00003-of-00003.safetensors", true]]);
});

it("is found and cancelled by the choice that it is for, at any commit, without a word to the hub", async () => {
  await hub.fail({ file: "*.safetensors", bytes_per_second: 400_000 });
  const leave = new AbortController();
  const left = ensure(({ progress }) => (progress ? leave.abort() : undefined), leave.signal, await commit());
  await expect(left).rejects.toMatchObject({ code: "interrupted" });
  const peers = ["/ip4/10.0.0.7/tcp/31330/p2p/Qm"];
  const invite = { model: REPOSITORY, revision: "c".repeat(40), dhtPrefix: "tiny-llama-hf", peers, petals: "2.3.0" };
  const others: EngineChoice[] = [{ kind: "swarm" }, { kind: "this", model: model.id }];
  const own: EngineChoice = { kind: "swarm", swarm: { kind: "join", peers, invite } };
  const before = await hub.requests();
  for (const other of others) {
    expect(await isChoiceDownloading(surroundings, other)).toBe(false);
    await cancelChoiceDownload(surroundings, other);
  }
  expect(await isChoiceDownloading(surroundings, { kind: "swarm", model: "Maker/Tiny-Llama" })).toBe(true);
  expect(await isChoiceDownloading(surroundings, own)).toBe(true);
  await cancelChoiceDownload(surroundings, own);
  expect(await isChoiceDownloading(surroundings, own)).toBe(false);
  const asked = (await hub.requests()).slice(before.length).filter(({ place }) => place === "hub");
  expect(asked).toEqual([]);
});

it("brings anew what was whole and couldn't be loaded", async () => {
  const folder = await ensure();
  const damaged = join(folder, "model-00003-of-00003.safetensors");
  truncateSync(damaged, 1_000);
  await ensure();
  expect(statSync(damaged).size).toBe(1_000); // nobody has noticed
  await distrustSwarmModel(surroundings.paths, model);
  await ensure();
  expect(readFileSync(damaged).equals(SHARD)).toBe(true);
  expect(readdirSync(folder).sort()).toEqual(WANTED.toSorted());
});

it.each([
  ["is gated", { file: "config.json", status: 403, code: "GatedRepo" }, "model-gated"],
  ["isn't there", { file: "api", status: 404, code: "RepoNotFound" }, "model-unknown"],
  ["comes with a wrong hash", { file: "model-00001*", wrong: true }, "model-broken"],
])("says so when it %s", async (_, fault, code) => {
  await hub.fail(fault);
  await expect(ensure()).rejects.toMatchObject({ code });
});
