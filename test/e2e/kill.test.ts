import type { EngineContext } from "../../src/lib/context";
import { LABELS } from "../../src/lib/names";
import { HeldDocker } from "./held-docker";
import { leftBehind } from "./left-behind";
import { exec, openTestBed, openTestEngine, start, torbiz } from "./torbiz";

/** `kill -9` of the command at any moment leaves nothing broken: the next command adopts or cleans up, and says which. */

let context: EngineContext;
let docker: string;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
});

afterAll(async () => {
  await torbiz(["stop"]);
  expect(await leftBehind(context)).toEqual([]);
});

test("while it builds: the build goes on, and the next command follows it", async () => {
  const held = new HeldDocker(docker);
  const env = { TORBIZ_INSTANCE: "test-kill", PATH: `${held.folder}:${process.env.PATH}` };
  const { names, engine } = await openTestEngine(env);
  held.hold();
  try {
    const running = start(["build"], { env });
    await running.waitFor(({ stage }) => stage === "building");
    running.child.kill("SIGKILL");
    await running.ended;

    expect((await torbiz(["status"], { env })).last).toMatchObject({ ok: true, state: "building" });
    const next = start(["build"], { env });
    await next.waitFor(({ stage }) => stage === "building");
    held.release();
    const { last, events } = await next.ended;
    expect(last).toMatchObject({ ok: true, image: names.image });
    expect(events).toContainEqual(expect.objectContaining({ event: "note" }));
    expect((await engine.image(names.image))?.labels[LABELS.managed]).toBe("1");
  } finally {
    held.remove();
    await torbiz(["stop"], { env });
    await exec(docker, ["rmi", names.image]).catch(() => undefined); // where none came to be, that was told
  }
});

test("while it starts: the container goes on, and the next command adopts it", async () => {
  const running = start(["share"]);
  await running.waitFor(({ stage }) => stage === "connecting");
  running.child.kill("SIGKILL");
  await running.ended;

  const next = await torbiz(["share"]);
  expect(next.last).toMatchObject({ ok: true, adopted: true, state: "online" });
  expect(next.events).toContainEqual(expect.objectContaining({ event: "note" }));
});

const STORY = ["ask", "--engine", "swarm", "Write a long story about a lighthouse.", "--max-tokens", "100"];

test("while it asks: the answer goes on without it, and can be read to its end", async () => {
  const running = start(STORY);
  await running.waitFor(({ event }) => event === "delta");
  running.child.kill("SIGKILL");
  const { events } = await running.ended;
  const seen = events.map(({ event, text }) => (event === "delta" ? String(text) : "")).join("");

  const { last } = await torbiz(["ask", "--continue", "--max-tokens", "10"]);
  expect(last).toMatchObject({ ok: true, answer: expect.stringMatching(/^\S/) });
  expect(String(last.answer).startsWith(seen)).toBe(true);
});

test("Ctrl-C while it asks ends at once with 130 and keeps the part, and the share goes on", async () => {
  const running = start(STORY);
  await running.waitFor(({ event }) => event === "delta");
  running.child.kill("SIGINT");
  const { code, last } = await running.ended;
  expect(code).toBe(130);
  expect(last).toMatchObject({ ok: true, finishReason: "stopped", answer: expect.stringMatching(/^\S/) });
  expect((await torbiz(["conversations", "show"])).last).toMatchObject({
    messages: [{ role: "user" }, { role: "assistant", content: last.answer, reason: "stopped" }],
  });
  expect((await torbiz(["status"])).last).toMatchObject({ state: "online" });
});

test("between making and starting the container: the next command cleans up and says so", async () => {
  await torbiz(["stop"]);
  const { container, image } = context.names;
  await exec(docker, ["create", "--name", container, "--label", `${LABELS.managed}=1`, image, "--help"]);
  const { last, events } = await torbiz(["share", "--no-wait"]);
  expect(last).toMatchObject({ ok: true, adopted: false });
  expect(events).toContainEqual(
    expect.objectContaining({ event: "note", message: expect.stringContaining("had made but not started") }),
  );
});
