import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineContext } from "../../src/lib/context";
import { LABELS } from "../../src/lib/names";
import { FaultySocket, type Harm } from "../faulty-socket";
import { SecondEngine } from "./second-engine";
import { StandIn } from "./stand-in";
import { openTestEngine, start, torbiz, type Ended } from "./torbiz";

/**
 * What can happen to an engine and to a share's container, done to real ones of our own. After each fault, once it is over,
 * the next command has to work without anybody's cleaning, with one container and the same peer as before.
 */

/** The engine answers a question within 10 s or never; the rest is what a command itself takes. */
const GIVE_UP_MS = 30_000;

const folder = mkdtempSync(join(tmpdir(), "torbiz-faults-"));
const engine = new SecondEngine();
let standIn: StandIn;
let context: EngineContext;

beforeAll(async () => {
  standIn = await StandIn.open(engine, folder, "faults");
  context = await openTestEngine(standIn.env);
});

afterAll(async () => {
  await engine.remove();
  rmSync(folder, { recursive: true, force: true });
});

afterEach(async () => {
  expect((await run("stop", "--now")).last).toMatchObject({ ok: true });
  expect(await containers()).toEqual([]);
});

/** Makes the base image's Python, which the build asks first, do something else. */
const PYTHON_THAT = (does: string) =>
  `RUN printf '#!/bin/sh\\n${does}' >/usr/local/bin/python3 && chmod +x /usr/local/bin/python3`;

function run(...args: string[]): Promise<Ended> {
  return torbiz(args, { env: standIn.env });
}

async function containers(): Promise<string[]> {
  return (await context.engine.list(`${LABELS.instance}=${context.names.instance}`)).map(
    ({ Names, State }) => `${Names[0]} ${State}`,
  );
}

/** One line of what happened, what to do, and no trace of a crash. */
function expectPlain({ code, last, stderr }: Ended, errorCode: string): void {
  expect(last).toMatchObject({ ok: false, code: errorCode, message: expect.stringMatching(/^[A-Z][^\n]+$/) });
  expect(last.hint).toMatch(/\S/);
  expect(code).toBe(1);
  expect(stderr).not.toMatch(/\bat .+:\d+:\d+|UnhandledPromise/);
}

/** Shares for certain. @returns the peer that is then online */
async function shareAgain(): Promise<unknown> {
  const { last } = await run("share");
  expect(last).toMatchObject({ ok: true, state: "online", peerId: expect.stringMatching(/^[0-9a-f]{16}$/) });
  expect(await containers()).toEqual([`/${context.names.container} running`]);
  return last.peerId;
}

test("an engine that is killed under a share ends it, says so, and shares again as the same peer", async () => {
  const peer = await shareAgain();
  await engine.kill();
  expectPlain(await run("status"), "docker-not-running");
  expectPlain(await run("stop"), "docker-not-running");
  engine.start();
  await engine.ready();
  expect((await run("status")).last).toMatchObject({
    state: "exited",
    message: "It ended by itself or was stopped.",
  });
  expect(await shareAgain()).toBe(peer);
});

test("an engine that is killed while a share starts is told of, and the next start works", async () => {
  const sharing = start(["share"], { env: standIn.env });
  await sharing.waitFor(({ stage }) => stage === "starting");
  await engine.kill();
  expect((await sharing.ended).last).toMatchObject({ ok: false, code: expect.stringMatching(/^docker-not-/) });
  engine.start();
  await engine.ready();
  await shareAgain();
});

test.each(["stop", "stop --finish"])(
  "a share that is wanted while another command's `%s` goes on begins after it",
  async (command) => {
    const peer = await shareAgain();
    const before = await context.engine.inspect(context.names.container);
    const ending = start(command.split(" "), { env: standIn.env });
    await ending.waitFor(({ stage }) => stage === "stopping" || stage === "finishing");
    expect(await shareAgain()).toBe(peer);
    expect((await ending.ended).last).toMatchObject({ ok: true });
    expect((await context.engine.inspect(context.names.container))?.Id).not.toBe(before?.Id);
  },
);

test("an engine that freezes, as in a computer's sleep, is told of in time; when it wakes all is as it was", async () => {
  await shareAgain();
  const before = await context.engine.inspect(context.names.container);
  engine.freeze();
  try {
    const began = performance.now();
    expectPlain(await run("status"), "docker-not-answering");
    expect(performance.now() - began).toBeLessThan(GIVE_UP_MS);
  } finally {
    engine.thaw();
  }
  expect((await run("status")).last).toMatchObject({ ok: true, state: "online", health: "ok" });
  const after = await context.engine.inspect(context.names.container);
  expect([after?.Id, after?.State.StartedAt]).toEqual([before?.Id, before?.State.StartedAt]);
});

test("an engine that is killed in the middle of a build is told of, and the next build begins", async () => {
  const env = { ...standIn.env, TORBIZ_INSTANCE: "faults-build", TORBIZ_BASE_IMAGE: "torbiz-slow-base:test" };
  await standIn.makeImage(env.TORBIZ_BASE_IMAGE, [PYTHON_THAT("sleep 600")]);
  const building = start(["build"], { env });
  await building.waitFor(({ message }) => /step 3 of/.test(String(message)));
  await engine.kill();
  const ended = await building.ended;
  expectPlain(ended, "docker-not-running");
  expect(ended.last.details).toMatchObject({ log: expect.stringContaining("build") });
  engine.start();
  await engine.ready();
  expect((await torbiz(["status"], { env })).last).toMatchObject({ state: "absent", lastBuild: { outcome: "failed" } });
  await standIn.makeImage(env.TORBIZ_BASE_IMAGE, [PYTHON_THAT("exit 9")]);
  expectPlain(await torbiz(["build"], { env }), "build-failed");
});

test("a server that needs more memory than it may have is said to, and stays so until the next start", async () => {
  await standIn.become("hungry");
  try {
    const ended = await run("share", "--memory", "1.5g");
    expectPlain(ended, "not-enough-memory");
    expect(ended.last.message).toBe("The server ran out of memory.");
    expect((await run("status")).last).toMatchObject({ state: "exited", message: "It ran out of memory." });
  } finally {
    await standIn.become();
  }
  await shareAgain();
});

test("a server that fails at each start is never started by itself, and each time says why", async () => {
  await standIn.become("broken");
  try {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const ended = await run("share");
      expectPlain(ended, "share-failed");
      expect(ended.last).toMatchObject({
        message: "It is broken.",
        details: { exitCode: 3, lines: [expect.stringContaining("It is broken.")], log: expect.any(String) },
      });
      expect(await containers()).toEqual([`/${context.names.container} exited`]);
    }
    expect((await context.engine.inspect(context.names.container))?.RestartCount).toBe(0);
  } finally {
    await standIn.become();
  }
  await shareAgain();
});

describe("a socket between", () => {
  const socket = new FaultySocket(join(folder, "between.sock"), engine.socket);
  const between = () => ({ ...standIn.env, DOCKER_HOST: `unix://${socket.path}` });

  beforeAll(() => socket.start());
  afterAll(() => socket.stop());
  afterEach(() => (socket.harm = {}));

  test("that holds each answer up for one and a half seconds, more or less, makes all slow and nothing wrong", async () => {
    socket.harm = { delayMs: () => 1_350 + Math.random() * 300 };
    expect((await torbiz(["share"], { env: between() })).last).toMatchObject({ ok: true, state: "online" });
    expect((await torbiz(["status"], { env: between() })).last).toMatchObject({ ok: true, state: "online" });
    expect((await torbiz(["stop"], { env: between() })).last).toMatchObject({ announcedOffline: true, exitCode: 0 });
  });

  test("that passes a few bytes at a time changes nothing", async () => {
    socket.harm = { pieceBytes: 7 };
    expect((await torbiz(["share"], { env: between() })).last).toMatchObject({ ok: true, state: "online" });
    expect((await torbiz(["logs"], { env: between() })).last).toEqual((await run("logs")).last);
    expect((await torbiz(["stop"], { env: between() })).last).toMatchObject({ announcedOffline: true, exitCode: 0 });
  });

  test.each<[string, Harm]>([
    ["breaks answers off at once", { cutAfterBytes: 1 }],
    ["breaks answers off in their head", { cutAfterBytes: 100 }],
    ["breaks answers off behind their head", { cutAfterBytes: 400 }],
    ["breaks long answers off", { cutAfterBytes: 2_000 }],
    ["garbles answers from the start", { garbledFromByte: 0 }],
    ["garbles the end of heads", { garbledFromByte: 100 }],
    ["garbles long answers", { garbledFromByte: 2_000 }],
  ])("that %s is told of in time, and harms nothing", async (_what, harm) => {
    const peer = await shareAgain();
    socket.harm = harm;
    for (const command of [["status"], ["share"], ["stop"]]) {
      const began = performance.now();
      const ended = await torbiz(command, { env: between() });
      if (ended.code !== 0) {
        expectPlain(ended, String(ended.last.code));
        expect(ended.last.code).toMatch(/^docker-(not-answering|unexpected-answer)$/);
      } else if (command[0] === "stop") {
        expect(await containers()).toEqual([]);
      } else {
        expect(ended.last).toMatchObject({ state: "online", peerId: peer });
      }
      expect(performance.now() - began).toBeLessThan(GIVE_UP_MS);
    }
    expect(await shareAgain()).toBe(peer);
  });
});

describe("a disk of Docker's that is full", () => {
  const small = new SecondEngine(1_200);
  let room: StandIn;
  const inRoom = (...args: string[]) => torbiz(args, { env: room.env });

  beforeAll(async () => {
    room = await StandIn.open(small, join(folder, "small"), "faults");
  });
  afterEach(() => small.freeDisk());
  afterAll(() => small.remove());

  test("is named where a share can't start, leaves nothing, and is nothing once there is room", async () => {
    small.fillDisk();
    const ended = await inRoom("share");
    expectPlain(ended, "disk-full");
    expect(ended.last.hint).toContain("docker system df");
    expect((await inRoom("status")).last).toMatchObject({ state: "absent" });
    small.freeDisk();
    expect((await inRoom("share")).last).toMatchObject({ ok: true, state: "online" });
  });

  test("doesn't keep a share from being stopped", async () => {
    expect((await inRoom("share")).last).toMatchObject({ ok: true });
    small.fillDisk();
    expect((await inRoom("stop")).last).toMatchObject({ ok: true, stopped: true, exitCode: 0 });
  });

  test("is named where it ends a build, and the next one goes on", async () => {
    const env = { ...room.env, TORBIZ_INSTANCE: "faults-build", TORBIZ_BASE_IMAGE: "torbiz-quick-base:test" };
    await room.makeImage(env.TORBIZ_BASE_IMAGE, [PYTHON_THAT("exit 9")]);
    small.fillDisk();
    expectPlain(await torbiz(["build"], { env }), "disk-full");
    small.freeDisk();
    expectPlain(await torbiz(["build"], { env }), "build-failed");
  });
});
