import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { forgetModel, knownModels } from "../../../src/lib/hub/known-models";
import { resolveModel } from "../../../src/lib/hub/resolve-model";
import { defaultModel, findModel, MODELS } from "../../../src/lib/models";
import { COMMIT, CONFIG, INFO, ScriptedHub, surroundingsOf } from "./scripted-hub";

let home: string;
let hub: ScriptedHub;

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "torbiz-known-"));
  hub = await new ScriptedHub().start();
});

afterEach(async () => {
  await hub.stop();
  rmSync(home, { recursive: true, force: true });
});

function resolve(name: string, commit?: string) {
  return resolveModel({ ...surroundingsOf(hub.address), paths: { home } }, name, { commit });
}

it("asks the hub once for a model that a person names, and remembers what it told", async () => {
  const model = await resolve(" owner/name ");
  expect(model).toMatchObject({
    id: "owner--name",
    title: "Name",
    source: { kind: "hub", repository: "Owner/Name", revision: COMMIT },
    blocks: 4,
    diskBytes: 1_000_000,
    dhtPrefix: "Name-hf",
    license: "apache-2.0",
  });
  const asked = hub.seen.length;
  for (const name of ["Owner/Name", "OWNER/NAME", "owner--name"]) expect(await resolve(name)).toEqual(model);
  expect(hub.seen.length).toBe(asked);
  expect(findModel("owner--name", knownModels({ home }))).toEqual(model);
  expect(statSync(join(home, "hub-models.json")).mode & 0o777).toBe(0o600);
});

it("looks anew at one that was forgotten", async () => {
  const model = await resolve("owner/name");
  forgetModel({ home }, model);
  expect(knownModels({ home })).toEqual(MODELS);
  const later = "f".repeat(40);
  hub.info = { ...INFO, sha: later };
  expect((await resolve("owner/name")).source).toMatchObject({ revision: later });
});

it("checks a model of the catalogue when it is named first, and pins the branch that it is on", async () => {
  const bloom = { model_type: "bloom", n_embed: 14336, n_layer: 70, num_attention_heads: 112, vocab_size: 250880 };
  hub.config = { ...bloom, torch_dtype: "bfloat16" };
  hub.info = { ...INFO, id: "bigscience/bloom", cardData: { license: "bigscience-bloom-rail-1.0" } };
  expect(findModel("bloom-176b").source).toMatchObject({ revision: "main" });
  const model = await resolve("bigscience/BLOOM");
  expect(hub.seen[0]?.path).toBe("/api/models/bigscience/bloom/revision/main?blobs=true");
  const { title, note } = findModel("bloom-176b");
  expect(model).toMatchObject({ id: "bloom-176b", title, note, diskBytes: 1_000_000, source: { revision: COMMIT } });
  expect(knownModels({ home }).length).toBe(MODELS.length);
  const asked = hub.seen.length;
  expect(await resolve("bloom-176b")).toEqual(model);
  expect(hub.seen.length).toBe(asked);
});

it("goes by the commit that the catalogue names", async () => {
  const { source } = findModel("tinyllama-1.1b-chat");
  const revision = source.kind === "hub" ? source.revision : "";
  hub.info = { ...INFO, id: "TinyLlama/TinyLlama-1.1B-Chat-v1.0", sha: revision };
  await resolve("tinyllama-1.1b-chat");
  expect(hub.seen[0]?.path).toContain(`/revision/${revision}?`);
  // A Torbiz that names another one by now.
  const file = join(home, "hub-models.json");
  writeFileSync(file, readFileSync(file, "utf8").replaceAll(revision, "e".repeat(40)));
  expect(findModel("tinyllama-1.1b-chat", knownModels({ home }))).toEqual(findModel("tinyllama-1.1b-chat"));
});

it("asks nobody for the starter, nor for a name that is no repository's", async () => {
  expect(await resolve(defaultModel.id)).toBe(defaultModel);
  await expect(resolve("gpt-5")).rejects.toMatchObject({ code: "model-unknown" });
  expect(hub.seen).toEqual([]);
});

it("takes a known model for the same at others' commit where no hub can be asked, and one that it doesn't know for none", async () => {
  const theirs = "b".repeat(40);
  const model = await resolve("owner/name");
  hub.instead = (_, response) => !response.destroy().writable;
  expect(await resolve("owner/name", theirs)).toEqual({ ...model, source: { ...model.source, revision: theirs } });
  expect(await resolve("owner/name")).toEqual(model);
  await expect(resolve("owner/other", theirs)).rejects.toMatchObject({ code: "hub-unreachable" });
  // A hub that answers that there is none is believed.
  hub.instead = (_, response) => response.writeHead(404, { "x-error-code": "RevisionNotFound" }).end().writableEnded;
  await expect(resolve("owner/name", theirs)).rejects.toMatchObject({ code: "model-unknown" });
});

it("remembers nothing of what can't be shared", async () => {
  hub.config = { ...CONFIG, model_type: "qwen2" };
  await expect(resolve("owner/name")).rejects.toMatchObject({ code: "model-unsupported" });
  expect(knownModels({ home })).toEqual(MODELS);
});

it.each(["", "{", "null", '{"a":1}', '[null, 3, {"repository": "owner/name"}]'])(
  "outlives a damaged file: %s",
  async (content) => {
    writeFileSync(join(home, "hub-models.json"), content);
    expect(knownModels({ home })).toEqual(MODELS);
    expect((await resolve("owner/name")).id).toBe("owner--name");
  },
);
