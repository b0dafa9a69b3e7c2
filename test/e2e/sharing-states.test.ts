import { execFileSync } from "node:child_process";
import type { ContainerInspectInfo } from "dockerode";
import { appendFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineContext } from "../../src/lib/context";
import { currentBuild } from "../../src/lib/docker/build/lock";
import { LABELS } from "../../src/lib/names";
import { followLog, type FollowedLine } from "../../src/lib/sharing/log-lines";
import { OverviewReader } from "../../src/lib/sharing/overview";
import { peekStatus } from "../../src/lib/sharing/peek";
import { share } from "../../src/lib/sharing/share";
import { stopSharing } from "../../src/lib/sharing/stop";
import { whyEnded } from "../../src/lib/sharing/why-ended";
import { HeldDocker } from "./held-docker";
import { containersOf, leftBehind } from "./left-behind";
import { exec, openDoor, openTestBed, openTestEngine, ROOT, start, torbiz } from "./torbiz";

/** What sharing does, seen and ended in each of its states by another process than the one that began it. */

const MODEL = "smollm2-135m-instruct";

let context: EngineContext;
let docker: string;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
  expect((await torbiz(["build"])).code).toBe(0);
});

afterEach(async () => {
  await torbiz(["stop", "--now"]);
  expect(await leftBehind(context)).toEqual([]);
});

async function inspect(): Promise<ContainerInspectInfo> {
  const container = await context.engine.inspect(context.names.container);
  if (!container) throw new Error("there is no container");
  return container;
}

describe("stop", () => {
  test("cancels a build, and the share that waits for it; nothing is left running", async () => {
    const held = new HeldDocker(docker);
    const env = { TORBIZ_INSTANCE: "test-states", PATH: `${held.folder}:${process.env.PATH}` };
    const other = await openTestEngine(env);
    held.hold();
    try {
      const sharing = start(["share"], { env });
      await sharing.waitFor(({ stage }) => stage === "building");
      expect((await torbiz(["status"], { env })).last).toMatchObject({
        state: "building",
        message: expect.stringMatching(/^Building \d+\/\d+: /),
        build: { steps: expect.any(Number), percent: expect.any(Number) },
      });
      expect(await peekStatus(other)).toMatchObject({ state: "building" });
      expect(await new OverviewReader(other).look()).toMatchObject({ screen: "building" });

      const { code, last } = await torbiz(["stop"], { env });
      expect(last).toMatchObject({
        ...{ ok: true, stopped: true, cancelledBuild: true },
        message: "The build of the image was cancelled. Finished steps are kept.",
      });
      expect(code).toBe(0);
      const ended = await sharing.ended;
      expect(ended.last).toMatchObject({ code: "interrupted", message: "Sharing was stopped before it began." });
      expect(ended.code).toBe(130);
      expect(currentBuild(other.paths, other.names)).toBeUndefined();
      expect(await containersOf(other)).toEqual([]);
      expect(await other.engine.image(other.names.image)).toBeUndefined();
      expect(await peekStatus(other)).toMatchObject({ state: "absent", lastBuild: { outcome: "cancelled" } });
    } finally {
      held.remove();
      await torbiz(["stop"], { env });
    }
  });

  test("ends a share that prepares its model in another process", async () => {
    rmSync(join(context.paths.models, MODEL, "ready.json"), { force: true });
    const sharing = start(["share"]);
    await sharing.waitFor(({ stage }) => stage === "preparing-model");
    expect(await peekStatus(context)).toMatchObject({ state: "starting", message: "What it needs is being prepared." });
    const { last } = await torbiz(["stop"]);
    expect(last).toMatchObject({
      ...{ ok: true, stopped: true, cancelledBuild: false },
      message: "Sharing was stopped before it began. Nothing was started.",
    });
    expect((await sharing.ended).last).toMatchObject({ ok: false, code: "interrupted" });
    expect(await containersOf(context)).toEqual([]);
  });

  test("ends a share that is on its way in another process, and the one that waits for it", async () => {
    const first = start(["share"]);
    await first.waitFor(({ stage }) => stage === "starting");
    const second = start(["share"]);
    await second.waitFor(({ event }) => event === "note");
    const { last } = await torbiz(["stop"]);
    expect(last).toMatchObject({ ok: true, stopped: true, forced: false, exitCode: 0 });
    for (const { ended } of [first, second]) expect((await ended).last).toMatchObject({ code: "interrupted" });
    expect(await containersOf(context)).toEqual([]);
  });

  test("in the very process that shares works alike", async () => {
    const sharing = share(context).then(
      () => undefined,
      (error: unknown) => error,
    );
    while (!(await context.engine.inspect(context.names.container))?.State.Running) await sleep(50);
    expect(await stopSharing(context)).toMatchObject({ stopped: true, forced: false });
    expect(await sharing).toMatchObject({ code: "interrupted" });
    expect(await containersOf(context)).toEqual([]);
  });

  test("ends a paused share as gracefully as any", async () => {
    expect((await torbiz(["share", "--blocks", "2"])).last).toMatchObject({ ok: true });
    await exec(docker, ["pause", context.names.container]);
    expect((await torbiz(["stop"])).last).toMatchObject({ stopped: true, announcedOffline: true, exitCode: 0 });
    expect(await containersOf(context)).toEqual([]);
  });

  test("means nobody who begins later, and with nothing to stop it says so", async () => {
    expect((await torbiz(["stop"])).last).toMatchObject({ stopped: false, message: "Nothing is shared." });
    expect((await torbiz(["share", "--no-wait"])).last).toMatchObject({ ok: true, adopted: false });
  });
});

test("limits are on the container, and reach the seeder", async () => {
  const limits = ["--cpus", "1", "--memory", "50%", "--disk", "20g"];
  expect((await torbiz(["share", ...limits, "--blocks", "2"])).last).toMatchObject({ ok: true, state: "online" });
  const { HostConfig, Args, Config } = await inspect();
  const half = Math.floor(context.facts.memoryBytes / 2);
  expect(HostConfig).toMatchObject({ NanoCpus: 1e9, Memory: half, MemorySwap: half });
  expect(Config.Env).toContain("OMP_NUM_THREADS=1");
  expect(Args.join(" ")).toContain("--max-disk-space 20000000000");
  const { stdout } = await exec(docker, [
    ...["exec", context.names.container, "python", "-c"],
    "from torbiz.memory import memory_limit; print(memory_limit())",
  ]);
  // The kernel counts in pages.
  expect(Math.abs(Number(stdout) - half)).toBeLessThan(4096);

  const { events, last } = await torbiz(["share", "--memory", "25%"]);
  expect(last).toMatchObject({ ok: true, adopted: true });
  expect(events).toContainEqual(
    expect.objectContaining({ event: "note", message: expect.stringContaining("Other limits") }),
  );
});

test.each([
  [["--cpus", "999"], "limit-invalid", 2],
  [["--memory", "half"], "limit-invalid", 2],
  [["--disk", "50%"], "limit-invalid", 2],
  [["--memory", "1.201g"], "not-enough-memory", 1],
])("limits that can't be kept are refused before anything starts: %j", async (flags, errorCode, exitCode) => {
  const { code, last } = await torbiz(["share", ...flags]);
  expect(last).toMatchObject({ ok: false, code: errorCode });
  expect(code).toBe(exitCode);
  expect(await containersOf(context)).toEqual([]);
});

test("an image of an older Torbiz still serves", async () => {
  const folder = mkdtempSync(join(tmpdir(), "torbiz-states-"));
  try {
    for (const part of ["docker", "python", ".dockerignore"])
      cpSync(join(ROOT, part), join(folder, part), { recursive: true });
    appendFileSync(join(folder, "python/torbiz/seeder.py"), "\n# of a newer Torbiz\n");
    const newer = { ...context, runtimeFiles: folder };
    expect(await new OverviewReader(newer).look()).toMatchObject({ screen: "choose", image: "outdated" });
    const { outdatedImage, status } = await share(newer, { blocks: 2 });
    expect({ outdatedImage, state: status.state }).toEqual({ outdatedImage: true, state: "online" });
    expect(await new OverviewReader(newer).look()).toMatchObject({ screen: "live", status: { state: "online" } });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a note says how to update the image", async () => {
  const env = { TORBIZ_INSTANCE: "test-older" };
  const { image } = (await openTestEngine(env)).names;
  const older = `FROM ${context.names.image}\nLABEL ${LABELS.inputs}=older\n`;
  execFileSync(docker, ["build", "--tag", image, "-"], { input: older, stdio: ["pipe", "ignore", "ignore"] });
  try {
    const { last, events } = await torbiz(["share", "--no-wait"], { env });
    expect(last).toMatchObject({ ok: true, outdatedImage: true });
    expect(events).toContainEqual(
      expect.objectContaining({ event: "note", message: expect.stringContaining("`torbiz build`") }),
    );
  } finally {
    await torbiz(["stop", "--now"], { env });
    await exec(docker, ["rmi", image]);
  }
});

test("a share that died while it started stays to be seen, with its reason, until the next one", async () => {
  const { address: nobody, close } = await openDoor();
  const failed = await torbiz(["share", "--swarm", nobody]);
  close();
  expect(failed.last).toMatchObject({
    ...{ ok: false, code: "swarm-unreachable", message: "None of the swarm's first peers answered." },
    details: { exitCode: 1, lines: expect.arrayContaining([expect.stringContaining("[swarm-unreachable]")]) },
  });
  const overview = await new OverviewReader(context).look();
  expect(overview).toMatchObject({ screen: "live", status: { state: "exited", exitCode: 1 } });
  expect(await whyEnded(context, (await inspect()).Id)).toMatchObject({
    code: "swarm-unreachable",
    details: { log: (failed.last.details as { log: string }).log },
  });
  expect(await peekStatus(context)).toMatchObject({ state: "exited", exitCode: 1 });

  const { events, last } = await torbiz(["share", "--no-wait"]);
  expect(last).toMatchObject({ ok: true, adopted: false });
  expect(events).toContainEqual(
    expect.objectContaining({ event: "note", message: expect.stringContaining("Removed the container") }),
  );
});

test("log and events come as one, and end with the container", async () => {
  await share(context, { blocks: 2 });
  const lines: FollowedLine[] = [];
  const { Id } = await inspect();
  const following = (async () => {
    for await (const line of followLog(context, Id)) lines.push(line);
  })();
  await exec(docker, ["pause", context.names.container]);
  expect(await new OverviewReader(context).look()).toMatchObject({
    screen: "live",
    status: { state: "paused" },
  });
  await exec(docker, ["unpause", context.names.container]);
  await exec(docker, ["stop", context.names.container]);
  await following;
  const texts = lines.map(({ text }) => text);
  const placeOf = (pattern: RegExp) => texts.findIndex((text) => pattern.test(text));
  const order = [
    /^The container was started\.$/,
    /Stage: online/,
    /^The container was paused\.$/,
    /^The container was resumed\.$/,
    /^The container was asked to stop\.$/,
    /^The container ended as it was asked to\.$/,
  ].map(placeOf);
  expect(order).not.toContain(-1);
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  // The engine writes down that it sent the signal when it has: the seeder may be quicker with its answer to it.
  const offline = placeOf(/Announced OFFLINE/);
  expect(offline).toBeGreaterThan(placeOf(/^The container was resumed\.$/));
  expect(offline).toBeLessThan(placeOf(/^The container ended as it was asked to\.$/));
});
