import { readFileSync } from "node:fs";
import { finishText } from "../../../src/lib/sharing/finish-text";
import { noticesOf } from "../../../src/lib/sharing/notices";
import { readStatus, STAGES, type InspectedContainer } from "../../../src/lib/sharing/status";

const LABELS = {
  "com.torbiz.managed": "1",
  "com.torbiz.model": "smollm2-135m-instruct",
  "com.torbiz.swarm": "private",
  "com.torbiz.port": "31330",
};

const REPORT = {
  stage: "online",
  model: "smollm2-135m-instruct",
  time: "2026-01-31T12:00:00.000Z",
  message: null,
  code: null,
  blocks: { loaded: 30, total: 30, start: 0, end: 30 },
  modelBlocks: 30,
  peerId: "QmPeer",
  addresses: ["/ip4/127.0.0.1/tcp/31330/p2p/QmPeer"],
  reachability: "local",
  sessions: 2,
  tokens: 120,
  throughput: 301.2,
  since: "2026-01-31T11:00:00.000Z",
  active: 1,
  served: 12.5,
  lastActivity: "2026-01-31T11:59:00.000Z",
  finishBy: null,
  notices: ["slow"],
  swarm: {
    peers: 2,
    coverage: [
      [1, 12],
      [0, 4],
      [3, 1],
    ],
  },
};

/** The part of an inspect answer that matters, as engine 20.10 gives it. */
function container(
  state: Record<string, unknown>,
  {
    output,
    checkedAt = "2026-01-31T12:00:03Z",
    labels = LABELS,
  }: { output?: string; checkedAt?: string; labels?: object } = {},
): InspectedContainer {
  return {
    Config: { Image: "someone/else:1", Labels: labels },
    State: {
      Running: state.Status === "running",
      ExitCode: 0,
      Error: "",
      ...state,
      Health: output === undefined ? undefined : { Status: "healthy", Log: [{ End: checkedAt, Output: output }] },
    },
  } as InspectedContainer;
}

const running = { Status: "running" };

test("without a container nothing is shared", () => {
  expect(readStatus(undefined).state).toBe("absent");
});

test("a container without our label is foreign, whatever it does", () => {
  const status = readStatus(container(running, { output: JSON.stringify(REPORT), labels: {} }));
  expect(status).toMatchObject({ state: "foreign", model: null, peerId: null });
  expect(status.message).toContain("someone/else:1");
});

test("an online server's whole report is told", () => {
  expect(readStatus(container(running, { output: JSON.stringify(REPORT) }))).toEqual({
    state: "online",
    stage: "online",
    model: "smollm2-135m-instruct",
    revision: null,
    swarm: "private",
    port: 31330,
    blocks: { loaded: 30, total: 30, start: 0, end: 30 },
    download: null,
    peerId: "QmPeer",
    addresses: ["/ip4/127.0.0.1/tcp/31330/p2p/QmPeer"],
    reachability: "local",
    sessions: 2,
    tokens: 120,
    throughput: 301.2,
    since: "2026-01-31T11:00:00.000Z",
    active: 1,
    served: 12.5,
    lastActivity: "2026-01-31T11:59:00.000Z",
    finishBy: null,
    notices: ["slow"],
    glance: { peers: 2, online: [...Array<number>(12).fill(1), ...Array<number>(4).fill(0), 3] },
    health: "ok",
    exitCode: null,
    message: null,
    build: null,
    lastBuild: null,
  });
});

test.each(["starting", "connecting", "measuring", "joining", "loading", "checking"])(
  "%s is not yet online",
  (stage) => {
    expect(readStatus(container(running, { output: JSON.stringify({ ...REPORT, stage }) }))).toMatchObject({
      state: "starting",
      stage,
    });
  },
);

test.each(["stopping", "stopped"])("%s is stopping as long as the container runs", (stage) => {
  expect(readStatus(container(running, { output: JSON.stringify({ ...REPORT, stage }) })).state).toBe("stopping");
});

test("the container's state outranks the last report", () => {
  const ended = container({ Status: "exited", ExitCode: 1 }, { output: JSON.stringify(REPORT) });
  expect(readStatus(ended)).toMatchObject({ state: "exited", exitCode: 1, sessions: 0, peerId: null });
});

test("a report much older than the check that read it is stale", () => {
  const status = readStatus(container(running, { output: JSON.stringify(REPORT), checkedAt: "2026-01-31T12:05:00Z" }));
  expect(status.health).toBe("stale");
  expect(status.message).toContain("frozen");
});

test("a check that took too long, as in a computer's sleep, hides no report", () => {
  const Log = [
    { End: "2026-01-31T12:00:03Z", Output: JSON.stringify(REPORT) },
    { End: "2026-01-31T12:01:33Z", Output: "Health check exceeded timeout (3s)" },
  ];
  const status = readStatus({ Config: { Labels: LABELS }, State: { Status: "running", Health: { Log } } });
  expect(status).toMatchObject({ state: "online", health: "stale" });
});

test.each([["running"], ["paused"], ["exited"]])(
  "after a restart of the same container no report of its run before counts: %s",
  (Status) => {
    const check = (Start: string, stage: string) => ({
      ...{ Start, End: Start, ExitCode: 0 },
      Output: JSON.stringify({ ...REPORT, stage }),
    });
    // Engines give the checks' times by their own clock's zone.
    const before = check("2026-01-31T13:00:00.123456789+01:00", "finishing");
    const read = (...Log: object[]) =>
      readStatus({
        Config: { Labels: LABELS },
        State: { Status, StartedAt: "2026-01-31T12:00:04.2Z", ExitCode: 0, Health: { Status: "starting", Log } },
      });
    const ended = "It ended by itself or was stopped.";
    const first = { running: { state: "starting" }, paused: { peerId: null }, exited: { message: ended } }[Status];
    expect(read(before)).toMatchObject({ stage: Status === "exited" ? null : "starting", ...first });
    const second = { running: { state: "online" }, paused: { stage: "online" }, exited: { message: ended } }[Status];
    expect(read(before, check("2026-01-31T12:00:09Z", "online"))).toMatchObject(second ?? {});
  },
);

test("where the engine can't run its checks any more nobody knows what it does; where there is no file yet it starts", () => {
  const read = (ExitCode: number, Output: string) => {
    const Log = Array.from({ length: 5 }, () => ({ Start: "2026-01-31T12:00:00Z", ExitCode, Output }));
    return readStatus({ Config: { Labels: LABELS }, State: { ...running, Health: { Status: "unhealthy", Log } } });
  };
  expect(read(-1, "Health check exceeded timeout (3s)")).toMatchObject({
    state: "unknown",
    message: expect.stringContaining("isn't known"),
  });
  expect(read(1, "cat: /tmp/torbiz/status.json: No such file or directory")).toMatchObject({ state: "starting" });
});

test.each([
  ["no check yet", undefined],
  ["the check failed", "cat: can't open '/tmp/torbiz/status.json': No such file or directory"],
  ["cut off", JSON.stringify(REPORT).slice(0, 100)],
  ["not an object", "null"],
  ["of another kind", '{"hello":1}'],
])("a report that is missing or broken means starting: %s", (_, output) => {
  expect(readStatus(container(running, { output }))).toMatchObject({ state: "starting", peerId: null, blocks: null });
});

test.each([
  ["nobody knows yet", null],
  ["of another kind", "many"],
  ["no peers", { coverage: [[1, 1]] }],
  ["no runs", { peers: 1, coverage: [1, 2] }],
  ["a negative run", { peers: 1, coverage: [[1, -1]] }],
  ["more blocks than there could be", { peers: 1, coverage: [[1, 1e9]] }],
])("a glance at the swarm that can't be read is none: %s", (_, swarm) => {
  const status = readStatus(container(running, { output: JSON.stringify({ ...REPORT, swarm }) }));
  expect(status).toMatchObject({ state: "online", glance: null });
});

test("fields of the wrong type are left out rather than trusted", () => {
  const odd = {
    ...REPORT,
    blocks: { loaded: "30" },
    addresses: [1, "/ip4/1.2.3.4/tcp/1"],
    sessions: "2",
    throughput: null,
  };
  expect(readStatus(container(running, { output: JSON.stringify(odd) }))).toMatchObject({
    state: "online",
    blocks: null,
    addresses: ["/ip4/1.2.3.4/tcp/1"],
    sessions: 0,
    throughput: null,
  });
});

test.each([
  [{ Status: "exited", ExitCode: 137, OOMKilled: true }, "ran out of memory"],
  [{ Status: "exited", ExitCode: 137 }, "killed"],
  [{ Status: "exited", ExitCode: 0 }, "ended by itself or was stopped"],
  [{ Status: "exited", ExitCode: 3 }, "exit code 3"],
])("why it ended is told: %j", (state, words) => {
  expect(readStatus(container(state)).message).toContain(words);
});

test.each([
  [
    "driver failed on endpoint x: Bind for 0.0.0.0:1 failed: port is already allocated",
    "The port is in use by another program.",
  ],
  ["listen tcp4 0.0.0.0:31330: bind: address already in use", "The port is in use by another program."],
  ["OCI runtime create failed: runc did not terminate", "Docker couldn't start the container."],
])("a container that was made but couldn't start tells why in plain words: %s", (Error, message) => {
  const status = readStatus(container({ Status: "created", ExitCode: 128, Error }));
  expect(status).toMatchObject({ state: "exited", exitCode: 128, message });
});

test.each([
  [{}, "foreign"],
  [{ Config: null, State: null }, "foreign"],
  [{ Config: { Labels: LABELS } }, "unknown"],
  [{ Config: { Labels: LABELS }, State: {} }, "unknown"],
  [{ Config: { Labels: LABELS }, State: { Status: "exited" } }, "exited"],
  [{ Config: { Labels: LABELS }, State: { Status: "running", Health: null } }, "starting"],
  [{ Config: { Labels: LABELS }, State: { Status: "running", Health: { Log: null } } }, "starting"],
  [{ Config: { Labels: LABELS }, State: { Status: "running", Health: { Log: [{}] } } }, "starting"],
  [{ Config: { Labels: { "com.torbiz.managed": "1" } }, State: { Status: "running" } }, "starting"],
])("what an engine leaves out is no failure: %j", (answer: InspectedContainer, state) => {
  const status = readStatus(answer);
  expect(status).toMatchObject({ state, exitCode: null, blocks: null });
  expect(JSON.stringify(status)).not.toContain("undefined");
});

test("a paused container is not called online", () => {
  const status = readStatus(container({ Status: "paused" }, { output: JSON.stringify(REPORT) }));
  expect(status.state).toBe("paused");
});

test("a download is told as far as it is, and one that isn't whole not at all", () => {
  const download = { file: "a.safetensors", done: 5, total: 10, files: 2, filesDone: 1, bytesPerSecond: null };
  const read = (told: unknown) =>
    readStatus(container(running, { output: JSON.stringify({ ...REPORT, stage: "downloading", download: told }) }));
  expect(read(download)).toMatchObject({ state: "starting", stage: "downloading", download });
  for (const other of [null, "half", { ...download, done: "5" }, { ...download, file: undefined }]) {
    expect(read(other).download).toBeNull();
  }
});

/** The values of a `Literal` in the seeder's own status module. */
function literals(name: string): string[] {
  const source = readFileSync("python/torbiz/status.py", "utf8");
  const [, values = ""] = new RegExp(`^${name} = Literal\\[([^\\]]+)\\]`, "m").exec(source) ?? [];
  return [...values.matchAll(/"([a-z-]+)"/g)].map(([, value]) => String(value));
}

test("the seeder's stages are these", () => {
  // A download is a part of loading to those who watch.
  const started = STAGES.flatMap(({ stage }) => (stage === "loading" ? ["downloading", stage] : [stage]));
  expect(literals("Stage")).toEqual([...started, "finishing", "stopping", "stopped"]);
});

test("every notice of the seeder has words; an unknown one is left out", () => {
  const notices = literals("Notice");
  expect(notices).toContain("slow");
  expect(noticesOf({ notices })).toHaveLength(notices.length);
  expect(noticesOf({ notices: ["of-a-newer-seeder"] })).toEqual([]);
});

test("a finish is a state of its own, with what is on its way and until when", () => {
  const finishBy = new Date(2026, 0, 31, 14, 5).toISOString();
  const report = { ...REPORT, stage: "finishing", active: 1, finishBy, notices: ["slow", 7], served: 12.5 };
  const status = readStatus(container(running, { output: JSON.stringify(report) }));
  expect(status).toMatchObject({ state: "finishing", active: 1, finishBy, notices: ["slow"], served: 12.5 });
  expect(finishText(status)).toBe("1 answer on its way, at most until 14:05");
  expect(finishText({ active: 2, finishBy: null })).toBe("2 answers on their way");

  const ended = container({ Status: "exited", ExitCode: 0 }, { output: JSON.stringify(report) });
  expect(readStatus(ended)).toMatchObject({ state: "exited", exitCode: 0, message: "It has finished." });
});
