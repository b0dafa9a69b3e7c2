import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineContext } from "../../src/lib/context";
import { LABELS } from "../../src/lib/names";
import { ENGINES, type RecordedEngine } from "../unit/docker/recorded-engines";
import { FaultySocket, type Harm } from "../faulty-socket";
import { expectPlain, GIVE_UP_MS, SufferingBuild } from "./builds";
import { containersOf, leftBehind } from "./left-behind";
import { SecondEngine } from "./second-engine";
import { BASE, StandIn } from "./stand-in";
import { openTestEngine, start, torbiz, type Ended } from "./torbiz";

/**
 * What can happen to an engine and to a share's container, done to real ones of our own. After each fault, once it is over,
 * the next command has to work without anybody's cleaning, with one container and the same peer as before.
 */

const SLEEP_MS = 90_000;

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

/** While the computer of `engine` sleeps: how it was before. */
let asleep: Awaited<ReturnType<typeof inspect>>;
let fellAsleepAt = 0;

afterEach(async () => {
  if (asleep) return;
  expect((await run("stop", "--now")).last).toMatchObject({ ok: true });
  expect(await leftBehind(context)).toEqual([]);
});

/** A PATH on which the docker command says that the engine keeps images in containerd's store, as newer ones do. */
function withContainerdStore(): string {
  const { info } = ENGINES.find(({ containerdStore }) => containerdStore) as RecordedEngine;
  const script = `#!/bin/sh
case $1 in info) echo '${JSON.stringify(info.DriverStatus)}' ;; *) PATH='${process.env.PATH}' exec docker "$@" ;; esac\n`;
  const bin = mkdtempSync(join(folder, "bin-"));
  writeFileSync(join(bin, "docker"), script, { mode: 0o755 });
  return `${bin}:${process.env.PATH}`;
}

function run(...args: string[]): Promise<Ended> {
  return torbiz(args, { env: standIn.env });
}

function inspect() {
  return context.engine.inspect(context.names.container);
}

/** The time of the seeder's last report that a check could read; 0 for none. */
async function reportedAt(): Promise<number> {
  const output = (await inspect())?.State.Health?.Log?.at(-1)?.Output ?? "";
  return Date.parse(/"time": ?"([^"]+)"/.exec(output)?.[1] ?? "") || 0;
}

/** Shares for certain. @returns the peer that is then online */
async function shareAgain(): Promise<unknown> {
  const { last } = await run("share");
  expect(last).toMatchObject({ ok: true, state: "online", peerId: expect.stringMatching(/^[0-9a-f]{16}$/) });
  expect(await containersOf(context)).toEqual([`/${context.names.container} running`]);
  return last.peerId;
}

test("what a fault leaves behind is seen: a container, an orphan, a zombie, a lock and a crash", async () => {
  const { names, paths } = context;
  const lock = join(paths.run, "build-x.lock");
  await engine.docker("create", "--label", `${LABELS.instance}=${names.instance}`, "--name", "left", BASE, "true");
  // The second program never asks for the end of the first one's child.
  const orphan = spawn("sh", ["-c", "true & exec sleep 60"], { env: { ...process.env, ...standIn.env } });
  // Torbiz's names and folder are in no environment of a builder's plugin.
  const builder = spawn("sleep", ["60"], { argv0: `docker build --tag ${names.image}-building` });
  try {
    writeFileSync(lock, "");
    const expected = [
      "/left created",
      "process N: sleep N",
      "process N: docker build --tag torbiz-petals-macos:faults-building N",
      "zombie N of N",
      "build-x.lock",
    ];
    let left: string[] = [];
    // Until each has become what it is to be.
    for (let tries = 0; tries < 100 && left.join() !== expected.join(); tries += 1) {
      await sleep(100);
      left = (await leftBehind(context, 0)).map((line) => line.replaceAll(/\d+/g, "N"));
    }
    expect(left).toEqual(expected);
  } finally {
    orphan.kill();
    builder.kill();
    rmSync(lock);
    await engine.docker("rm", "left");
  }
  const crash = `--import=data:text/javascript,Promise.reject(new%20Error(%22none%22))`;
  await expect(torbiz(["status"], { env: { ...standIn.env, NODE_OPTIONS: crash } })).rejects.toThrow(/crashed/);
});

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

test("a computer that sleeps while a share starts goes on with it when it wakes, command and engine alike", async () => {
  const sharing = start(["share"], { env: standIn.env });
  await sharing.waitFor(({ stage }) => stage === "starting");
  sharing.child.kill("SIGSTOP");
  engine.freeze();
  // Longer than any question to the engine may take.
  await sleep(12_000);
  engine.thaw();
  sharing.child.kill("SIGCONT");
  expect((await sharing.ended).last).toMatchObject({ ok: true, state: "online" });
  expect(await containersOf(context)).toEqual([`/${context.names.container} running`]);
});

test("an engine that is killed in the middle of a build is told of, and the next build begins and clears up", async () => {
  // The builder that leaves a step's container: BuildKit leaves nothing.
  const build = new SufferingBuild(standIn, { DOCKER_BUILDKIT: "0" });
  await build.killEngine(() => engine.makeContainersOlder(25 * 3_600_000));
  const steps = () => engine.docker("ps", "--all", "--quiet", "--filter", "label=com.torbiz.build-step");
  expect(await steps()).toMatch(/^\w{12}\n$/);
  await build.expectNext();
  expect(await steps()).toBe("");
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
      expect(await containersOf(context)).toEqual([`/${context.names.container} exited`]);
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
    socket.harm = { delayMs: () => 1_400 + Math.random() * 100 };
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
        expect(await containersOf(context)).toEqual([]);
      } else {
        expect(ended.last).toMatchObject({ state: "online", peerId: peer });
      }
      expect(performance.now() - began).toBeLessThan(GIVE_UP_MS);
    }
    expect(await shareAgain()).toBe(peer);
  });
});

test("an engine that freezes, as its computer sleeps while it shares, is told of in time", async () => {
  await shareAgain();
  asleep = await inspect();
  expect(asleep).toBeDefined();
  engine.freeze(asleep?.Id);
  fellAsleepAt = performance.now();
  expectPlain(await run("status"), "docker-not-answering");
  expect(performance.now() - fellAsleepAt).toBeLessThan(GIVE_UP_MS);
});

// Others' disks, while it sleeps.
describe("a disk of Docker's that is small or full", () => {
  const SMALL_MIB = 1_200;
  const small = new SecondEngine(SMALL_MIB);
  let room: StandIn;
  const inRoom = (...args: string[]) => torbiz(args, { env: room.env });

  beforeAll(async () => {
    room = await StandIn.open(small, join(folder, "small"), "faults");
  });
  afterEach(async () => {
    small.freeDisk();
    expect((await inRoom("stop", "--now")).last).toMatchObject({ ok: true });
    expect(await leftBehind(await openTestEngine(room.env))).toEqual([]);
  });
  afterAll(() => small.remove());

  test("is told of before a build that it can't hold begins in earnest, and warned of where it is tight", async () => {
    // Nothing of this machine's: the first step that needs a network is behind the one that looks.
    const env = { ...room.env, TORBIZ_INSTANCE: "faults-build", TORBIZ_BASE_IMAGE: BASE, PIP_FIND_LINKS: "" };
    const ended = await torbiz(["build"], { env });
    expectPlain(ended, "disk-full");
    expect(ended.last.message).toMatch(
      /^Docker's disk has [01]\.\d GB free, and building the image takes 2\.5 GB more\.$/,
    );
    expect(ended.last.hint).toContain("docker system df");
    await small.resizeDisk(SMALL_MIB + 2_000);
    try {
      const building = start(["build"], { env });
      await building.waitFor(({ message }) => /Docker's disk has only [23]\.\d GB free/.test(String(message)));
      building.child.kill("SIGINT");
      expect((await building.ended).last).toMatchObject({ code: "build-cancelled" });
      const roomy = await torbiz(["build"], { env: { ...env, PATH: withContainerdStore() } });
      expectPlain(roomy, "disk-full");
      expect(roomy.last.message).toMatch(
        /^Docker's disk has [23]\.\d GB free, and building the image takes 4\.3 GB more\.$/,
      );
    } finally {
      await small.resizeDisk(SMALL_MIB);
    }
  });

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

  test("is named where it gets full in the middle of a build, and the next one goes on", async () => {
    const build = new SufferingBuild(room, { DOCKER_BUILDKIT: "0" });
    await build.fillDisk();
    await build.expectNext();
  });
});

test("when it wakes after a minute and a half, engine and share are as they were, and the report goes on", async () => {
  await sleep(Math.max(0, fellAsleepAt + SLEEP_MS - performance.now()));
  const before = asleep;
  asleep = undefined;
  const woke = Date.now();
  engine.thaw();
  const states = new Set<unknown>();
  do {
    states.add((await run("status")).last.state);
  } while ((await reportedAt()) < woke && Date.now() < woke + GIVE_UP_MS);
  // In the very millisecond, where the report was due.
  expect(await reportedAt()).toBeGreaterThanOrEqual(woke);
  expect((await run("status")).last).toMatchObject({ ok: true, state: "online", health: "ok" });
  expect([...states]).toEqual(["online"]);
  const after = await inspect();
  expect([after?.Id, after?.State.StartedAt]).toEqual([before?.Id, before?.State.StartedAt]);
});
