import { mkdirSync, writeFileSync } from "node:fs";
import { openEngine } from "../../../src/lib/context";
import { buildFiles } from "../../../src/lib/docker/build/lock";
import { inputsHash } from "../../../src/lib/docker/build/script";
import { CONTRACT } from "../../../src/lib/docker/build/state";
import { acquireLock } from "../../../src/lib/process-lock";
import { rememberChoice } from "../../../src/lib/sharing/last-choice";
import { OverviewReader } from "../../../src/lib/sharing/overview";
import { shareLock } from "../../../src/lib/sharing/stop-request";
import { LABELS, scriptedShare, type ScriptedShare } from "./scripted-share";

let share: ScriptedShare;
let reader: OverviewReader;

beforeEach(async () => {
  share = await scriptedShare();
  reader = new OverviewReader(share.surroundings);
});

afterEach(() => share.close());

function contain(State: Record<string, unknown>, Labels: object = LABELS): void {
  share.container = { State: { ExitCode: 0, Error: "", ...State }, Config: { Image: "a:1", Labels } };
}

/** A build by this very process, as its lock tells. */
function build(): void {
  const { paths, names } = share.surroundings;
  const { lock, log } = buildFiles(paths, names);
  mkdirSync(paths.logs, { recursive: true });
  writeFileSync(log, `torbiz: build pid=${process.pid} base=x \n`);
  writeFileSync(lock, JSON.stringify({ pid: process.pid, startedAt: new Date().toISOString(), log, tag: names.image }));
}

function endBuild(...lines: string[]): void {
  const { lock, log } = buildFiles(share.surroundings.paths, share.surroundings.names);
  writeFileSync(log, [`torbiz: build pid=1 base=x `, ...lines, ""].join("\n"));
  writeFileSync(lock, "");
}

test("without an engine it says which problem that is, and goes on by itself when there is one", async () => {
  share.others["/_ping"] = (_, response) => void response.writeHead(503).end();
  expect(await reader.look()).toMatchObject({
    screen: "gate",
    problem: "starting",
    error: { code: "docker-starting" },
  });
  share.others = {};
  expect(await reader.look()).toMatchObject({ screen: "first-time" });
});

test("an image of these very files is chosen with; an older one still serves; one of another contract doesn't", async () => {
  const wanted = await inputsHash(await openEngine(share.surroundings));
  share.image = { "com.torbiz.inputs": wanted };
  expect(await reader.look()).toMatchObject({ screen: "choose", image: "current" });
  share.image = { "com.torbiz.inputs": "old", "com.torbiz.contract": String(CONTRACT) };
  expect(await new OverviewReader(share.surroundings).look()).toMatchObject({ screen: "choose", image: "outdated" });
  share.image = { "com.torbiz.inputs": "old", "com.torbiz.contract": "0" };
  expect(await new OverviewReader(share.surroundings).look()).toMatchObject({ screen: "first-time" });
  share.image = {};
  expect(await new OverviewReader(share.surroundings).look()).toMatchObject({ screen: "choose", image: "by-hand" });
});

test("a container of ours is shown whatever the image is, and costs one inspect a look", async () => {
  contain({ Status: "running" });
  expect(await reader.look()).toMatchObject({ screen: "live", containerId: "abc", image: "missing" });
  build();
  const before = share.engine.requests.length;
  expect(await reader.look()).toMatchObject({ screen: "live", status: { state: "starting" } });
  expect(share.engine.requests.slice(before)).toEqual(["GET /containers/torbiz-petals-seeder/json"]);
});

test("an image that was built while something is shared is looked at anew", async () => {
  contain({ Status: "running" });
  expect(await reader.look()).toMatchObject({ screen: "live", image: "missing" });
  build();
  await reader.look();
  share.image = {};
  endBuild("torbiz: done seconds=1");
  expect(await reader.look()).toMatchObject({ screen: "live", image: "by-hand" });
});

test("one that ended stays to be seen, until something is built", async () => {
  contain({ Status: "exited", ExitCode: 1 });
  expect(await reader.look()).toMatchObject({ screen: "live", status: { state: "exited", exitCode: 1 } });
  build();
  expect(await reader.look()).toMatchObject({ screen: "building", build: { pid: process.pid } });
});

test("one that ended as it was asked to needs no telling", async () => {
  share.image = {};
  contain({ Status: "exited", ExitCode: 0 });
  expect(await reader.look()).toMatchObject({ screen: "choose" });
});

test("a build outranks both screens without a share, and after it the image is looked at anew", async () => {
  build();
  expect(await reader.look()).toMatchObject({ screen: "building" });
  share.image = {};
  expect(await reader.look()).toMatchObject({ screen: "building" });
  endBuild("torbiz: done seconds=1");
  expect(await reader.look()).toMatchObject({ screen: "choose" });
});

test("a build that failed is told of where an image is still missing", async () => {
  endBuild("ERROR: the wheels have come off", "torbiz: failed step=build");
  expect(await reader.look()).toMatchObject({
    screen: "first-time",
    failedBuild: { outcome: "failed", error: { code: "build-failed" } },
  });
});

test("a build that failed is told of beside an older image, until something is shared", async () => {
  share.image = {};
  endBuild("ERROR: the wheels have come off", "torbiz: failed step=build");
  expect(await reader.look()).toMatchObject({ screen: "choose", failedBuild: { outcome: "failed" } });
  rememberChoice(share.surroundings, { model: "smollm2-135m-instruct", swarm: "private" });
  expect(await reader.look()).not.toHaveProperty("failedBuild");
});

test("a share that another command prepares is on its way, as the menu bar says it is", async () => {
  share.image = {};
  const lock = await acquireLock(shareLock(share.surroundings));
  expect(await reader.look()).toMatchObject({ screen: "preparing" });
  lock.release();
  expect(await reader.look()).toMatchObject({ screen: "choose" });
});

test("somebody else's container is named, and no more", async () => {
  contain({ Status: "running" }, {});
  expect(await reader.look()).toMatchObject({ screen: "foreign", error: { code: "foreign-container" } });
});

test("a container that is being started is on its way; one left behind before its start is nothing", async () => {
  contain({ Status: "created" });
  const lock = await acquireLock(shareLock(share.surroundings));
  expect(await reader.look()).toMatchObject({ screen: "live", status: { state: "starting" } });
  lock.release();
  expect(await reader.look()).toMatchObject({ screen: "first-time" });
});

test("an engine that stops answering sensibly under an open view is shown at the gate, and found again", async () => {
  contain({ Status: "running" });
  expect(await reader.look()).toMatchObject({ screen: "live" });
  const path = "/containers/torbiz-petals-seeder/json";
  share.others[path] = (_, response) => void response.writeHead(500).end('{"message":"bad day"}');
  expect(await reader.look()).toMatchObject({ screen: "gate", error: { message: expect.stringContaining("bad day") } });
  await share.engine.close();
  expect(await reader.look()).toMatchObject({ screen: "gate", problem: "not-running" });
});
