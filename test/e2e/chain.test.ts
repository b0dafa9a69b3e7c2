import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerInspectInfo } from "dockerode";
import type { EngineContext } from "../../src/lib/context";
import { LABELS } from "../../src/lib/names";
import type { ContributedDay } from "../../src/lib/sharing/contribution";
import { finishSharing } from "../../src/lib/sharing/finish";
import { lastChoice } from "../../src/lib/sharing/last-choice";
import { readStatus } from "../../src/lib/sharing/status";
import { type Event, exec, openDoor, openTestBed, ROOT, start, torbiz } from "./torbiz";

/**
 * The whole chain with the real engine, the real Petals and the real model, through the real command, in the order in which
 * a person meets it.
 */

const QUESTION = "What is the capital of France?";
const ANSWER = "The capital of France is Paris.";
const STORY = "Tell me a very long story about a lighthouse keeper.";
const ASK = ["ask", "--engine", "swarm", "--temperature", "0"];

let context: EngineContext;
let docker: string;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
});

afterAll(async () => {
  await torbiz(["stop"]);
});

async function inspect(): Promise<ContainerInspectInfo> {
  const container = await context.engine.inspect(context.names.container);
  if (!container) throw new Error("there is no container");
  return container;
}

function deltas(events: readonly Event[]): string {
  return events
    .filter(({ event }) => event === "delta")
    .map(({ text }) => String(text))
    .join("");
}

test("builds the image, with progress that never goes back", async () => {
  const { code, events, last } = await torbiz(["build"]);
  expect(last).toMatchObject({ event: "result", ok: true, image: context.names.image });
  expect(code).toBe(0);
  const progress = events.filter(({ stage }) => stage === "building").map((event) => Number(event.progress ?? 0));
  expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  expect(Number(last.sizeBytes)).toBeLessThanOrEqual(1_500_000_000);

  const again = await torbiz(["build"]);
  expect(again.last).toMatchObject({ ok: true, built: false });
});

let peerId: unknown;

test("shares until it is online, as one status tells", async () => {
  const { code, events, last } = await torbiz(["share"]);
  expect(last).toMatchObject({
    event: "result",
    ok: true,
    adopted: false,
    state: "online",
    stage: "online",
    model: "smollm2-135m-instruct",
    blocks: { loaded: 30, total: 30, start: 0, end: 30 },
    health: "ok",
  });
  expect(code).toBe(0);
  peerId = last.peerId;
  expect(last.addresses).toEqual([`/ip4/127.0.0.1/tcp/${context.names.port}/p2p/${String(peerId)}`]);
  expect(events.map(({ stage }) => stage)).toEqual(
    expect.arrayContaining(["starting", "joining", "loading", "online"]),
  );

  const status = await torbiz(["status"]);
  expect(status.last).toMatchObject({ state: "online", peerId, sessions: 0, since: last.since });
});

test("the seeder's report stays under 2 KB and its log has one line a fact", async () => {
  const { State } = await inspect();
  const report = State.Health?.Log.at(-1)?.Output ?? "";
  expect(JSON.parse(report)).toMatchObject({ stage: "online" });
  expect(Buffer.byteLength(report)).toBeLessThan(2048);

  const { events, last } = await torbiz(["logs", "-n", "500"]);
  expect(last).toMatchObject({ ok: true });
  const lines = events.filter(({ event }) => event === "log").map(({ text }) => String(text));
  expect(lines.length).toBeGreaterThan(10);
  for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z (INFO|WARN|WARNING|ERROR) [\w.]+: \S/);
});

let swarmAnswer = "";

test("asks through the swarm and streams the answer", async () => {
  const { code, events, last } = await torbiz([...ASK, QUESTION]);
  expect(last).toMatchObject({ event: "result", ok: true, answer: ANSWER, finishReason: "stop" });
  expect(code).toBe(0);
  swarmAnswer = deltas(events);
  expect(swarmAnswer).toBe(ANSWER);
  expect(events.filter(({ event }) => event === "delta").length).toBeGreaterThan(3);
});

test("a question from stdin is asked the same", async () => {
  const { last } = await torbiz([...ASK, "-"], { input: `${QUESTION}\n` });
  expect(last).toMatchObject({ ok: true, answer: ANSWER });
});

test("token for token, the answer is what transformers gives for the same weights", async () => {
  const questions = [QUESTION, "Write two sentences about the sea."];
  const python = readFileSync(join(ROOT, "test/e2e/transformers-answer.py"), "utf8");
  const environment = (await exec("ls", [context.paths.envs])).stdout
    .split("\n")
    .find((name) => /^swarm-\w{16}$/.test(name));
  const folder = join(context.paths.models, "smollm2-135m-instruct", "petals");
  const { stdout } = await exec(
    join(context.paths.envs, String(environment), "bin/python"),
    ["-c", python, folder, ...questions],
    {
      env: { ...process.env, HF_HUB_OFFLINE: "1", GOMP_SPINCOUNT: "300" },
    },
  );
  // Asked last: the next test looks at the sessions that are kept of them for a while.
  const answers: { answer: unknown; tokens: unknown }[] = [];
  for (const question of questions) {
    const { answer, tokens } = (await torbiz([...ASK, question])).last;
    answers.push({ answer, tokens });
  }
  expect(answers).toEqual(JSON.parse(stdout));
});

test("sessions and tokens are counted", async () => {
  // The engine reads the report every 5 s.
  for (let tries = 0; tries < 40; tries += 1) {
    const { last } = await torbiz(["status"]);
    // The sessions of the last two conversations are kept for what may be asked next.
    if (Number(last.tokens) > 30 && last.sessions === 2) return;
    await sleep(500);
  }
  throw new Error(`the counters never came: ${JSON.stringify(readStatus(await inspect()))}`);
});

test("sharing what is shared already adopts it; something else is refused", async () => {
  const again = await torbiz(["share"]);
  expect(again.last).toMatchObject({ ok: true, adopted: true, peerId });
  expect(again.events).toContainEqual(expect.objectContaining({ event: "note" }));

  const other = await torbiz(["share", "--blocks", "3"]);
  expect(other.last).toMatchObject({ ok: false, code: "already-sharing" });
  expect(other.code).toBe(1);
});

test("a finish in the middle of an answer: the answer is whole, then the share has ended and peers were told", async () => {
  const asking = start([...ASK, STORY, "--max-tokens", "100"]);
  await asking.waitFor(({ event }) => event === "delta");
  const finishing = start(["stop", "--finish", "--within", "4"]);
  const { message } = await finishing.waitFor(({ message }) => String(message).includes("answer on its way"));
  expect(message).toMatch(/^Finishing: [1-3] answers? on (its|their) way, at most until \d\d:\d\d$/);
  expect((await torbiz(["status"])).last).toMatchObject({ state: "finishing", finishBy: expect.any(String) });

  const whole = await asking.ended;
  expect(whole.last).toMatchObject({ ok: true, tokens: 100, finishReason: "length" });
  const { code, last } = await finishing.ended;
  expect(last).toMatchObject({ ok: true, stopped: true, announcedOffline: true, forced: false, exitCode: 0 });
  expect(last.message).toBe("Finished: every answer came to its end. Peers were told.");
  expect(code).toBe(0);
  expect(await context.engine.inspect(context.names.container)).toBeUndefined();

  // What it gave was copied out of the volume by then.
  const { today, days } = (await torbiz(["stats"])).last as unknown as { today: ContributedDay; days: object };
  expect(today.tokens).toBeGreaterThan(100);
  expect(today.sessions).toBeGreaterThan(2);
  expect(today.onlineSeconds).toBeGreaterThan(10);
  expect(Object.keys(days)).toHaveLength(1);
});

test("an endless answer is ended at the limit; what has finished by itself is cleaned up by the next start", async () => {
  expect((await torbiz(["share"])).last).toMatchObject({ ok: true, state: "online", peerId });
  const asking = start([...ASK, STORY, "--max-tokens", "2000"]);
  await asking.waitFor(({ event }) => event === "delta");
  expect(await finishSharing(context, { withinSeconds: 2, follow: false })).toMatchObject({ finishing: true });
  await exec(docker, ["wait", context.names.container]);
  expect((await inspect()).State).toMatchObject({ Status: "exited", ExitCode: 0 });
  // It looks for other peers, of which there are none.
  expect((await asking.ended).last).toMatchObject({ ok: false, code: "missing-blocks" });

  const { events, last } = await torbiz(["share"]);
  const notes = events.filter(({ event }) => event === "note").map(({ message }) => String(message));
  expect(notes).toContainEqual(expect.stringMatching(/^Removed the container of an earlier share .+ Its log: /));
  const [, log = ""] = /Its log: (.+)$/.exec(notes.join("\n")) ?? [];
  expect(readFileSync(log, "utf8")).toContain("The time is over: answers that break off: 1");
  expect(last).toMatchObject({ ok: true, state: "online", peerId });
});

test("stops gracefully: peers are told, exit code 0, the log is kept, the container is gone", async () => {
  const { code, last } = await torbiz(["stop"]);
  expect(last).toMatchObject({ ok: true, stopped: true, announcedOffline: true, forced: false, exitCode: 0 });
  expect(code).toBe(0);
  expect(readFileSync(String(last.log), "utf8")).toContain("Announced OFFLINE: blocks 0:30");
  expect(await context.engine.inspect(context.names.container)).toBeUndefined();

  expect((await torbiz(["status"])).last).toMatchObject({ ok: true, state: "absent" });
  expect((await torbiz(["stop"])).last).toMatchObject({ ok: true, stopped: false });
  const logs = await torbiz(["logs", "-n", "5"]);
  expect(logs.events.filter(({ event }) => event === "log")).toHaveLength(5);
  expect((await torbiz([...ASK, QUESTION])).last).toMatchObject({ ok: false, code: "no-swarm" });
});

test("shares again at once: the same peer, and a bare `docker stop` is as graceful", async () => {
  const { last } = await torbiz(["share", "--blocks", "12"]);
  expect(last).toMatchObject({ ok: true, state: "online", peerId, blocks: { total: 12 } });

  // What the volume keeps is used: the speed isn't measured again.
  const log = (await torbiz(["logs", "-n", "500"])).events.map(({ text }) => String(text)).join("\n");
  expect(log).toContain("Loading throughput info");
  expect(log).not.toContain("Measuring network and compute throughput");

  const missing = await torbiz([...ASK, QUESTION]);
  expect(missing.last).toMatchObject({ ok: false, code: "missing-blocks" });

  await exec(docker, ["stop", context.names.container]);
  const { State } = await inspect();
  expect(State).toMatchObject({ Status: "exited", ExitCode: 0 });
  expect((await exec(docker, ["logs", context.names.container])).stderr).toContain("Announced OFFLINE");
  expect((await torbiz(["status"])).last).toMatchObject({ state: "exited", exitCode: 0 });

  const { events, last: after } = await torbiz(["share", "--no-wait"]);
  expect(events).toContainEqual(
    expect.objectContaining({ event: "note", message: expect.stringContaining("Removed the container") }),
  );
  expect(after).toMatchObject({ ok: true, adopted: false });
});

test("stops as gracefully while it still loads", async () => {
  // A signal before the seeder's first words is answered by Python itself.
  while (!(await exec(docker, ["logs", context.names.container])).stderr.includes("Stage: starting")) await sleep(100);
  const { last } = await torbiz(["stop"]);
  expect(last).toMatchObject({ ok: true, stopped: true, forced: false, exitCode: 0 });
});

test("`stop --now` kills it and says so", async () => {
  await torbiz(["share", "--no-wait"]);
  const { last } = await torbiz(["stop", "--now"]);
  expect(last).toMatchObject({ ok: true, stopped: true, forced: true, exitCode: 137, announcedOffline: false });
});

test("Ctrl-C while it starts stops what was started and exits with 130", async () => {
  const running = start(["share"]);
  await running.waitFor(({ stage }) => stage === "loading" || stage === "connecting");
  running.child.kill("SIGINT");
  const { code, last } = await running.ended;
  expect(code).toBe(130);
  expect(last).toMatchObject({ event: "error", ok: false, code: "interrupted" });
  expect(await context.engine.inspect(context.names.container)).toBeUndefined();
});

test("an adopted share is remembered by its own swarm, not by the default one", async () => {
  const { address: nobody, close } = await openDoor();
  await torbiz(["share", "--swarm", nobody, "--no-wait"]);
  expect((await torbiz(["share", "--no-wait"])).last).toMatchObject({ ok: true, adopted: true, swarm: nobody });
  expect(lastChoice(context)).toMatchObject({ swarm: nobody });
  await torbiz(["stop"]);
  close();
});

test("two commands that share at once end with one container; two that stop at once both end well", async () => {
  const both = await Promise.all([torbiz(["share"]), torbiz(["share"])]);
  expect(both.map(({ last }) => last.state)).toEqual(["online", "online"]);
  expect(both.map(({ last }) => last.adopted).toSorted()).toEqual([false, true]);
  const stops = await Promise.all([torbiz(["stop"]), torbiz(["stop"])]);
  expect(stops.map(({ code }) => code)).toEqual([0, 0]);
  expect(stops.some(({ last }) => last.stopped === true && last.announcedOffline === true)).toBe(true);
  expect(await context.engine.inspect(context.names.container)).toBeUndefined();
});

test("Ctrl-C while it waits for a question on stdin ends it", async () => {
  const running = start([...ASK, "-"], { input: null });
  await running.waitFor(({ message }) => String(message).startsWith("Waiting for the end"));
  running.child.kill("SIGINT");
  const { code, last } = await running.ended;
  expect(code).toBe(130);
  expect(last).toMatchObject({ ok: false, code: "interrupted" });
});

test("the useful commands work on ours, in their order", async () => {
  const { container, image } = context.names;
  await torbiz(["share", "--no-wait"]);
  expect((await exec(docker, ["info"])).stdout).toContain("Server Version");
  expect((await exec(docker, ["ps"])).stdout).toContain(container);
  // It may just have started, and has said nothing yet.
  let logs = "";
  for (const end = Date.now() + 60_000; !logs.includes("torbiz.seeder: Starting") && Date.now() < end;) {
    const { stdout, stderr } = await exec(docker, ["logs", container]);
    logs = stdout + stderr;
    await sleep(200);
  }
  expect(logs).toContain("torbiz.seeder: Starting");
  await exec(docker, ["stop", container]);
  await exec(docker, ["rm", container]);
  expect((await torbiz(["status"])).last).toMatchObject({ state: "absent" });
  // A second name keeps the layers, so that what comes after doesn't build for minutes.
  await exec(docker, ["tag", image, `${image}-kept`]);
  await exec(docker, ["rmi", image]);
  expect(await context.engine.image(image)).toBeUndefined();
  await exec(docker, ["tag", `${image}-kept`, image]);
  await exec(docker, ["rmi", `${image}-kept`]);
  expect((await context.engine.image(image))?.labels[LABELS.managed]).toBe("1");
});

test("quickstart answers here, runs the whole chain and leaves nothing running", async () => {
  const { code, events, last } = await torbiz(["quickstart", "--set-up"]);
  expect(last).toMatchObject({
    event: "result",
    ok: true,
    answer: ANSWER,
    engine: { kind: "swarm" },
    here: { answer: ANSWER, engine: { kind: "this", where: "This Computer" } },
    sharing: { ok: true },
    stop: { announcedOffline: true, exitCode: 0 },
  });
  expect(code).toBe(0);
  expect(deltas(events)).toBe(ANSWER + ANSWER);
  expect(Number(last.tokensPerSecond)).toBeGreaterThan(0);
  expect((last.stages as { name: string }[]).map(({ name }) => name)).toEqual(
    expect.arrayContaining(["loading", "stopping"]),
  );
  expect(await context.engine.inspect(context.names.container)).toBeUndefined();
});

test("quickstart answers here where no Docker can be had, and then tells what sharing needs", async () => {
  const { code, events, last } = await torbiz(["quickstart", "--set-up"], {
    env: { DOCKER_HOST: "unix:///nonexistent/docker.sock" },
  });
  expect(last).toMatchObject({
    event: "result",
    ok: true,
    answer: ANSWER,
    engine: { kind: "this" },
    sharing: { ok: false, code: "docker-not-running", hint: expect.stringMatching(/\S/) },
  });
  expect(code).toBe(0);
  expect(deltas(events)).toBe(ANSWER);
  const lastPiece = events.findLastIndex(({ event }) => event === "delta");
  expect(events.findIndex(({ stage }) => stage === "preflight")).toBeGreaterThan(lastPiece);
});
