import type { EngineContext } from "../../src/lib/context";
import { LABELS } from "../../src/lib/names";
import { exec, openTestBed, openTestEngine, start, torbiz } from "./torbiz";

/** `kill -9` of the command at any moment leaves nothing broken: the next command adopts or cleans up, and says which. */

let context: EngineContext;
let docker: string;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
});

afterAll(async () => {
  await torbiz(["stop"]);
});

test("while it builds: the build goes on, and the next command follows it", async () => {
  const env = { TORBIZ_INSTANCE: "test-kill" };
  const { names, engine } = await openTestEngine(env);
  try {
    const running = start(["build"], { env });
    await running.waitFor(({ stage }) => stage === "building");
    running.child.kill("SIGKILL");
    await running.ended;

    expect((await torbiz(["status"], { env })).last).toMatchObject({ ok: true, state: "building" });
    const next = await torbiz(["build"], { env });
    expect(next.last).toMatchObject({ ok: true, image: names.image });
    expect(next.events).toContainEqual(expect.objectContaining({ event: "note" }));
    expect((await engine.image(names.image))?.labels[LABELS.managed]).toBe("1");
  } finally {
    await exec(docker, ["rmi", names.image]);
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

test("while it asks: the answer is dropped, and the next question is answered", async () => {
  const running = start(["ask", "Write a long story about a lighthouse."]);
  await running.waitFor(({ event }) => event === "delta");
  running.child.kill("SIGKILL");
  await running.ended;

  expect((await torbiz(["ask", "What is the capital of France?"])).last).toMatchObject({
    ok: true,
    answer: "The capital of France is Paris.",
  });
});

test("Ctrl-C while it asks ends at once with 130, and the share goes on", async () => {
  const running = start(["ask", "Write a long story about a lighthouse."]);
  await running.waitFor(({ event }) => event === "delta");
  running.child.kill("SIGINT");
  expect((await running.ended).code).toBe(130);
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
