import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineContext } from "../../src/lib/context";
import { leftBehind } from "./left-behind";
import { type Ended, exec, openTestBed, openTestEngine, torbiz } from "./torbiz";

/** What goes wrong at people's desks: each time one sentence, a next step, and nothing lost. */

let context: EngineContext;
let docker: string;
let folder: string;
const servers: Server[] = [];

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
  expect((await torbiz(["build"])).code).toBe(0);
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "torbiz-e2e-"));
});

afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  rmSync(folder, { recursive: true, force: true });
  // Whatever it was: nothing of it stays, and the next command finds all as it was. The last test shares for real.
  expect(await leftBehind(context)).toEqual([]);
  expect((await torbiz(["status"])).last).toMatchObject({ ok: true, message: null });
});

/** What every failure owes the person. */
function expectPlain({ code, last, stderr }: Ended, errorCode: string, exitCode = 1): void {
  expect(last).toMatchObject({ event: "error", ok: false, code: errorCode });
  for (const field of ["title", "message", "hint"]) {
    expect(String(last[field])).toMatch(/\S{2}/);
    expect(String(last[field])).not.toMatch(/\bat .+:\d+:\d+|undefined|\[object|Error:|E[A-Z]{4,}:/);
  }
  expect(code).toBe(exitCode);
  expect(stderr).not.toMatch(/^\s+at /m);
}

async function listen(where: { port: number } | { path: string }): Promise<void> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", ...where }, resolve));
}

test("an unknown model is named, with those that are known", async () => {
  const ended = await torbiz(["share", "--model", "gpt-5"]);
  expectPlain(ended, "model-unknown", 2);
  expect(ended.last.message).toContain("gpt-5");
  expect(ended.last.hint).toContain("smollm2-135m-instruct");
});

test.each([
  [["share", "--blocks", "0"], "blocks-invalid", 2],
  [["share", "--port", "80"], "port-invalid", 2],
  [["share", "--swarm", "nonsense"], "swarm-invalid", 2],
  [["ask", "  "], "prompt-empty", 2],
  [["ask"], "prompt-empty", 2],
  [["ask", "Hello?", "--engine", "ollama"], "engine-invalid", 2],
  [["ask", "Hello?", "--engine", "this", "--model", "gpt-5"], "model-unknown", 2],
  [["ask", "Hello?", "--conversation", "c-0"], "conversation-unknown", 2],
  [["ask", "Hello?", "--temperature", "warm"], "usage", 2],
  [["ask", "Hello?", "--max-tokens", "0"], "usage", 2],
  [["ask", "Hello?", "--swarm", "nonsense"], "swarm-invalid", 2],
  [["models", "pull", "gpt-5"], "model-unknown", 2],
  [["conversations", "show", "../secrets"], "conversation-unknown", 2],
  [["conversations", "delete", "--all"], "usage", 2],
  [["share", "--port", "many"], "usage", 2],
  [["fly"], "usage", 2],
  [["share", "--wings"], "usage", 2],
])("%j is refused as %s", async (args, errorCode, exitCode) => {
  expectPlain(await torbiz(args), errorCode, exitCode);
});

test("a port in use is named, with a free one, before anything is started", async () => {
  const { port } = context.names;
  await listen({ port });
  const ended = await torbiz(["share"]);
  expectPlain(ended, "port-in-use");
  expect(ended.last.message).toContain(String(port));
  expect(String(ended.last.hint)).toMatch(/--port \d+/);
  expect(await context.engine.inspect(context.names.container)).toBeUndefined();
});

test("no engine behind the named socket", async () => {
  const ended = await torbiz(["status"], { env: { DOCKER_HOST: `unix://${folder}/none.sock` } });
  expectPlain(ended, "docker-not-running");
  expect(ended.last.message).toContain("none.sock");
});

test("an engine that left its socket behind is not running", async () => {
  const path = join(folder, "stale.sock");
  await exec("python3", ["-c", `import socket; socket.socket(socket.AF_UNIX).bind("${path}")`]);
  expectPlain(await torbiz(["status", "--docker-host", path]), "docker-not-running");
});

test("an engine that never answers", async () => {
  const path = join(folder, "silent.sock");
  await listen({ path });
  expectPlain(await torbiz(["status"], { env: { DOCKER_HOST: `unix://${path}` } }), "docker-not-answering");
});

test("no permission on the socket", async () => {
  const path = join(folder, "private.sock");
  await listen({ path });
  if (process.getuid?.() === 0) chownSync(path, 65534, 65534);
  chmodSync(path, process.getuid?.() === 0 ? 0o600 : 0o000);
  const ended = await torbiz(["status"], { env: { DOCKER_HOST: `unix://${path}` }, plainUser: true });
  expectPlain(ended, "docker-permission-denied");
  expect(ended.last.hint).not.toMatch(/chmod|666/);
});

test("a home folder that can't be written", async () => {
  const home = join(folder, "home");
  mkdirSync(home, { mode: 0o500 });
  const ended = await torbiz(["share"], { env: { TORBIZ_HOME: home }, plainUser: true });
  expectPlain(ended, "home-not-writable");
  expect(ended.last.message).toContain(home);
});

test("a container of our name that isn't ours is refused and left alone", async () => {
  const { container } = context.names;
  await exec(docker, ["create", "--name", container, "--entrypoint", "true", context.names.image, "x"]);
  // A container takes its image's labels: this one says that it is nobody's.
  await exec(docker, ["rm", container]);
  await exec(docker, [
    "create",
    "--name",
    container,
    "--label",
    "com.torbiz.managed=",
    "--entrypoint",
    "true",
    context.names.image,
  ]);
  try {
    expect((await torbiz(["status"])).last).toMatchObject({ ok: true, state: "foreign" });
    for (const args of [["share"], ["stop"], ["logs"]]) {
      const ended = await torbiz(args);
      expectPlain(ended, "foreign-container");
      expect(ended.last.message).toContain(container);
    }
    expect((await context.engine.inspect(container))?.State.Status).toBe("created");
  } finally {
    await exec(docker, ["rm", container]);
  }
});

describe("a build that fails", () => {
  const env = { TORBIZ_INSTANCE: "test-broken" };

  afterEach(async () => expect(await leftBehind(await openTestEngine(env))).toEqual([]));

  test("names its step, shows the last lines, and makes no image", async () => {
    const base = "torbiz-broken-base:test";
    const empty = join(folder, "empty.tar");
    await exec("tar", ["-cf", empty, "--files-from", "/dev/null"]);
    await exec(docker, ["import", empty, base]);
    try {
      const ended = await torbiz(["build"], { env: { ...env, TORBIZ_BASE_IMAGE: base } });
      expectPlain(ended, "build-failed");
      expect(ended.last.message).toMatch(/^RUN python3 .* failed: .*no such file or directory/);
      const { names, engine } = await openTestEngine(env);
      expect(await engine.image(names.image)).toBeUndefined();
      expect((await torbiz(["status"], { env })).last).toMatchObject({
        state: "absent",
        lastBuild: { outcome: "failed", message: ended.last.message },
      });
    } finally {
      await exec(docker, ["rmi", base]);
    }
  });

  test("says so when the base image can't be had", async () => {
    const ended = await torbiz(["build"], { env: { ...env, TORBIZ_BASE_IMAGE: "localhost:9/torbiz/none:1" } });
    expectPlain(ended, "base-image-unavailable");
  });
});

test("damaged files in the home folder cost only themselves", async () => {
  const { paths } = context;
  const last = join(paths.run, `last-choice-${context.names.instance}.json`);
  writeFileSync(last, '{"model":');
  const ready = join(paths.models, "smollm2-135m-instruct", "ready.json");
  const hadModel = await exec("ls", [ready]).then(
    () => true,
    () => false,
  );
  if (hadModel) {
    chmodSync(ready, 0o644);
    writeFileSync(ready, "\0garbage");
  }
  expect((await torbiz(["ask", "Hello?", "--engine", "swarm"])).last).toMatchObject({ code: "no-swarm" });
  expect((await torbiz(["share"])).last).toMatchObject({ ok: true, state: "online" });
  expect(JSON.parse(readFileSync(last, "utf8"))).toMatchObject({ shared: { model: "smollm2-135m-instruct" } });
  expect((await torbiz(["stop"])).last).toMatchObject({ ok: true, announcedOffline: true });
});
