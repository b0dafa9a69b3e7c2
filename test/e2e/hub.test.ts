import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { ensureAskEnvironment } from "../../src/lib/ask/ask-environments";
import type { EngineContext } from "../../src/lib/context";
import { LABELS } from "../../src/lib/names";
import { HubProcess } from "../hub-process";
import { ForwardProxy } from "../unit/ask/forward-proxy";
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
/** The host's address in the share's own network: reached from here and from the container. */
let gateway: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
  ({ python } = await ensureAskEnvironment(context, "swarm"));
  root = mkdtempSync(join(tmpdir(), "torbiz-hub-"));
  await exec(python, ["-W", "ignore", "-m", "tests.tiny_llama", join(root, REPOSITORY)], { cwd: join(ROOT, "python") });
  const { engine, names } = context;
  await engine.ensureNetwork(names.network, { [LABELS.managed]: "1", [LABELS.instance]: names.instance });
  const look = ["network", "inspect", names.network, "--format", "{{(index .IPAM.Config 0).Gateway}}"];
  gateway = (await exec(docker, look)).stdout.trim();
  hub = await HubProcess.start(python, root, gateway);
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

describe("behind a company's proxy, which wants a password, with a certificate of the company's own authority", () => {
  const TOKEN = "hf_canary0123456789abcdefghijklmnopqr";
  const PASSWORD = "canary-9876543210";
  const NAME = "models.test"; // as `make_authority` in python/tests/way.py has it: nobody but the proxy knows where it is
  let proxy: ForwardProxy;
  let certified: ReturnType<typeof createServer>;
  let endpoint: string;
  let way: NodeJS.ProcessEnv;

  beforeAll(async () => {
    await torbiz(["stop"]);
    await exec(docker, ["volume", "rm", "--force", context.names.volume]);
    const code =
      "import sys; from pathlib import Path; from tests.way import make_authority as make; make(Path(sys.argv[1]))";
    await exec(python, ["-c", code, root], { cwd: join(ROOT, "python") });
    const [cert, key] = ["cert.pem", "key.pem"].map((name) => readFileSync(join(root, name)));
    certified = createServer({ cert, key }, (client) => {
      const target = connect(Number(new URL(hub.url).port), gateway);
      client.on("error", () => target.destroy()).pipe(target);
      target.on("error", () => client.destroy()).pipe(client);
    });
    await once(certified.listen(0, "127.0.0.1"), "listening");
    proxy = new ForwardProxy(gateway);
    proxy.login = `me:${PASSWORD}`;
    await proxy.listen();
    await hub.fail();
    endpoint = `${NAME}:${(certified.address() as AddressInfo).port}`;
    way = {
      ...{ HF_ENDPOINT: `https://${endpoint}`, HF_TOKEN: TOKEN, https_proxy: proxy.url, no_proxy: "" },
      ...{ NODE_EXTRA_CA_CERTS: join(root, "ca.pem") },
    };
  });

  afterAll(async () => {
    certified.close();
    await proxy.close();
  });

  test("it is looked up, and its files come", async () => {
    const { last } = await torbiz(["share", "--model", REPOSITORY], { env: way });
    expect(last).toMatchObject({ ok: true, state: "online", blocks: { loaded: 4, total: 4 } });
    expect((await weights()).map(([file]) => file)).toEqual(SHARDS);
    const asked = (await hub.requests()).filter(({ place }) => place !== "store");
    expect(new Set(asked.map(({ token }) => token))).toEqual(new Set([TOKEN]));
    expect(new Set(proxy.requests)).toEqual(new Set([endpoint]));
  });

  test("token and password are nowhere to be seen: not in inspect, argv, environment, logs or the image's history", async () => {
    const { names } = context;
    const all = "cat /proc/1/environ /proc/[0-9]*/cmdline /proc/[0-9]*/environ";
    const seen = await Promise.all([
      exec(docker, ["inspect", names.container]),
      exec(docker, ["inspect", names.image]),
      exec(docker, ["history", "--no-trunc", names.image]),
      exec(docker, ["logs", names.container]),
      exec(docker, ["top", names.container, "-eo", "pid,args"]),
      exec(docker, ["exec", names.container, "sh", "-c", all]).catch(
        (error: { stdout: string; stderr: string }) => error,
      ),
    ]);
    const text = seen.map(({ stdout, stderr }) => stdout + stderr).join("\n");
    expect(text).toContain("torbiz.seeder"); // the look was at the right thing
    expect(text).not.toContain(TOKEN);
    expect(text).not.toContain(PASSWORD);
  });

  test("a hub or a proxy that refuses is told in words, with the page on which to ask, and without token and password", async () => {
    const share = ["share", "--model"];
    /** What a person sees of it. */
    const words = async (model: string) => {
      const all = { ...process.env, NODE_OPTIONS: "", ...way };
      const command = exec(process.execPath, [join(ROOT, "bin/torbiz.mjs"), ...share, model], { env: all });
      const { stdout, stderr } = await command.catch((error: { stdout: string; stderr: string }) => error);
      return stdout + stderr;
    };
    await torbiz(["stop"]);
    await exec(docker, ["volume", "rm", "--force", context.names.volume]);
    await hub.fail({ file: "*.safetensors", status: 403, code: "GatedRepo" });
    const inContainer = await torbiz([...share, REPOSITORY], { env: way });
    expect(inContainer.last).toMatchObject({
      ...{ ok: false, code: "model-gated" },
      message: expect.stringContaining(`Ask for access at https://${endpoint}/${REPOSITORY}`),
      details: { log: expect.stringContaining(context.paths.logs) },
    });
    await hub.fail({ place: "api", status: 403, code: "GatedRepo" });
    const byHub = await torbiz([...share, "maker/gated"], { env: way });
    expect(byHub.last).toMatchObject({ ok: false, code: "model-gated" });
    const told = [await words("maker/gated")];
    proxy.login = "me:another";
    const byProxy = await torbiz([...share, "maker/gated"], { env: way });
    expect(byProxy.last).toMatchObject({
      ...{ ok: false, code: "hub-unreachable" },
      message: expect.stringContaining("doesn't accept the user name and password"),
    });
    told.push(await words("maker/gated"));

    for (const { events, stderr } of [inContainer, byHub, byProxy]) told.push(JSON.stringify(events), stderr);
    const secrets = [TOKEN, PASSWORD, Buffer.from(`me:${PASSWORD}`).toString("base64")];
    expect(told[1]).toContain(byProxy.last.message);
    for (const secret of secrets) expect(told.join("\n")).not.toContain(secret);
    // Kept logs and all: it finds nothing, and could read everything.
    const { home } = context.paths;
    const found = exec("grep", ["-rlF", ...secrets.flatMap((secret) => ["-e", secret]), home]);
    await expect(found).rejects.toMatchObject({ code: 1, stdout: "", stderr: "" });
  });
});
