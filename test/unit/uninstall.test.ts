import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runUninstall } from "../../src/cli/uninstall";
import { buildFiles } from "../../src/lib/docker/build/lock";
import { resolveNames } from "../../src/lib/names";
import { acquireLock } from "../../src/lib/process-lock";
import { BASE_IMAGE_STAND_IN } from "../../src/lib/setup/base-image";
import { rememberChoice } from "../../src/lib/sharing/last-choice";
import { shareLock } from "../../src/lib/sharing/stop-request";
import { findBelongings, needsStop, removeBelongings } from "../../src/lib/uninstall";
import { recordedSession, toldSession } from "./cli/session";
import { LABELS, scriptedShare, type ScriptedShare } from "./sharing/scripted-share";

let share: ScriptedShare;
/** What the engine has besides the image. */
let images: { Id: string; RepoTags: string[]; Labels: Record<string, string> }[];

beforeEach(async () => {
  share = await scriptedShare();
  share.others["/containers/json"] = (_, response) => void response.end("[]");
  share.others["/images/json"] = (request, response) => void response.end(JSON.stringify(listed(request.url ?? "")));
  images = [];
  const { models, conversations } = share.surroundings.paths;
  mkdirSync(join(models, "a", "gguf"), { recursive: true });
  writeFileSync(join(models, "a", "gguf", "file.gguf"), Buffer.alloc(2_000_000));
  writeFileSync(join(conversations, "c-1.jsonl"), Buffer.alloc(1_000));
});

afterEach(() => share.close());

const RUNNING = {
  State: { Status: "running", Running: true, ExitCode: 0, Error: "" },
  Config: { Image: "a:1", Labels: LABELS },
};

/** As an engine lists what has the label that was asked for. */
function listed(url: string): object[] {
  const filters = new URL(url, "http://engine").searchParams.get("filters") ?? "{}";
  const [label = ""] = (JSON.parse(filters) as { label: string[] }).label;
  const { image, surroundings } = share;
  const own = {
    Id: "sha256:1",
    RepoTags: [surroundings.names.image],
    Labels: { ...image, "com.torbiz.contract": "3" },
  };
  return [...(image ? [own] : []), ...images].filter(({ Labels }) => label in Labels);
}

/** What was removed in the engine, in that order. */
function removals(): string[] {
  return share.engine.requests.flatMap((request) => /^DELETE \/v[\d.]+\/images\/([^?]+)/.exec(request)?.[1] ?? []);
}

function put(...path: string[]): string {
  const file = join(share.surroundings.paths.home, ...path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "");
  return file;
}

/** A share begins as soon as that holds. */
function beginsWhen(holds: () => boolean): void {
  share.others[`/containers/${share.surroundings.names.container}/json`] = (_, response) => {
    if (holds()) response.end(JSON.stringify({ Id: "abc", Created: "2026-01-31T12:00:00Z", ...RUNNING }));
    else response.writeHead(404).end("{}");
  };
}

/** The lock and the log of a build that runs: this process is taken for it. */
function buildOf(image: string): string[] {
  const { lock, log } = buildFiles(share.surroundings.paths, { image });
  writeFileSync(lock, JSON.stringify({ pid: process.pid, startedAt: new Date().toISOString(), log, tag: image }));
  writeFileSync(log, "a line\n");
  return [lock, log];
}

test("what is here is listed with its size, and nothing that isn't", async () => {
  share.image = { "com.torbiz.managed": "1" };
  const { parts, inUse, notes } = await findBelongings(share.surroundings);
  expect(parts.map(({ id, bytes }) => [id, bytes])).toEqual([
    ["image", 1],
    ["models", 2_000_000],
    ["conversations", 1_000],
  ]);
  expect([inUse, notes]).toEqual([undefined, []]);
});

test("a container is listed with what it wrote", async () => {
  beginsWhen(() => true);
  const Containers = [{ Id: "abc", SizeRw: 3_000 }, { Id: "another's", SizeRw: 50 }, { Id: "idle" }];
  share.others["/system/df"] = (_, response) => void response.end(JSON.stringify({ Containers }));
  const { names } = share.surroundings;
  share.others[`/networks/${names.network}`] = (_, response) => void response.end(JSON.stringify({ Labels: LABELS }));
  const { parts } = await findBelongings(share.surroundings);
  expect(parts[0]).toMatchObject({ id: "container", bytes: 3_000 });

  // Of somebody else's nothing is ours to free.
  const foreign = {
    ...RUNNING,
    Id: "another's",
    Created: "2026-01-31T12:00:00Z",
    Config: { Image: "a:1", Labels: {} },
  };
  share.others[`/containers/${names.container}/json`] = (_, response) => void response.end(JSON.stringify(foreign));
  const [left] = (await findBelongings(share.surroundings)).parts;
  expect(left).toMatchObject({ id: "container", detail: `the network ${names.network}`, bytes: 0 });
});

test("what BuildKit kept of the image's builds goes with it, and nothing of others' builds", async () => {
  share.image = { "com.torbiz.managed": "1" };
  const build = "mount / from exec /bin/sh -c pip install --no-deps --require-hashes -r /requirements/build.txt";
  const entry = (ID: string, Description: string, more: object = {}) => ({ ID, Description, Size: 10, ...more });
  const BuildCache = [
    ...[entry("ours", build), entry("onOurs", "fileop target", { Parent: "ours" })],
    ...[entry("image", "fileop target", { Parent: "onOurs", Shared: true }), entry("theirs", "fileop target")],
  ];
  share.others["/system/df"] = (_, response) => void response.end(JSON.stringify({ BuildCache }));
  const filters: (string | null)[] = [];
  share.others["/build/prune"] = (request, response) => {
    filters.push(new URL(request.url ?? "", "http://engine").searchParams.get("filters"));
    response.end("{}");
  };
  const { parts } = await findBelongings(share.surroundings);
  expect(parts[0]).toMatchObject({
    id: "image",
    bytes: 21,
    detail: expect.stringContaining("its builds left") as unknown,
  });
  const { removed } = await removeBelongings(share.surroundings, ["image"]);
  expect(removed.map(({ id }) => id)).toEqual(["image"]);
  expect(filters).toEqual(['{"id":["^(ours|onOurs|image)$"]}']);

  images = [{ Id: "sha256:2", RepoTags: ["another:instance"], Labels: { "com.torbiz.contract": "3" } }];
  expect((await findBelongings(share.surroundings)).parts[0]).toMatchObject({ id: "image", bytes: 1 });
  await removeBelongings(share.surroundings, ["image"]);
  expect(filters).toHaveLength(1);
});

test("what the classic builder and killed builds left goes with the image, but for what a container needs", async () => {
  const { names } = share.surroundings;
  const managed = { "com.torbiz.managed": "1", "com.torbiz.contract": "3" };
  share.image = managed;
  images = [
    { Id: "sha256:steps", RepoTags: ["<none>:<none>"], Labels: { "com.torbiz.build-step": "1" } },
    { Id: "sha256:used", RepoTags: [], Labels: managed },
    { Id: "sha256:killed", RepoTags: [`${names.image}-building`], Labels: managed },
    { Id: "sha256:theirs", RepoTags: [], Labels: { "com.torbiz.contract": "3" } },
  ];
  const Images = [{ Id: "sha256:steps", Size: 70, SharedSize: 30 }];
  share.others["/system/df"] = (_, response) => void response.end(JSON.stringify({ Images }));
  share.others["/images/sha256:used"] = (_, response) =>
    void response.writeHead(409).end(JSON.stringify({ message: "conflict: a container is using it" }));
  expect((await findBelongings(share.surroundings)).parts[0]).toMatchObject({ id: "image", bytes: 41 });
  const { failed } = await removeBelongings(share.surroundings, ["image"]);
  const all = [names.image, `${names.image}-building`, "sha256:used", "sha256:steps"];
  expect([failed, removals()]).toEqual([[], all]);

  // A build that runs needs its steps, and another instance its own.
  const [lock = ""] = buildOf("torbiz-petals-macos:other");
  await removeBelongings(share.surroundings, ["image"]);
  expect(removals().slice(all.length)).toEqual(all.slice(0, 2));
  rmSync(lock);
  images.push({ Id: "sha256:2", RepoTags: ["another:instance"], Labels: managed });
  await removeBelongings(share.surroundings, ["image"]);
  expect(removals().slice(all.length + 2)).toEqual(all.slice(0, 2));
});

test("what builds left is listed and goes where the image is gone, or somebody else's", async () => {
  const BuildCache = [{ ID: "ours", Description: "[stage-1 5/7] WORKDIR /cache", Size: 10 }];
  share.others["/system/df"] = (_, response) => void response.end(JSON.stringify({ BuildCache }));
  share.others["/build/prune"] = (_, response) => void response.end("{}");
  for (const image of [undefined, {}]) {
    share.image = image;
    const { parts } = await findBelongings(share.surroundings);
    expect(parts[0]).toMatchObject({ id: "image", detail: "what its builds left in Docker", bytes: 10 });
    const { removed } = await removeBelongings(share.surroundings, ["image"]);
    expect(removed.map(({ id }) => id)).toEqual(["image"]);
  }
  expect(removals()).toEqual([]);
  expect(share.engine.requests.filter((request) => request.includes("/build/prune"))).toHaveLength(2);
});

test("the base image that was made for it goes last, as nobody else needs it", async () => {
  const { surroundings } = share;
  const { names } = surroundings;
  const managed = { "com.torbiz.managed": "1", "com.torbiz.contract": "3" };
  share.image = managed;
  const base = { Id: "sha256:base", RepoTags: [BASE_IMAGE_STAND_IN], Labels: { "com.torbiz.managed": "1" } };
  const steps = { Id: "sha256:steps", RepoTags: [], Labels: managed };
  images = [base, steps];
  // 80 of it are the image's, too.
  const Images = [{ Id: "sha256:base", Size: 100, SharedSize: 80 }];
  share.others["/system/df"] = (_, response) => void response.end(JSON.stringify({ Images }));
  const detail = `${names.image}, its base image ${BASE_IMAGE_STAND_IN}, and what its builds left in Docker`;
  expect((await findBelongings(surroundings)).parts[0]).toMatchObject({ id: "image", bytes: 21, detail });
  // A container needs it.
  share.others[`/images/${BASE_IMAGE_STAND_IN}`] = (_, response) =>
    void response.writeHead(409).end(JSON.stringify({ message: "conflict: a container is using it" }));
  expect((await removeBelongings(surroundings, ["image"])).failed).toEqual([]);
  expect(removals()).toEqual([names.image, "sha256:steps", BASE_IMAGE_STAND_IN]);

  // It is all that is left where the image was removed by hand.
  share.image = undefined;
  images = [base];
  const [left] = (await findBelongings(surroundings)).parts;
  expect(left).toMatchObject({ id: "image", detail: `its base image ${BASE_IMAGE_STAND_IN}`, bytes: 20 });
});

test("the base image stays for another instance, for a build, and where somebody else made it", async () => {
  const base = { Id: "sha256:base", RepoTags: [BASE_IMAGE_STAND_IN], Labels: { "com.torbiz.managed": "1" } };
  const { surroundings } = share;
  const isListed = async (names = surroundings.names) =>
    (await findBelongings({ ...surroundings, names })).parts.some(({ id }) => id === "image");
  images = [base];
  expect([await isListed(), await isListed(resolveNames({ TORBIZ_INSTANCE: "other" }))]).toEqual([true, false]);
  const [lock = ""] = buildOf("torbiz-petals-macos:other");
  expect(await isListed()).toBe(false);
  rmSync(lock);
  images = [base, { Id: "sha256:2", RepoTags: ["another:instance"], Labels: { "com.torbiz.contract": "3" } }];
  expect(await isListed()).toBe(false);
  images = [{ ...base, Labels: { "com.torbiz.managed": "" } }];
  expect(await isListed()).toBe(false);
});

test("an engine that doesn't say what holds how much keeps nothing from being listed and removed", async () => {
  share.image = { "com.torbiz.managed": "1" };
  share.others["/system/df"] = (_, response) =>
    void response.writeHead(500).end(JSON.stringify({ message: "a disk usage operation is already running" }));
  const { parts, notes } = await findBelongings(share.surroundings);
  expect(parts.map(({ id }) => id)).toEqual(["image", "models", "conversations"]);
  expect(notes).toEqual([expect.stringContaining("sizes are missing")]);
  const { removed } = await removeBelongings(share.surroundings, ["image", "conversations"]);
  expect(removed.map(({ id }) => id)).toEqual(["image", "conversations"]);
  expect(removals()).toEqual([share.surroundings.names.image]);
});

test("an image by our name without our label is somebody else's", async () => {
  share.image = {};
  const { parts, notes } = await findBelongings(share.surroundings);
  expect(parts.map(({ id }) => id)).not.toContain("image");
  expect(notes).toEqual([`Torbiz didn't make the image ${share.surroundings.names.image}: it is left alone.`]);
});

test("without an engine what is in the home folder is listed and goes all the same", async () => {
  share.others["/_ping"] = (_, response) => void response.writeHead(503).end();
  const { parts, notes } = await findBelongings(share.surroundings);
  expect(parts.map(({ id }) => id)).toEqual(["models", "conversations"]);
  expect(notes).toEqual(["Docker doesn't answer: what is in it isn't listed."]);
  const { removed } = await removeBelongings(share.surroundings, ["models"]);
  expect(removed.map(({ id }) => id)).toEqual(["models"]);
  expect([existsSync(share.surroundings.paths.models), existsSync(share.surroundings.paths.conversations)]).toEqual([
    false,
    true,
  ]);
});

test("a share that runs needs its model, and no conversation", async () => {
  share.container = RUNNING;
  const found = await findBelongings(share.surroundings);
  expect(found.inUse).toBe("smollm2-135m-instruct is shared now.");
  expect([needsStop(found, ["models"]), needsStop(found, ["conversations"])]).toEqual([true, false]);
  await expect(removeBelongings(share.surroundings, ["models", "conversations"])).rejects.toMatchObject({
    code: "already-sharing",
  });
  expect(existsSync(share.surroundings.paths.conversations)).toBe(true);
});

test("where nobody can be asked it only lists", async () => {
  const session = toldSession(share.surroundings);
  expect(await runUninstall(session, {})).toBe(0);
  expect(session.told()).toBe(
    [
      "models         2.0 MB  Models: files that answer on this computer or are shared from it",
      "conversations  1 kB    Conversations: questions and answers",
      "Nothing was removed. Choose with --only, and say --yes.",
      "",
    ].join("\n"),
  );
  expect(existsSync(share.surroundings.paths.models)).toBe(true);
});

test("with a yes goes what was named, or all of it with the home folder", async () => {
  const { paths } = share.surroundings;
  const some = recordedSession(share.surroundings);
  expect(await runUninstall(some, { only: ["conversations"], yes: true })).toBe(0);
  expect(some.events.at(-1)).toMatchObject({
    event: "result",
    ok: true,
    removed: ["conversations"],
    freedBytes: 1_000,
  });
  expect([existsSync(paths.models), existsSync(paths.conversations)]).toEqual([true, false]);

  writeFileSync(join(paths.logs, "setup.log"), "a line\n");
  const all = recordedSession(share.surroundings);
  expect(await runUninstall(all, { yes: true })).toBe(0);
  expect(all.events.at(-1)).toMatchObject({ removed: ["models", "settings"] });
  expect(existsSync(paths.home)).toBe(false);
});

test("what others put into the home folder stays, and is told", async () => {
  const { paths } = share.surroundings;
  const others = [
    put("conversations", "notes.txt"),
    put("envs", "mine", "bin", "python"),
    put("logs", "mine.log"),
    put("models", "a", "mine.gguf"),
    put("models", "mine"),
    put("thesis.odt"),
  ];
  const ours = [
    put("ask.json"),
    put("contribution.json.damaged"),
    put("envs", "local-0123456789abcdef.01234567", "bin", "python"),
    put("logs", "environment-local.log"),
    put("models", "smollm2-135m-instruct", "ready.json"),
    put("models", "smollm2-135m-instruct.partial-1-abcdefgh", "source.gguf"),
    put("pythons", "cpython-3.11.9+1-x86_64", "bin", "python3.11"),
    put("run", "starter.lock"),
  ];
  symlinkSync("local-0123456789abcdef.01234567", join(paths.envs, "local-0123456789abcdef"));
  const session = recordedSession(share.surroundings);
  expect(await runUninstall(session, { yes: true })).toBe(0);
  expect(session.events.at(-1)).toMatchObject({
    removed: ["environments", "models", "conversations", "settings"],
  });
  expect(ours.filter((path) => existsSync(path))).toEqual([]);
  expect(others.filter((path) => !existsSync(path))).toEqual([]);
  expect(existsSync(paths.pythons)).toBe(false);
  const notes = session.events.filter(({ event }) => event === "note").map(({ message }) => message);
  expect(notes).toEqual([expect.stringMatching(/^Torbiz didn't make .+, and 1 more: that is left alone\.$/)]);
});

test("a part without a byte is listed all the same", async () => {
  put("ask.json");
  const { parts } = await findBelongings(share.surroundings);
  expect(parts.find(({ id }) => id === "settings")?.bytes).toBe(0);
});

test("a share that begins before the removal goes on, and keeps what it needs", async () => {
  beginsWhen(() => existsSync(shareLock(share.surroundings)));
  await expect(removeBelongings(share.surroundings, ["models"])).rejects.toMatchObject({
    code: "already-sharing",
    message: "smollm2-135m-instruct is shared now. Nothing was removed.",
  });
  expect(existsSync(share.surroundings.paths.models)).toBe(true);
});

test("no share is stopped for its image without a yes, however late it begins", async () => {
  share.image = { "com.torbiz.managed": "1" };
  // It begins after all looks but the last, that of the removal itself.
  let looks = 0;
  beginsWhen(() => ++looks > 3);
  const { removed, failed } = await removeBelongings(share.surroundings, ["image"]);
  expect([removed, failed.map(({ part, error }) => [part.id, error.code])]).toEqual([
    [],
    [["image", "already-sharing"]],
  ]);
  expect(looks).toBe(4);
});

test("what is in an engine that went away isn't told to be removed, and nothing else goes", async () => {
  share.others["/_ping"] = (_, response) => void response.writeHead(503).end();
  await expect(removeBelongings(share.surroundings, ["models", "image"])).rejects.toMatchObject({
    code: expect.stringMatching(/^docker-/) as unknown,
  });
  expect(existsSync(share.surroundings.paths.models)).toBe(true);
});

test("what another instance may use stays until that has ended, also with a yes to a stop", async () => {
  const { paths, names } = share.surroundings;
  const other = { ...LABELS, "com.torbiz.instance": "other" };
  share.others["/containers/json"] = (_, response) =>
    void response.end(
      JSON.stringify([{ Id: "b", Names: ["/torbiz-petals-seeder-other"], Labels: other, State: "running" }]),
    );
  // Shared from another folder, it has nothing to lose in this one.
  expect((await findBelongings(share.surroundings)).notes).toEqual([]);
  rememberChoice({ paths, names: { ...names, instance: "other" } }, { model: "a", swarm: "private" });
  const use = "The container torbiz-petals-seeder-other runs now, and was shared from this home folder.";
  expect((await findBelongings(share.surroundings)).notes).toEqual([use]);
  share.container = RUNNING;
  for (const id of ["models", "environments", "settings"] as const) {
    await expect(removeBelongings(share.surroundings, [id], { stop: true })).rejects.toMatchObject({
      code: "already-sharing",
      message: `${use} Nothing was removed.`,
    });
  }
  // Nor is this one's share stopped for nothing.
  expect(share.engine.requests.filter((request) => !request.startsWith("GET"))).toEqual([]);
  expect((await removeBelongings(share.surroundings, ["conversations"])).removed).toHaveLength(1);
  expect(existsSync(paths.models)).toBe(true);
});

test("another instance's build keeps its lock and its log", async () => {
  const files = buildOf("torbiz-petals-macos:other");
  await expect(removeBelongings(share.surroundings, ["settings"])).rejects.toMatchObject({
    message: "The image torbiz-petals-macos-other is being built now. Nothing was removed.",
  });
  expect(files.map((path) => existsSync(path))).toEqual([true, true]);
});

test("a build's lock and log are among the settings: they take a stop", async () => {
  const files = buildOf(share.surroundings.names.image);
  expect(needsStop(await findBelongings(share.surroundings), ["settings"])).toBe(true);
  await expect(removeBelongings(share.surroundings, ["settings"])).rejects.toMatchObject({ code: "already-sharing" });
  expect(files.map((path) => existsSync(path))).toEqual([true, true]);
});

test("an environment that is being made is waited for, and a lock that is held stays", async () => {
  const { paths } = share.surroundings;
  const python = put("envs", "swarm-0123456789abcdef.01234567", "bin", "python");
  put("ask.json");
  const making = await acquireLock(join(paths.envs, "swarm-0123456789abcdef.lock"));
  const starter = await acquireLock(join(paths.run, "starter.lock"));
  try {
    const removal = removeBelongings(share.surroundings, ["environments", "settings"]);
    await sleep(500);
    expect(existsSync(python)).toBe(true);
    making.release();
    expect((await removal).removed.map(({ id }) => id)).toEqual(["environments", "settings"]);
    expect([existsSync(paths.envs), existsSync(join(paths.run, "starter.lock"))]).toEqual([false, true]);
  } finally {
    making.release();
    starter.release();
  }
});

test("what can't be removed is told with exit code 1, and the rest goes", async () => {
  share.image = { "com.torbiz.managed": "1" };
  share.others[`/images/${share.surroundings.names.image}`] = (_, response) =>
    void response.writeHead(500).end(JSON.stringify({ message: "it is stuck" }));
  const session = recordedSession(share.surroundings);
  expect(await runUninstall(session, { yes: true })).toBe(1);
  expect(session.events.at(-1)).toMatchObject({
    event: "result",
    ok: false,
    removed: ["models", "conversations"],
    failed: [
      { id: "image", code: "docker-request-failed", message: expect.stringContaining("it is stuck") as unknown },
    ],
  });
});
