import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openEngine, openSurroundings, type EngineContext } from "../../src/lib/context";
import { findDockerCli } from "../../src/lib/docker/cli";
import { ensureImage } from "../../src/lib/docker/build/image";
import { LABELS } from "../../src/lib/names";
import type { Progress } from "../../src/lib/progress";
import { ensureStarterModel, type StarterOptions } from "../../src/lib/sharing/starter";
import { violations } from "./container-checks";
import { exec } from "./torbiz";

const WAITING = "Waiting for another preparation";

let home: string;
/** Ends what `pausePreparing` began. */
let goOn: (() => void) | undefined;
let context: EngineContext;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "torbiz-starter-"));
  const env = { ...process.env, TORBIZ_HOME: home, TORBIZ_INSTANCE: process.env.TORBIZ_INSTANCE ?? "test" };
  context = await openEngine(openSurroundings({ runtimeFiles: resolve("."), env }));
  await ensureImage({ ...context, cliPath: () => findDockerCli(context) });
});

afterEach(() => goOn?.());

afterAll(() => rmSync(home, { recursive: true, force: true }));

function ensure(more: Partial<StarterOptions> = {}): ReturnType<typeof ensureStarterModel> {
  const { engine, names, paths, facts } = context;
  return ensureStarterModel({ engine, names, paths, rootless: facts.rootless, ...more });
}

function models(): string[] {
  return readdirSync(context.paths.models).sort();
}

async function oneOffs(): Promise<string[]> {
  const found = await context.engine.list(LABELS.managed);
  return found
    .filter(({ Labels }) => Labels[LABELS.instance] === context.names.instance)
    .flatMap(({ Names }) => Names.map((name) => name.slice(1)))
    .filter((name) => name.startsWith("torbiz-starter-"));
}

/** Starts a preparation and returns when it writes weights. */
async function startPreparing(more: Partial<StarterOptions> = {}): Promise<{ ended: ReturnType<typeof ensure> }> {
  return new Promise((resolveStarted, reject) => {
    const ended = ensure({
      ...more,
      onProgress: (progress) => {
        if (progress.message === "Writing weights") resolveStarted({ ended });
      },
    });
    ended.catch(reject);
  });
}

const folder = () => join(context.paths.models, "smollm2-135m-instruct");
const READY = ["smollm2-135m-instruct", "smollm2-135m-instruct.lock"];

it("leaves nothing half-made when it is interrupted, and says so", async () => {
  const aborted = AbortSignal.abort();
  await expect(ensure({ signal: aborted })).rejects.toMatchObject({ code: "interrupted" });
  expect(models()).toEqual([]);

  const controller = new AbortController();
  const { ended } = await startPreparing({ signal: controller.signal });
  controller.abort();
  await expect(ended).rejects.toMatchObject({ code: "interrupted" });
  expect(models()).toEqual(["smollm2-135m-instruct.lock"]);
  expect(await oneOffs()).toEqual([]);
});

it("runs locked down, as this user and without a network", async () => {
  const { ended } = await startPreparing();
  const [name = ""] = await oneOffs();
  const info = await context.engine.inspect(name);
  if (!info) throw new Error("there is no container");
  const user = context.facts.rootless ? "0:0" : `${process.getuid?.()}:${process.getgid?.()}`;
  expect(violations(info, { user, folder: context.paths.models, isJob: true })).toEqual([]);
  expect(info.Config.Labels).toMatchObject({ [LABELS.managed]: "1", [LABELS.instance]: context.names.instance });
  expect(info.HostConfig).toMatchObject({ NetworkMode: "none", Memory: 1024 ** 3, PidsLimit: 512 });
  expect(info.Mounts).toMatchObject([{ Type: "bind", Source: context.paths.models, Destination: "/models" }]);
  await ended;
});

it("keeps what is ready, and is quick about it", async () => {
  const before = statSync(join(folder(), "ready.json")).mtimeMs;
  const progress: Progress[] = [];
  expect(await ensure({ onProgress: (step) => progress.push(step) })).toMatchObject({
    folder: folder(),
    prepared: false,
  });
  expect(progress).toEqual([]);
  expect(statSync(join(folder(), "ready.json")).mtimeMs).toBe(before);
});

it("lets everybody read the model, and leaves nothing else", () => {
  expect(models()).toEqual(READY);
  expect(statSync(folder()).mode & 0o777).toBe(0o755);
  const { uid, gid } = statSync(join(folder(), "ready.json"));
  expect([uid, gid]).toEqual([process.getuid?.(), process.getgid?.()]);
  const { files } = JSON.parse(readFileSync(join(folder(), "ready.json"), "utf8")) as { files: object };
  expect(Object.keys(files)).toEqual(
    expect.arrayContaining(["petals/config.json", "petals/tokenizer.json", "gguf/SmolLM2-135M-Instruct-F16.gguf"]),
  );
  for (const name of Object.keys(files)) expect(statSync(join(folder(), name)).mode & 0o777).toBe(0o644);
});

it.each([
  ["a file is cut short", () => truncateSync(join(folder(), "gguf/SmolLM2-135M-Instruct-F16.gguf"), 1000)],
  ["a file is missing", () => rmSync(join(folder(), "petals/config.json"))],
  ["ready.json isn't JSON", () => writeFileSync(join(folder(), "ready.json"), '{"format":')],
])("prepares it anew, and says so, when %s", async (_, damage) => {
  damage();
  const progress: Progress[] = [];
  expect(await ensure({ onProgress: (step) => progress.push(step) })).toMatchObject({ prepared: true });
  expect(progress[0]).toEqual({
    stage: "preparing-model",
    message: "The starter model's files are damaged: preparing them anew",
    progress: null,
  });
  expect(progress.at(-1)).toEqual({ stage: "preparing-model", message: "The starter model is ready", progress: 1 });
  expect(models()).toEqual(READY);
});

it("prepares it once when asked twice at the same time", async () => {
  rmSync(folder(), { recursive: true, force: true });
  const messages: string[] = [];
  const { ended } = await startPreparing();
  const resume = await pausePreparing();
  const second = ensure({
    onProgress: ({ message }) => {
      messages.push(message);
      if (message === WAITING) resume();
    },
  });
  const made = await ended.then(() => statSync(join(folder(), "ready.json")).ino);
  await second;
  expect(messages).toContain(WAITING);
  expect(messages).not.toContain("Writing weights");
  expect(statSync(join(folder(), "ready.json")).ino).toBe(made);
  expect(await oneOffs()).toEqual([]);
});

it("goes on after a container that was killed in the middle", async () => {
  rmSync(folder(), { recursive: true, force: true });
  const { ended } = await startPreparing();
  const [name = ""] = await oneOffs();
  await context.engine.kill(name, "SIGKILL");
  await expect(ended).rejects.toMatchObject({
    code: "starter-failed",
    message: expect.stringContaining("it was killed") as unknown,
  });
  expect(models().filter((entry) => entry.includes(".partial-"))).toHaveLength(1);
  expect(await ensure()).toMatchObject({ prepared: true });
  expect(models()).toEqual(READY);
});

it("lets the next command take over when its own process is killed, and clears up after it", async () => {
  rmSync(folder(), { recursive: true, force: true });
  const { env } = context;
  const command = ["--import", "tsx", "--input-type=module", "--eval", OTHER_PROCESS];
  const child = spawn(process.execPath, command, { env, stdio: ["ignore", "pipe", "inherit"] });
  // Its end without a word ends the waiting too, and the expectations below tell.
  await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  child.kill("SIGKILL");
  const resume = await pausePreparing();

  const messages: string[] = [];
  const onProgress = ({ message }: Progress) => {
    messages.push(message);
    if (message === WAITING) resume();
  };
  await ensure({ onProgress });
  expect(messages).toContain(WAITING);
  expect(messages).not.toContain("Writing weights");
  expect(await oneOffs()).toHaveLength(1);

  await sleep(11_000);
  expect(await ensure({ onProgress })).toMatchObject({ prepared: false });
  expect(messages.at(-1)).toBe("Removed the container of a preparation that was cut off");
  expect(await oneOffs()).toEqual([]);
});

/** Makes the preparation that runs stand still, for as long as another one comes to wait for it. Returns what ends that. */
async function pausePreparing(): Promise<() => void> {
  const [name = ""] = await oneOffs();
  const { stdout } = await exec(await findDockerCli(context), ["top", name, "-eo", "pid,comm"]);
  const [, pid] = /^\s*(\d+)\s+python/m.exec(stdout) ?? [];
  process.kill(Number(pid), "SIGSTOP");
  return (goOn = () => {
    goOn = undefined;
    process.kill(Number(pid), "SIGCONT");
  });
}

/** Prepares the model in a process of its own, and says when it writes weights. */
const OTHER_PROCESS = `
  import { openEngine, openSurroundings } from "./src/lib/context.ts";
  import { ensureStarterModel } from "./src/lib/sharing/starter.ts";
  const { engine, names, paths, facts } = await openEngine(openSurroundings({ runtimeFiles: "." }));
  const onProgress = ({ message }) => message === "Writing weights" && console.log(message);
  await ensureStarterModel({ engine, names, paths, rootless: facts.rootless, onProgress });
`;

it("says which folder can't be written", async () => {
  rmSync(folder(), { recursive: true, force: true });
  chmodSync(context.paths.models, 0o500);
  try {
    await expect(ensure()).rejects.toMatchObject({
      code: "home-not-writable",
      message: expect.stringContaining(context.paths.models) as unknown,
    });
  } finally {
    chmodSync(context.paths.models, 0o700);
  }
});
