import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DockerSurroundings } from "../../../src/lib/docker/endpoint";
import { awaitDocker, ON_ITS_WAY } from "../../../src/lib/docker/wait";
import type { Progress } from "../../../src/lib/progress";
import { healthy, scriptedEngine, type ScriptedEngine } from "./scripted-engine";

let folder: string;
let socket: string;
let surroundings: DockerSurroundings;
let engine: ScriptedEngine | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "torbiz-wait-"));
  socket = join(folder, "docker.sock");
  surroundings = { env: { PATH: "" }, home: folder, platform: "linux", host: socket };
});

afterEach(async () => {
  await engine?.close();
  engine = undefined;
  await rm(folder, { recursive: true, force: true });
});

test("an engine that is starting is waited for, with the time and what was met last", async () => {
  const ready = healthy();
  let looks = 0;
  engine = await scriptedEngine((request, response) => {
    if (request.url === "/_ping") looks += 1;
    return looks < 3 ? response.writeHead(503).end() : ready(request, response);
  }, socket);
  const said: string[] = [];
  const docker = await awaitDocker(surroundings, ["starting"], { onProgress: ({ message }) => said.push(message) });
  expect(docker.state).toBe("ready");
  const cause = `Docker at unix://${socket} (as chosen for Torbiz) is not ready yet (it answers 503).`;
  expect(said).toEqual([0, 1].map((seconds) => `Waiting for Docker: ${seconds} s so far. ${cause}`));
});

test("one that stays away is told of with how long was waited, and all else that is known of it", async () => {
  const looked = await awaitDocker(surroundings, [], {});
  const docker = await awaitDocker(surroundings, ON_ITS_WAY, { limitMs: 1_000 });
  if (looked.state === "ready" || docker.state === "ready") throw new Error("nobody is there");
  const { message, hint, code, cause } = looked.error;
  expect(docker).toMatchObject({ state: "not-running", error: { code, hint, cause } });
  expect(docker.error.message).toBe(`Docker isn't ready after 1 s. ${message}`);
  expect(message).toContain(socket);
});

test("one that isn't on its way isn't waited for", async () => {
  const said: string[] = [];
  const onProgress = ({ message }: Progress) => said.push(message);
  expect(await awaitDocker(surroundings, ["starting"], { onProgress })).toMatchObject({ state: "not-running" });
  expect(said).toEqual([]);
});

test("a wait ends at once when it is interrupted", async () => {
  const leave = new AbortController();
  const waiting = awaitDocker(surroundings, ON_ITS_WAY, { signal: leave.signal, onProgress: () => leave.abort() });
  await expect(waiting).rejects.toMatchObject({ code: "interrupted" });
});
