import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import type { ServerResponse } from "node:http";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { once } from "node:events";
import { jest } from "@jest/globals";
import { dirname, join } from "node:path";
import { findLocalModel } from "../../../src/lib/ask/local-models";
import { modelFile } from "../../../src/lib/ask/model-download";
import { openEngine } from "../../../src/lib/context";
import { inputsHash } from "../../../src/lib/docker/build/script";
import { buildFiles } from "../../../src/lib/docker/build/lock";
import { CONTRACT } from "../../../src/lib/docker/build/state";
import { lookAtAskEnvironment } from "../../../src/lib/ask/ask-environments";
import { CHECKS, examine, type Examination } from "../../../src/lib/doctor/doctor";
import type { Finding } from "../../../src/lib/doctor/finding";
import { answersTo } from "../../../src/lib/doctor/questions";
import { reportOf } from "../../../src/lib/doctor/report";
import { roomVerdict } from "../../../src/lib/doctor/room";
import { TorbizError } from "../../../src/lib/errors";
import { rememberChoice } from "../../../src/lib/sharing/last-choice";
import { INFO } from "../docker/scripted-engine";
import { frame, LABELS, scriptedShare, type ScriptedShare } from "../sharing/scripted-share";

/** Each look with an engine that answers as a test says; what the real one tells is the end-to-end suite's. */

let share: ScriptedShare;
let server: Server | undefined;

beforeEach(async () => {
  share = await scriptedShare();
  share.others["/containers/json"] = (_, response) => void response.end("[]");
});

afterEach(async () => {
  server?.close();
  server = undefined;
  await share.close();
});

async function look(id: string): Promise<Finding> {
  const checks = CHECKS.filter((check) => check.id === id);
  const { findings } = await examine(share.surroundings, { checks });
  const [finding] = findings;
  if (!finding) throw new Error(`There is no check ${id}.`);
  return finding;
}

function info(more: object): void {
  share.others["/info"] = (_, response) =>
    void response.end(JSON.stringify({ ...INFO, SystemTime: new Date().toISOString(), ...more }));
}

function contain(State: Record<string, unknown>, Labels: object = LABELS): void {
  share.container = { State: { ExitCode: 0, Error: "", ...State }, Config: { Image: "a:1", Labels } };
}

async function listen(port = 0, host = "127.0.0.1"): Promise<number> {
  server = createServer((socket) => socket.destroy()).listen(port, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

const peer = (port: number) => `/ip4/127.0.0.1/tcp/${port}/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2`;

test("without an engine, what needs one is unknown, the engine is the problem, and the rest is looked at", async () => {
  share.others["/_ping"] = (_, response) => void response.writeHead(503).end();
  const { healthy, findings } = await examine(share.surroundings);
  expect(healthy).toBe(false);
  const states = Object.fromEntries(findings.map(({ id, state }) => [id, state]));
  expect(states).toMatchObject({
    engine: "problem",
    version: "unknown",
    context: "ok",
    memory: "unknown",
    share: "unknown",
    port: "unknown",
    files: "ok",
  });
  expect(findings).toHaveLength(CHECKS.length);
});

test("where nothing could be looked at, nothing is said to be well", async () => {
  const { healthy, findings } = await examine(share.surroundings, { signal: AbortSignal.abort() });
  expect(new Set(findings.map(({ state }) => state))).toEqual(new Set(["unknown"]));
  expect(healthy).toBe(false);
});

describe("the engine", () => {
  it("is named with its version", async () => {
    expect(await look("engine")).toMatchObject({
      state: "ok",
      detail: "Docker 20.10.24 answers (Debian GNU/Linux 12 (bookworm)).",
    });
    expect(await look("version")).toMatchObject({ state: "ok", detail: "It speaks API 1.41; 1.41 is needed." });
  });

  it("may be too old", async () => {
    share.others["/_ping"] = (_, response) => void response.writeHead(200, { "Api-Version": "1.30" }).end("OK");
    expect(await look("version")).toMatchObject({ state: "problem", hint: "Update Docker to 20.10 or newer." });
  });

  it("may be chosen by a context that isn't there", async () => {
    share.surroundings = {
      ...share.surroundings,
      host: undefined,
      env: { PATH: "", DOCKER_CONTEXT: "gone", DOCKER_CONFIG: share.surroundings.home },
    };
    const finding = await look("context");
    expect(finding).toMatchObject({ state: "problem" });
    expect(finding.detail).toContain('"gone"');
  });

  it("may lack the docker command", async () => {
    expect((await look("docker-cli")).state).toBe("ok");
    // The usual folders, moved to where nothing is.
    const moved = { ...share.surroundings, env: { PATH: "" }, root: share.surroundings.home };
    share.surroundings = moved;
    expect(await look("docker-cli")).toMatchObject({
      state: "problem",
      hint: expect.stringContaining("Install") as unknown,
    });
  });

  it("may translate every instruction", async () => {
    info({ Architecture: process.arch === "arm64" ? "x86_64" : "aarch64" });
    expect(await look("platform")).toMatchObject({
      state: "warning",
      hint: expect.stringContaining("own architecture") as unknown,
    });
    info({ Architecture: process.arch === "arm64" ? "aarch64" : "x86_64" });
    expect((await look("platform")).state).toBe("ok");
  });

  it("may have too little memory", async () => {
    info({ MemTotal: 1_300_000_000 });
    expect(await look("memory")).toMatchObject({
      state: "problem",
      detail: expect.stringContaining("Not even one block fits") as unknown,
    });
    info({ MemTotal: 8_000_000_000 });
    expect((await look("memory")).state).toBe("ok");
  });

  it.each([
    [-10_000, "problem", "behind this computer's"],
    [60_000, "problem", "ahead of this computer's"],
    [1_000, "ok", "s apart"],
  ])("may have a clock that is off by %d ms: %s", async (ms, state, words) => {
    info({ SystemTime: new Date(Date.now() + ms).toISOString() });
    const finding = await look("clock");
    expect([finding.state, finding.detail]).toEqual([state, expect.stringContaining(words)]);
  });

  it("may take so long to tell its time that no clock can be told by it", async () => {
    const clock = jest.spyOn(Date, "now").mockReturnValue(Date.now());
    share.others["/info"] = (_, response) => {
      const now = Date.now();
      clock.mockReturnValue(now + 8_000);
      response.end(JSON.stringify({ ...INFO, SystemTime: new Date(now).toISOString() }));
    };
    const finding = await look("clock");
    clock.mockRestore();
    expect(finding).toMatchObject({ state: "unknown", detail: expect.stringContaining("took 8 s") as unknown });
  });

  it("may not tell its time", async () => {
    info({ SystemTime: undefined });
    expect((await look("clock")).state).toBe("unknown");
  });
});

describe("the image", () => {
  it("may be missing, up to date, older, unusable, or built by hand", async () => {
    expect(await look("image")).toMatchObject({ state: "warning", pending: true, repair: { title: "Build Image" } });
    const wanted = await inputsHash(await openEngine(share.surroundings));
    share.image = { "com.torbiz.inputs": wanted };
    expect((await look("image")).state).toBe("ok");
    share.image = { "com.torbiz.inputs": "old", "com.torbiz.contract": String(CONTRACT) };
    expect(await look("image")).toMatchObject({ state: "warning", repair: { title: "Update Image" } });
    share.image = { "com.torbiz.inputs": "old", "com.torbiz.contract": "0" };
    expect(await look("image")).toMatchObject({ state: "problem", repair: { title: "Build Image" } });
    share.image = {};
    expect(await look("image")).toMatchObject({
      state: "ok",
      detail: expect.stringContaining("built by hand") as unknown,
    });
  });

  it("that failed to build tells why", async () => {
    const { paths, names } = share.surroundings;
    mkdirSync(paths.logs, { recursive: true });
    writeFileSync(
      buildFiles(paths, names).log,
      "torbiz: build pid=1 base=x \ntorbiz: step image\ntorbiz: failed step=image\n",
    );
    expect(await look("image")).toMatchObject({ state: "problem", repair: { title: "Build Image" } });
  });

  it("is looked into when it is there", async () => {
    expect(await look("dependencies")).toMatchObject({ state: "unknown", pending: true });
    expect(await look("docker-disk")).toMatchObject({
      ...{ state: "unknown", pending: true },
      detail: expect.stringMatching(/ takes 2\.5 GB to 3\.7 GB\.$/) as unknown,
    });
    info({ DriverStatus: [["driver-type", "io.containerd.snapshotter.v1"]] });
    expect((await look("docker-disk")).detail).toMatch(/ takes 4\.3 GB\.$/);
    // Another contract's would only fail in words of its own.
    share.image = { "com.torbiz.inputs": "old", "com.torbiz.contract": "0" };
    expect(await look("dependencies")).toMatchObject({ state: "unknown", pending: true });
  });
});

describe("the cache", () => {
  const volume = (Labels: object | null, UsageData: object | null = { Size: 2_100_000_000 }) => {
    const name = share.surroundings.names.volume;
    share.others[`/volumes/${name}`] = (_, response) => void response.end(JSON.stringify({ Name: name, Labels }));
    share.others["/system/df"] = (_, response) =>
      void response.end(JSON.stringify({ Volumes: [{ Name: name, UsageData }] }));
  };

  it("comes with the first share", async () => {
    expect(await look("volume")).toMatchObject({ state: "ok", pending: true });
  });

  it("is told with its size", async () => {
    volume({ "com.torbiz.managed": "1" });
    const finding = await look("volume");
    expect(finding).toMatchObject({ state: "ok", detail: expect.stringContaining("2.1 GB") as unknown });
    expect(answersTo([finding]).map(({ answer }) => answer)).toContain("yes");
  });

  it.each([[{ Size: 0 }], [{ Size: -1 }], [null]])("proves nothing of what stays with %j in it", async (usage) => {
    volume({ "com.torbiz.managed": "1" }, usage);
    const finding = await look("volume");
    expect(finding).toMatchObject({ state: "ok", pending: true });
    expect(answersTo([finding]).map(({ answer }) => answer)).toContain("not yet");
  });

  it("may be somebody else's", async () => {
    volume(null);
    expect(await look("volume")).toMatchObject({
      state: "warning",
      detail: expect.stringContaining("Torbiz didn't make it") as unknown,
    });
  });
});

describe("the share", () => {
  it("may be none, foreign, paused, or ended", async () => {
    expect(await look("share")).toMatchObject({ state: "ok", detail: "Nothing is shared now." });
    contain({ Status: "running", Running: true }, {});
    expect(await look("share")).toMatchObject({
      state: "problem",
      detail: expect.stringContaining("Torbiz didn't make it") as unknown,
    });
    contain({ Status: "paused", Running: true, Paused: true });
    expect(await look("share")).toMatchObject({ state: "warning", repair: { title: "Resume" } });
    contain({ Status: "exited", ExitCode: 1 });
    const at = "2026-01-31T12:00:00.000Z";
    share.log = [`${at} ${at} ERROR torbiz.seeder: [hub-unreachable] The hub can't be reached.`];
    expect(await look("share")).toMatchObject({
      ...{ state: "problem", repair: { title: "Clear" } },
      detail: expect.stringMatching(/has ended\. The hub can't be reached\.$/) as unknown,
    });
    contain({ Status: "exited", ExitCode: 0 });
    expect((await look("share")).state).toBe("ok");
  });

  it.each([
    [["INFO torbiz.seeder: Announced ONLINE: blocks 0", "INFO torbiz.seeder: Announced OFFLINE: blocks 0"], "ok"],
    [["INFO torbiz.seeder: Announced ONLINE: blocks 0"], "warning"],
    [["ERROR torbiz.seeder: [unexpected] x"], "warning"],
  ])("that ended last had %j: %s", async (lines, state) => {
    const { paths, names } = share.surroundings;
    const at = "2026-01-31T12:00:00.000Z";
    writeFileSync(
      join(paths.logs, `${names.container}-20260131T120000Z.log`),
      lines.map((line) => `${at} ${at} ${line}\n`).join(""),
    );
    expect((await look("last-share")).state).toBe(state);
  });

  it("that never was is no trouble", async () => {
    expect(await look("last-share")).toMatchObject({ state: "ok", pending: true });
  });
});

describe("the port", () => {
  it("is free, another program's, or the share's own", async () => {
    const { names } = share.surroundings;
    const port = await listen();
    share.surroundings = { ...share.surroundings, names: { ...names, port } };
    expect(await look("port")).toMatchObject({
      state: "problem",
      hint: expect.stringMatching(/Port \d+ is free/) as unknown,
    });
    contain({ Status: "running", Running: true }, { ...LABELS, "com.torbiz.port": String(port) });
    expect(await look("port")).toMatchObject({ state: "ok", detail: `${port} is this share's own.` });
    share.container = undefined;
    server?.close();
    expect(await look("port")).toMatchObject({ state: "ok", detail: `${port} is free.` });
  });

  it("is the one that was chosen last", async () => {
    const port = await listen();
    rememberChoice(share.surroundings, { model: "smollm2-135m-instruct", swarm: "private", port });
    expect(await look("port")).toMatchObject({
      state: "problem",
      detail: expect.stringContaining(String(port)) as unknown,
    });
  });

  it("can't be tried where Docker is on another computer", async () => {
    const { host: socket = "" } = share.surroundings;
    server = createServer((client) => void client.pipe(connect(socket)).pipe(client)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    share.surroundings = { ...share.surroundings, host: `tcp://127.0.0.1:${port}` };
    expect(await look("engine")).toMatchObject({ state: "ok" });
    expect(await look("port")).toMatchObject({
      state: "unknown",
      detail: expect.stringContaining("another computer") as unknown,
    });
  });
});

describe("the way into the swarm", () => {
  const choose = (swarm: string) => rememberChoice(share.surroundings, { model: "smollm2-135m-instruct", swarm });

  it("needs nobody in one's own", async () => {
    expect(await look("swarm")).toMatchObject({ state: "ok", detail: expect.stringContaining("own") as unknown });
  });

  it("goes through the peers that were joined", async () => {
    const port = await listen();
    choose(peer(port));
    expect(await look("swarm")).toMatchObject({ state: "ok", detail: "Of 1 peers to join by, 1 can be reached." });
    choose(`${peer(port)},${peer(1)}`);
    expect((await look("swarm")).state).toBe("warning");
    choose(peer(1));
    expect(await look("swarm")).toMatchObject({ state: "problem", detail: "Nobody answers at 127.0.0.1 (port 1)." });
  });

  it("can't be told for the public one without the image", async () => {
    choose("public");
    expect(await look("swarm")).toMatchObject({ state: "unknown", pending: true });
  });

  describe("that is public, as a look from the image tells", () => {
    /** The container of the look: what it says, and how it ends. */
    const looked = (record: object, ExitCode = 0) => {
      share.image = {};
      let isRemoved = false;
      const answer = (status: number, body: object) => (_: unknown, response: ServerResponse) =>
        void response.writeHead(status).end(JSON.stringify(body));
      share.others = {
        ...share.others,
        "/networks/create": answer(201, { Id: "net" }),
        "/containers/create": answer(201, { Id: "look" }),
        "/containers/look/start": (_, response) => void response.writeHead(204).end(),
        "/containers/look/logs": (_, response) =>
          void response.end(frame(`2026-01-31T12:00:00.000000000Z ${JSON.stringify(record)}`)),
        "/containers/look/json": (_, response) => {
          if (isRemoved) response.writeHead(404).end("{}");
          else response.end(JSON.stringify({ Id: "look", State: { Status: "exited", ExitCode } }));
        },
        "/containers/look": (_, response) => {
          isRemoved = true;
          response.writeHead(204).end();
        },
      };
    };
    const peers = (...answers: boolean[]) => ({
      servers: [],
      initialPeers: answers.map((answered) => ({ address: "/ip4/10.0.0.7", answered, clockSkewSeconds: null })),
    });
    const failed = (code: string, message: string) => looked({ error: { code, message } }, 1);

    beforeEach(() => choose("public"));

    it.each([
      [[true, true], 0.42, "ok", "Of 2 peers of the public network to join by, 2 can be reached.", " Their clocks"],
      [[true, false, false], null, "warning", "Of 3 peers of the public network to join by, 1 can be reached.", ""],
    ])("counts the peers that answered: %j, %p", async (answers, clockSkewSeconds, state, words, clocks) => {
      looked({ ...peers(...answers), clockSkewSeconds });
      const { detail, ...finding } = await look("swarm");
      expect(finding.state).toBe(state);
      expect(detail).toBe(`${words}${clocks && `${clocks} and this computer's are 0.4 s apart.`}`);
      expect(share.engine.requests.filter((request) => request.startsWith("DELETE"))).toHaveLength(1);
    });

    it("may be silent: then a swarm of one's own is what to do", async () => {
      failed("swarm-unreachable", "None of the swarm's first peers answered.");
      expect(await look("swarm")).toMatchObject({
        ...{ state: "problem", detail: "None of the swarm's first peers answered." },
        hint: new TorbizError("public-swarm-silent", "").hint,
      });
    });

    it("may have another time", async () => {
      failed("clock-skew", "This computer's clock is 60 s ahead of the swarm's.");
      expect(await look("swarm")).toMatchObject({
        ...{ state: "problem", detail: "This computer's clock is 60 s ahead of the swarm's." },
        hint: new TorbizError("clock-skew", "").hint,
      });
    });

    it("may break off, which tells nothing of it", async () => {
      failed("swarm-invalid", "Not an address.");
      expect(await look("swarm")).toMatchObject({ state: "unknown", detail: "Not an address." });
    });
  });
});

test("what a killed command left is ours to remove; another instance's, and what runs, is not", async () => {
  const container = (Id: string, State: string, instance = "") => ({
    ...{ Id, State, Names: [`/torbiz-cache-${Id}`] },
    Labels: { "com.torbiz.managed": "1", "com.torbiz.instance": instance },
  });
  const all = [container("a1", "exited"), container("b2", "running"), container("c3", "exited", "other")];
  const removed: string[] = [];
  share.others["/containers/json"] = (_, response) => void response.end(JSON.stringify(all));
  share.others["/containers/a1/json"] = (_, response) => {
    const ended = {
      Id: "a1",
      Created: "2026-01-31T12:00:00Z",
      State: { Status: "exited", FinishedAt: "2026-01-31T12:00:00Z" },
    };
    if (removed.includes("a1")) response.writeHead(404).end("{}");
    else response.end(JSON.stringify(ended));
  };
  share.others["/containers/a1"] = (_, response) => {
    removed.push("a1");
    response.writeHead(204).end();
  };
  const finding = await look("leftovers");
  expect(finding).toMatchObject({ state: "warning", detail: "Left by commands that were killed: torbiz-cache-a1." });
  await finding.repair?.run({});
  expect(removed).toEqual(["a1"]);
});

describe("this computer", () => {
  it.each([
    [20e9, "ok"],
    [3e9, "warning"],
    [0.5e9, "problem"],
  ])("has room or not: %d bytes are %s", (bytes, state) => {
    expect(roomVerdict(bytes, "here", { hint: "Free some." }).state).toBe(state);
  });

  it("has no room for another build of the image", () => {
    const detail = (free: number, containerdStore: boolean) =>
      roomVerdict(free, "there", { hint: "Free some." }, { containerdStore }).detail;
    expect(detail(4.2e9, true)).toContain("4.2 GB are free there. Building the image from nothing takes 4.3 GB. ");
    expect(detail(4.3e9, true)).not.toContain("Building");
    expect(detail(3.6e9, false)).toContain("Building the image from nothing takes 2.5 GB to 3.7 GB. ");
    expect(detail(3.7e9, false)).not.toContain("Building");
  });

  it("has a Python, or one can be fetched, unless a person chose one", async () => {
    expect((await look("python")).state).toBe("ok");
    const { env } = share.surroundings;
    share.surroundings = { ...share.surroundings, env: { ...env, TORBIZ_PYTHON: "/no/python" } };
    const chosen = await look("python");
    expect(chosen).toMatchObject({ state: "problem", detail: "The chosen Python (/no/python) doesn't run." });
    expect(chosen.repair).toBeUndefined();
  });

  it("has an environment that works, that lost files, or none yet", async () => {
    expect(await look("environment-local")).toMatchObject({ state: "ok", pending: true });
    const { folder } = lookAtAskEnvironment(share.surroundings, "local");
    const made = `${folder}.00000000`;
    mkdirSync(join(made, "bin"), { recursive: true });
    mkdirSync(join(made, "lib", "python3.11", "site-packages"), { recursive: true });
    symlinkSync(made, folder);
    writeFileSync(join(made, "torbiz-content"), "0");
    const program = (script: string) =>
      writeFileSync(join(made, "bin", "python"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    program("echo 1.2.3");
    // Without a model nothing answers.
    expect(await look("environment-local")).toMatchObject({ state: "ok", pending: true });
    const model = findLocalModel("granite-4.1-3b");
    const file = modelFile(share.surroundings.paths, model);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, "");
    truncateSync(file, model.bytes);
    const works = await look("environment-local");
    expect(works).toMatchObject({ state: "ok", detail: "Its Python environment works: xllamacpp 1.2.3." });
    expect(works.pending).toBeUndefined();
    program("echo 'ImportError: no such symbol' >&2; exit 1");
    expect(await look("environment-local")).toMatchObject({
      ...{ state: "problem", detail: "Its Python environment can't import xllamacpp: ImportError: no such symbol" },
      ...{ repair: { title: "Make Environment Anew" } },
    });
    expect(readlinkSync(folder)).toBe(made);
    rmSync(join(made, "bin", "python"));
    expect(await look("environment-local")).toMatchObject({
      state: "problem",
      detail: "Its Python environment has lost files.",
    });
  });

  it("keeps its files and sockets to one user, and makes them private again", async () => {
    expect((await look("files")).state).toBe("ok");
    const { conversations } = share.surroundings.paths;
    chmodSync(conversations, 0o755);
    const finding = await look("files");
    expect(finding).toMatchObject({ state: "warning", detail: expect.stringContaining(conversations) as unknown });
    await finding.repair?.run({});
    expect(statSync(conversations).mode & 0o777).toBe(0o700);
    expect((await look("files")).state).toBe("ok");
  });

  it("keeps each conversation, log and setting to one user, too", async () => {
    const { home, run, logs, conversations, models } = share.surroundings.paths;
    const kept = [join(home, "ask.json"), join(run, "last-choice.json"), join(logs, "a.log")];
    const asked = Array.from({ length: 4 }, (_, index) => join(conversations, `c-${index}.jsonl`));
    for (const path of [...kept, ...asked]) writeFileSync(path, "", { mode: 0o640 });
    // A container's user reads models, a desktop's file is nobody's secret, and what a link leads to isn't ours.
    const others = [
      join(models, "config.json"),
      join(home, ".DS_Store"),
      join(share.surroundings.runtimeFiles, "LICENSE"),
    ];
    for (const path of others.slice(0, 2)) writeFileSync(path, "", { mode: 0o644 });
    symlinkSync(String(others[2]), join(conversations, "link.jsonl"));
    const modes = () => others.map((path) => statSync(path).mode);
    const before = modes();
    const finding = await look("files");
    expect(finding.state).toBe("warning");
    for (const path of kept) expect(finding.detail).toContain(path);
    expect(finding.detail).toMatch(/ and 2 more\.$/);
    // Gone meanwhile.
    rmSync(String(asked[0]));
    await finding.repair?.run({});
    for (const path of [...kept, ...asked.slice(1)]) expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(modes()).toEqual(before);
    expect((await look("files")).state).toBe("ok");
  });
});

test("a report has findings, answers and the ends of logs, and neither tokens nor the home folder", async () => {
  const { paths, home } = share.surroundings;
  share.surroundings = { ...share.surroundings, env: { ...share.surroundings.env, HF_TOKEN: "hf_0123456789abcdef" } };
  writeFileSync(
    join(paths.logs, "a.log"),
    Array.from({ length: 300 }, (_, line) => `line ${line} in ${home} hf_0123456789abcdef\n`).join(""),
  );
  writeFileSync(join(paths.logs, "hf_0123456789abcdef.log"), "by a name that says too much\n");
  const finding: Finding = {
    id: "a",
    title: "A",
    state: "warning",
    detail: `${home}/x`,
    repair: { title: "Mend", run: () => Promise.resolve() },
  };
  const examination: Examination = { healthy: true, findings: [finding], answers: [] };
  const text = reportOf(share.surroundings, examination);
  const report = JSON.parse(text) as { findings: object[]; logs: Record<string, string[]> };
  expect(report.findings).toEqual([{ id: "a", title: "A", state: "warning", detail: "~/x", repair: "Mend" }]);
  expect(report.logs["[token].log"]).toEqual(["by a name that says too much"]);
  expect(report.logs["a.log"]).toHaveLength(200);
  expect(report.logs["a.log"]?.at(-1)).toBe("line 299 in ~ [token]");
  expect(text).not.toContain(home);
  expect(readFileSync(join(paths.logs, "a.log"), "utf8")).toContain(home);
});
