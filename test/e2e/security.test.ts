import { randomBytes } from "node:crypto";
import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";
import type { EngineContext } from "../../src/lib/context";
import { askSocket } from "../../src/lib/ask/server";
import { lend, sharedStarter } from "../unit/ask/local-environment";
import { endAskServer } from "../end-ask-server";
import { ALL_CHECKS, violations } from "./container-checks";
import { exec, openTestEngine, ROOT, torbiz, type RunOptions } from "./torbiz";

/** What others can't do: on this computer under the loosest umask, and from inside the container. */

const QUESTION = "What is the capital of France?";
const OTHER_USER = "65534:65534";

let root: string;
let options: RunOptions;
let context: EngineContext;
let umask: number;

beforeAll(async () => {
  const shared = await sharedStarter();
  // Traversable, as a home folder often is: only what Torbiz does itself keeps others out.
  root = mkdtempSync(join(tmpdir(), "tz"));
  chmodSync(root, 0o755);
  umask = process.umask(0);
  options = { env: { TORBIZ_HOME: join(root, "home") } };
  expect((await torbiz(["build"], options)).last).toMatchObject({ ok: true });
  context = await openTestEngine(options.env);
  lend({ environment: shared.environment }, context.paths);
  await torbiz(["stop"], options);
});

afterAll(async () => {
  process.umask(umask);
  await torbiz(["stop"], options);
  endAskServer(context.paths, "SIGTERM");
  rmSync(root, { recursive: true, force: true });
});

/** Everything in a folder that Torbiz wrote, the folder too. Links are left out: their own mode means nothing. */
function written(folder: string): { path: string; mode: number }[] {
  const facts = lstatSync(folder);
  if (facts.isSymbolicLink()) return [];
  const inside = facts.isDirectory() ? readdirSync(folder).flatMap((name) => written(join(folder, name))) : [];
  return [{ path: relative(context.paths.home, folder), mode: facts.mode & 0o777 }, ...inside];
}

/** What it prints as that user, with no capability, in a container that has the home folder. */
async function as(user: string, python: string): Promise<string> {
  const { stdout } = await exec("docker", [
    ...["run", "--rm", "--network", "none", "--cap-drop", "ALL", "--user", user, "--volume", `${root}:${root}`],
    ...["--entrypoint", "python", context.names.image, "-c", python],
  ]);
  return stdout.trim();
}

function attempt(code: string): string {
  return `import os, socket\ntry:\n  ${code}\n  print("let in")\nexcept PermissionError:\n  print("refused")`;
}

test("a share, an answer and logs come under a umask that opens everything to everybody", async () => {
  expect((await torbiz(["share"], options)).last).toMatchObject({ ok: true, state: "online" });
  expect((await torbiz(["ask", "--engine", "this", QUESTION], options)).last).toMatchObject({ ok: true });
  expect(
    (await torbiz(["logs", "-n", "5", "--export", join(context.paths.home, "log.txt")], options)).last,
  ).toMatchObject({ ok: true });
});

test("what they wrote is its user's alone; a model is what the container's user may read", () => {
  const all = written(context.paths.home);
  const isOfModel = (path: string) => path.startsWith(`models${sep}`) && !path.endsWith(".lock");
  expect(all.filter(({ path, mode }) => !isOfModel(path) && (mode & 0o077) !== 0)).toEqual([]);
  expect(all.filter(({ mode }) => (mode & 0o022) !== 0)).toEqual([]);
  // The look was at the right things.
  for (const path of [/^run.ask-local.sock$/, /^run.*\.lock$/, /^logs.ask-local.log$/, /^conversations.+\.jsonl$/])
    expect(all.map(({ path: name }) => name)).toContainEqual(expect.stringMatching(path));
});

test("the bytecode of Torbiz's own Python, which is run without a look at its source, is its user's to write", () => {
  const caches = written(join(ROOT, "python", "torbiz")).filter(({ path }) => path.includes("__pycache__"));
  expect(caches).not.toEqual([]);
  expect(caches.filter(({ mode }) => (mode & 0o022) !== 0)).toEqual([]);
});

test("another user of this computer is refused, by the home and, where somebody opened that, by each file", async () => {
  const { home, run, conversations } = context.paths;
  const connect = attempt(`socket.socket(socket.AF_UNIX).connect(${JSON.stringify(askSocket(context, "local"))})`);
  const [conversation = ""] = readdirSync(conversations);
  const read = attempt(`open(${JSON.stringify(join(conversations, conversation))}).read()`);
  const list = attempt(`os.listdir(${JSON.stringify(home)})`);
  const owner = `${process.getuid?.()}:${process.getgid?.()}`;
  for (const what of [connect, read, list]) {
    expect(await as(owner, what)).toBe("let in");
    expect(await as(OTHER_USER, what)).toBe("refused");
  }
  for (const folder of [home, run, conversations]) chmodSync(folder, 0o755);
  for (const what of [connect, read]) expect(await as(OTHER_USER, what)).toBe("refused");
  for (const folder of [home, run, conversations]) chmodSync(folder, 0o700);
});

test("the container that shares is locked down", async () => {
  const { engine, names, paths } = context;
  const info = await engine.inspect(names.container);
  if (!info) throw new Error("there is no container");
  expect(violations(info, { user: "10001:10001", folder: paths.models, hostIp: "127.0.0.1" })).toEqual([]);
  expect(info.Config).toMatchObject({ StopSignal: "SIGINT", StopTimeout: 30 });
  expect(info.Mounts.filter(({ Type }) => Type === "bind").map(({ Destination, RW }) => [Destination, RW])).toEqual([
    ["/model", false],
  ]);
  expect(Object.keys(info.NetworkSettings.Networks)).toEqual([names.network]);
  const { stdout: driver } = await exec("docker", ["network", "inspect", "-f", "{{.Driver}}", names.network]);
  expect(driver.trim()).toBe("bridge");

  // What the kernel made of it, seen from inside.
  const inside = (await exec("docker", ["exec", names.container, "cat", "/proc/1/status"])).stdout;
  for (const line of [/^Cap(Eff|Prm|Bnd):\s+0+$/m, /^NoNewPrivs:\s+1$/m, /^Seccomp:\s+2$/m, /^Uid:\s+10001\s/m])
    expect(inside).toMatch(line);
});

test("a container that nobody locked down fails every check", async () => {
  const name = `torbiz-test-open-${randomBytes(4).toString("hex")}`;
  await exec("docker", [
    ...["create", "--name", name, "--user", "0:0", "--privileged", "--cap-add", "SYS_ADMIN", "--network", "host"],
    ...["--pid", "host", "--ipc", "host", "--uts", "host", "--userns", "host", "--restart", "always"],
    ...["--security-opt", "seccomp=unconfined", "--device", "/dev/null", "--publish", "80:80"],
    ...["--mount", "type=bind,source=/etc,target=/host/etc,bind-propagation=rshared"],
    ...["--env", "HF_TOKEN=hf_canary0123456789", context.names.image],
  ]);
  try {
    const info = await context.engine.inspect(name);
    if (!info) throw new Error("there is no container");
    expect(violations(info, { user: "10001:10001", folder: context.paths.models })).toEqual(ALL_CHECKS);
  } finally {
    await exec("docker", ["rm", name]);
  }
});

test("in the image nothing runs as another user, and its history has only what is ours and no secret", async () => {
  const { image } = context.names;
  const find = ["find", "/", "-xdev", "-perm", "/6000", "-type", "f"];
  const { stdout: found } = await exec("docker", [
    "run",
    "--rm",
    "--user",
    "0",
    "--entrypoint",
    ...find.slice(0, 1),
    image,
    ...find.slice(1),
  ]);
  expect(found).toBe("");
  const base = (
    await exec("docker", ["inspect", "-f", '{{index .Config.Labels "com.torbiz.base"}}', image])
  ).stdout.trim();
  const history = async (name: string) =>
    (await exec("docker", ["history", "--no-trunc", "--format", "{{.CreatedBy}}", name])).stdout.trim().split("\n");
  const [all, ofBase] = [await history(image), await history(base)];
  const own = all.slice(0, all.length - ofBase.length);
  expect(own.length).toBeGreaterThan(5);
  expect(own.filter((line) => /\bADD\b/.test(line))).toEqual([]);
  expect(own.filter((line) => /TOKEN|SECRET|PASSWORD|\bhf_\w{8,}|:\/\/[^/\s]+:[^/\s]+@/.test(line))).toEqual([]);
});

test("what a stop leaves is its user's alone, too", async () => {
  expect((await torbiz(["stop"], options)).last).toMatchObject({ ok: true, stopped: true });
  const [, ...logs] = written(context.paths.logs);
  expect(logs.length).toBeGreaterThan(1);
  expect(logs.filter(({ mode }) => mode !== 0o600)).toEqual([]);
});
