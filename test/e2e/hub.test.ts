import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureAskEnvironment } from "../../src/lib/ask/ask-environments";
import type { EngineContext } from "../../src/lib/context";
import { LABELS } from "../../src/lib/names";
import { HubProcess } from "../hub-process";
import { exec, openTestBed, ROOT, torbiz } from "./torbiz";

/**
 * A llama that isn't the starter, made here with random weights, comes from a model hub on this computer: shared by the real
 * Petals in the real container, asked through its swarm.
 */

const REPOSITORY = "maker/tiny-llama";
const QUESTION = "Why?";
const ASK = ["ask", "--engine", "swarm", "--temperature", "0", "--max-tokens", "24", QUESTION];

let context: EngineContext;
let docker: string;
let python: string;
let root: string;
let hub: HubProcess;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
  ({ python } = await ensureAskEnvironment(context, "swarm"));
  root = mkdtempSync(join(tmpdir(), "torbiz-hub-"));
  await exec(python, ["-W", "ignore", "-m", "tests.tiny_llama", join(root, REPOSITORY)], { cwd: join(ROOT, "python") });
  // The host's address in the share's own network: reached from here and from the container.
  const { engine, names } = context;
  await engine.ensureNetwork(names.network, { [LABELS.managed]: "1", [LABELS.instance]: names.instance });
  const gateway = ["network", "inspect", names.network, "--format", "{{(index .IPAM.Config 0).Gateway}}"];
  hub = await HubProcess.start(python, root, (await exec(docker, gateway)).stdout.trim());
  env = { HF_ENDPOINT: hub.url };
});

afterAll(async () => {
  await torbiz(["stop"]);
  await hub.close();
  rmSync(root, { recursive: true, force: true });
});

/** The weights that came from the store, as [file, whether it was gone on with]. */
async function weights(): Promise<[file: string, resumed: boolean][]> {
  const requests = await hub.requests();
  return requests.filter(({ place }) => place === "store").map(({ file, range }) => [file, range !== null]);
}

const SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;

test("is downloaded over a connection that breaks off, told as it comes, and shared", async () => {
  await hub.fail({ file: "*.safetensors", cut_after: 1_000_000, times: 1 });
  const { events, last } = await torbiz(["share", "--model", REPOSITORY], { env });
  expect(last).toMatchObject({
    ok: true,
    ...{ state: "online", model: "maker--tiny-llama", download: null },
    blocks: { loaded: 4, total: 4, start: 0, end: 4 },
  });
  expect(events).toContainEqual(
    expect.objectContaining({
      stage: "downloading",
      message: expect.stringContaining(`Downloading ${SHARDS[1]} (100%`),
    }),
  );
  expect(await weights()).toEqual([
    [SHARDS[0], false],
    [SHARDS[0], true],
    [SHARDS[1], false],
  ]);
});

test("token for token, it answers through the swarm as transformers does", async () => {
  const { events, last } = await torbiz(ASK, { env });
  expect(last).toMatchObject({ ok: true, finishReason: "length", tokens: 24, engine: { model: "maker--tiny-llama" } });
  expect(events).toContainEqual(expect.objectContaining({ stage: "preparing-model" }));
  const reference = readFileSync(join(ROOT, "test/e2e/transformers-answer.py"), "utf8");
  const { stdout } = await exec(python, ["-W", "ignore", "-c", reference, join(root, REPOSITORY), QUESTION], {
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
  const [whole] = JSON.parse(stdout) as { answer: string }[];
  const answer = String(last.answer);
  expect(answer.length).toBeGreaterThan(10);
  expect(whole?.answer.slice(0, answer.length)).toBe(answer);
});

test("after its container is removed and the image built anew, no weights are asked for", async () => {
  const { image } = context.names;
  expect((await torbiz(["stop"])).last).toMatchObject({ ok: true, announcedOffline: true });
  expect(await context.engine.inspect(context.names.container)).toBeUndefined();
  // A second name keeps the layers, so that the build takes seconds.
  await exec(docker, ["tag", image, `${image}-kept`]);
  await exec(docker, ["rmi", image]);
  // All that a hub could be asked for now would never come.
  await hub.fail({ silent_after: 0 });
  const { last } = await torbiz(["share", "--model", REPOSITORY], { env });
  expect(last).toMatchObject({ ok: true, state: "online", blocks: { loaded: 4 } });
  expect(await hub.requests()).toEqual([]);
  const { answer } = (await torbiz(ASK, { env })).last;
  expect(String(answer).length).toBeGreaterThan(10);
  expect(await hub.requests()).toEqual([]);
  await exec(docker, ["rmi", `${image}-kept`]);
});

test("a hub that gives it no more is told in words, with the page on which to ask", async () => {
  await torbiz(["stop"]);
  await exec(docker, ["volume", "rm", "--force", context.names.volume]);
  await hub.fail({ file: "*.safetensors", status: 403, code: "GatedRepo" });
  const refused = await torbiz(["share", "--model", REPOSITORY], { env });
  expect(refused.last).toMatchObject({
    ok: false,
    code: "model-gated",
    message: expect.stringContaining(`Ask for access at ${hub.url}/${REPOSITORY}`),
  });
});
