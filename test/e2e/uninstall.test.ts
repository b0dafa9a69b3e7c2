import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineContext } from "../../src/lib/context";
import { exec, openTestBed, openTestEngine, torbiz } from "./torbiz";

/** `torbiz uninstall` on the real engine: only what is ours goes, and only what was chosen. */

/** A Torbiz of its own beside the tests' one, so that what the others stand on stays. */
const INSTANCE = `${process.env.TORBIZ_INSTANCE ?? "test"}-1`;

let docker: string;
let env: NodeJS.ProcessEnv;
let context: EngineContext;

beforeAll(async () => {
  const bed = await openTestBed();
  docker = bed.docker;
  expect((await torbiz(["build"])).code).toBe(0);
  env = { TORBIZ_INSTANCE: INSTANCE, TORBIZ_HOME: mkdtempSync(join(tmpdir(), "torbiz-uninstall-")) };
  context = await openTestEngine(env);
  // The same image under this instance's name: nothing has to be built.
  await exec(docker, ["tag", bed.context.names.image, context.names.image]);
});

afterAll(async () => {
  await torbiz(["uninstall", "--yes", "--stop"], { env });
  rmSync(env.TORBIZ_HOME ?? "", { recursive: true, force: true });
});

const has = async (...args: string[]) => (await exec(docker, args)).stdout.trim() !== "";
const hasVolume = (name: string) => has("volume", "ls", "-q", "--filter", `name=^${name}$`);

test("lists with sizes what there is, and removes nothing without a yes", async () => {
  expect((await torbiz(["share"], { env })).code).toBe(0);
  const { code, last } = await torbiz(["uninstall"], { env });
  expect([code, last.removed, last.inUse]).toEqual([0, [], "smollm2-135m-instruct is shared now."]);
  const parts = last.parts as { id: string; bytes: number | null }[];
  expect(parts.map(({ id }) => id)).toEqual(["container", "image", "volume", "models", "settings"]);
  expect(parts.find(({ id }) => id === "container")?.bytes).toBeGreaterThanOrEqual(0);
  expect(parts.find(({ id }) => id === "image")?.bytes).toBeGreaterThan(1e9);
  expect(parts.find(({ id }) => id === "models")?.bytes).toBeGreaterThan(100e6);
  expect((await context.engine.inspect(context.names.container))?.State.Running).toBe(true);
});

test("a share that runs is stopped only when that was agreed to, and its peers are told", async () => {
  const refused = await torbiz(["uninstall", "--only", "image", "--yes"], { env });
  expect(refused.last).toMatchObject({ event: "error", code: "already-sharing" });
  expect((await context.engine.inspect(context.names.container))?.State.Running).toBe(true);

  // What a share doesn't need can go meanwhile.
  writeFileSync(join(context.paths.conversations, "c-0000000000000000.jsonl"), "{}\n");
  const beside = await torbiz(["uninstall", "--only", "conversations", "--yes"], { env });
  expect(beside.last).toMatchObject({ ok: true, removed: ["conversations"] });
  expect(existsSync(context.paths.conversations)).toBe(false);
  expect((await context.engine.inspect(context.names.container))?.State.Running).toBe(true);

  const removed = await torbiz(["uninstall", "--only", "container", "--only", "volume", "--yes", "--stop"], { env });
  expect(removed.last).toMatchObject({ ok: true, removed: ["container", "volume"] });
  expect(removed.events).toContainEqual(
    expect.objectContaining({ event: "note", message: expect.stringMatching(/Stopped.*Peers were told/) as unknown }),
  );
  expect(await context.engine.inspect(context.names.container)).toBeUndefined();
  expect(await hasVolume(context.names.volume)).toBe(false);
  expect(await context.engine.image(context.names.image)).toBeDefined();
  expect(existsSync(context.paths.models)).toBe(true);
});

test("what others made is left alone, whatever it is called", async () => {
  const { names } = context;
  const others = ["torbiz-somebody-elses", names.volume, names.network];
  await exec(docker, ["volume", "create", "torbiz-somebody-elses"]);
  await exec(docker, ["volume", "create", names.volume]);
  await exec(docker, ["network", "create", names.network]);
  await exec(docker, ["create", "--name", names.container, "--label", "com.torbiz.managed=", names.image, "true"]);
  const elsewhere = join(context.paths.home, "..", "torbiz-uninstall-other");
  mkdirSync(elsewhere, { recursive: true });
  try {
    const { last, events } = await torbiz(["uninstall", "--only", "container", "--only", "volume", "--yes"], { env });
    expect(last).toMatchObject({ ok: true, removed: [] });
    const notes = events.filter(({ event }) => event === "note").map(({ message }) => String(message));
    for (const name of [names.container, names.volume, names.network]) {
      expect(notes.filter((note) => note.includes(name))).toHaveLength(1);
    }
    expect(await context.engine.inspect(names.container)).toBeDefined();
    for (const name of others.slice(0, 2)) expect(await hasVolume(name)).toBe(true);
    expect(await context.engine.network(names.network)).toBeDefined();
    expect(existsSync(elsewhere)).toBe(true);
  } finally {
    rmSync(elsewhere, { recursive: true });
    await exec(docker, ["rm", names.container]);
    await exec(docker, ["volume", "rm", "torbiz-somebody-elses", names.volume]);
    await exec(docker, ["network", "rm", names.network]);
  }
});

test("all of it goes, but for an image that another container needs", async () => {
  const { names } = context;
  await exec(docker, [
    "create",
    "--name",
    `${names.container}-other`,
    "--label",
    "com.torbiz.managed=",
    names.image,
    "true",
  ]);
  writeFileSync(join(context.paths.logs, "setup.log"), "a line\n");
  // As a build leaves it that was killed while it checked.
  await exec(docker, ["tag", names.image, `${names.image}-building`]);
  try {
    const { code, last } = await torbiz(["uninstall", "--yes"], { env });
    // It has another name: only this one is taken away.
    expect([code, last.ok]).toEqual([0, true]);
    expect(await context.engine.image(names.image)).toBeUndefined();
    expect(await context.engine.image(`${names.image}-building`)).toBeUndefined();
    expect(await context.engine.inspect(`${names.container}-other`)).toBeDefined();
    expect(existsSync(context.paths.home)).toBe(false);
  } finally {
    await exec(docker, ["rm", `${names.container}-other`]);
  }
});

test("after all of it is gone, a share works again as the first one did", async () => {
  expect((await torbiz(["uninstall", "--yes"], { env })).code).toBe(0);
  expect((await torbiz(["uninstall"], { env })).last).toMatchObject({ parts: [], removed: [] });
  const { code, last } = await torbiz(["share"], { env });
  expect([code, last.event, last.code]).toEqual([0, "result", undefined]);
  expect((await torbiz(["stop"], { env })).last).toMatchObject({ stopped: true, announcedOffline: true });
});
