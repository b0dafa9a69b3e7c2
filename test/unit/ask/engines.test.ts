import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { firstRunOffers, listEngines } from "../../../src/lib/ask/engines";
import { swarmModelFolder } from "../../../src/lib/ask/swarm-model";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";
import { resolveModel } from "../../../src/lib/hub/resolve-model";
import { rememberAsked } from "../../../src/lib/sharing/last-choice";
import { ScriptedHub } from "../hub/scripted-hub";
import { writeRuntimeFiles } from "./python-server";

const GB = 1e9;

let root: string;
let surroundings: Surroundings;
let server: Server;
let baseUrl: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "engines-"));
  const env = { PATH: process.env.PATH, TORBIZ_HOME: root, DOCKER_HOST: `unix://${root}/none.sock` };
  surroundings = openSurroundings({ runtimeFiles: writeRuntimeFiles(root), env, home: root });
  server = createServer((_request, response) => {
    response.end(JSON.stringify({ object: "list", data: [{ id: "gemma3" }, { id: "qwen3" }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
});

afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(root, { recursive: true, force: true });
});

it("lists what this computer can hold, what runs on it, and the swarm with the reason why it can't be asked", async () => {
  const servers = { places: [{ title: "Ollama", baseUrl }] };
  const engines = await listEngines(surroundings, { servers, memoryBytes: 16 * GB });
  const here = engines.filter(({ choice }) => choice.kind === "this");
  expect(here.length).toBeGreaterThan(2);
  expect(new Set(here.map(({ state }) => state))).toEqual(new Set(["needs-download"]));
  expect(here.filter(({ detail }) => detail.startsWith("Recommended. "))).toHaveLength(1);
  expect(engines.filter(({ choice }) => choice.kind === "server")).toEqual(
    ["gemma3", "qwen3"].map((model) => {
      const detail = `Ollama, ${baseUrl}`;
      return { choice: { kind: "server", baseUrl, model }, title: model, detail, state: "ready", warm: false };
    }),
  );
  expect(engines.at(-1)).toMatchObject({ choice: { kind: "swarm" }, state: "unavailable", warm: false });
  expect(engines.at(-1)?.detail).toMatch(/\.$/);

  const small = await listEngines(surroundings, { servers: { places: [] }, memoryBytes: 4 * GB });
  expect(small.length).toBeLessThan(here.length);
});

it("offers a server that runs, then the one download that fits, then the starter", async () => {
  const offers = await firstRunOffers({ servers: { places: [{ title: "Ollama", baseUrl }] }, memoryBytes: 16 * GB });
  expect(offers.map(({ kind }) => kind)).toEqual(["server", "download", "starter"]);
  expect(offers[0]).toMatchObject({ title: "Ollama", choice: { kind: "server", baseUrl, model: "gemma3" } });
  expect(offers[2]?.detail).toMatch(/For trying out: /);
  const little = await firstRunOffers({ servers: { places: [] }, memoryBytes: 1 * GB });
  expect(little.map(({ kind }) => kind)).toEqual(["starter"]);
});

it("calls a swarm's model ready when all of it is here, not when a part is", async () => {
  const hub = await new ScriptedHub().start();
  try {
    const where = { ...surroundings, env: { ...surroundings.env, HF_ENDPOINT: hub.address } };
    const folder = swarmModelFolder(where.paths, await resolveModel(where, "Owner/Name"));
    const python = join(where.paths.envs, "swarm-0", "bin/python");
    for (const file of [python, join(folder, "tokenizer.json")]) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, "");
    }
    rememberAsked(where, { model: "owner--name", swarm: "public" });
    const look = async () => (await listEngines(where, { servers: { places: [] } })).at(-1);
    expect(await look()).toMatchObject({ title: "Name", state: "needs-setup" });
    writeFileSync(join(folder, "config.json"), "{}");
    expect(await look()).toMatchObject({ title: "Name", state: "ready" });
  } finally {
    await hub.stop();
  }
});
