import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { openEngine } from "../../../src/lib/context";
import { defaultModel } from "../../../src/lib/models";
import { whyEnded } from "../../../src/lib/sharing/why-ended";
import { LABELS, scriptedShare, type ScriptedShare } from "./scripted-share";

const T = "2026-01-31T12:00:01.500000000Z 2026-01-31T12:00:01.400Z";

let share: ScriptedShare;

beforeEach(async () => {
  share = await scriptedShare();
  end({ ExitCode: 1 });
});

afterEach(() => share.close());

function end(State: Record<string, unknown>): void {
  share.container = {
    State: { Status: "exited", Running: false, FinishedAt: "2026-01-31T12:00:02Z", ...State },
    Config: { Labels: LABELS },
  };
}

const why = async () => whyEnded(await openEngine(share.surroundings), "abc");

test("the seeder's own words tell, with the last lines of the log, which is kept once", async () => {
  share.log = [`${T} INFO torbiz.seeder: Starting`, `${T} ERROR torbiz.seeder: [swarm-unreachable] Nobody answered.`];
  const error = await why();
  expect(error).toMatchObject({ code: "swarm-unreachable", message: "Nobody answered.", details: { exitCode: 1 } });
  expect(error.details?.lines).toHaveLength(2);
  const log = String(error.details?.log);
  expect(readFileSync(log, "utf8")).toContain("Nobody answered.");
  expect((await why()).details?.log).toBe(log);
});

test.each([
  ["words of an unknown kind", `${T} ERROR torbiz.seeder: [brand-new] Odd.`, { ExitCode: 1 }, "share-failed", "Odd."],
  ["no words at all", `${T} INFO x: y`, { ExitCode: 3 }, "share-failed", "It ended with exit code 3."],
  ["no memory", `${T} INFO x: y`, { ExitCode: 137, OOMKilled: true }, "not-enough-memory", "ran out of memory"],
])("with %s", async (_, line, state, code, words) => {
  end(state);
  share.log = [line];
  expect(await why()).toMatchObject({ code, message: expect.stringContaining(words) as unknown });
});

test.each([
  ["Bind for 0.0.0.0:31330 failed: port is already allocated", "port-in-use", "The port is in use by another program."],
  ["OCI runtime create failed", "share-failed", "Docker couldn't start the container."],
])("what Docker said of a start that failed is kept, and told in plain words: %s", async (Error, code, message) => {
  end({ Status: "created", ExitCode: 128, Error });
  expect(await why()).toMatchObject({ code, message, details: { docker: Error } });
});

test.each([
  ["The container ran out of memory.", "not-enough-memory", /^Give Docker more memory/, "--memory"],
  ["The disk that sharing may use is too small.", "disk-full", /^Allow a share more disk space/, "--disk"],
  [
    "No peer can reach this computer.",
    "not-reachable",
    /^Forward the port .* or share in a swarm of your own/,
    "--lan",
  ],
  ["owner/name has no file a on hub.", "model-unknown", /^Its owner may have changed or removed it/, "cache remove"],
  ["None of the first peers answered.", "public-swarm-silent", /^Start a swarm of your own/, "torbiz share --lan"],
])("the next step is for one who shares: %s", async (words, code, hint, option) => {
  share.log = [`${T} ERROR torbiz.seeder: [${code}] ${words}`];
  expect(await why()).toMatchObject({
    ...{ code, message: words },
    hint: expect.stringMatching(hint) as unknown,
    cliHint: expect.stringContaining(option) as unknown,
  });
});

test("a damaged model is prepared anew by the next start", async () => {
  const ready = join(share.surroundings.paths.models, defaultModel.id, "ready.json");
  mkdirSync(dirname(ready), { recursive: true });
  writeFileSync(ready, "{}");
  share.log = [`${T} ERROR torbiz.seeder: [model-broken] A file is damaged.`];
  expect(await why()).toMatchObject({ code: "model-broken" });
  expect(existsSync(ready)).toBe(false);
});

test("a hub's model that is damaged is no reason to prepare the starter anew", async () => {
  share.container = {
    State: { Status: "exited", Running: false, FinishedAt: "2026-01-31T12:00:02Z", ExitCode: 1 },
    Config: { Labels: { ...LABELS, "com.torbiz.model": "owner--name" } },
  };
  const ready = join(share.surroundings.paths.models, defaultModel.id, "ready.json");
  mkdirSync(dirname(ready), { recursive: true });
  writeFileSync(ready, "{}");
  share.log = [`${T} ERROR torbiz.seeder: [model-broken] A file came with a wrong hash.`];
  expect(await why()).toMatchObject({ code: "model-broken" });
  expect(existsSync(ready)).toBe(true);
});

test("a gated model leads to the page on which to ask for access", async () => {
  share.log = [`${T} ERROR torbiz.seeder: [model-gated] Ask for access at https://hub.example/owner/name`];
  expect(await why()).toMatchObject({ action: { title: "Ask for Access", url: "https://hub.example/owner/name" } });
});

test("a container that is gone is said to be", async () => {
  share.container = undefined;
  expect(await why()).toMatchObject({ code: "share-failed", message: "The container was removed meanwhile." });
});
