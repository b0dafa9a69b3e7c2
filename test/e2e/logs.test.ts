import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineContext } from "../../src/lib/context";
import { FaultySocket } from "../faulty-socket";
import { exec, openTestBed, start, torbiz } from "./torbiz";

/** `torbiz logs` of a real container, through a way to the engine that is cut. */

const LINES = 300;
/** Both streams, and several lines of one moment. Each hundred waits for a file. */
const SAYS = `
  i=0
  while [ $i -lt ${LINES} ]; do
    i=$((i+1))
    echo "2026-01-31T12:00:00.000Z INFO torbiz.seeder: line $i"
    [ $((i % 10)) -ne 0 ] || { echo "2026-01-31T12:00:00.000Z WARN petals.server: slow $i" >&2; sleep 0.05; }
    [ $((i % 100)) -ne 0 ] || while [ ! -e /tmp/after-$i ]; do sleep 0.1; done
  done`;

let context: EngineContext;
let docker: string;
let folder: string;
let proxy: FaultySocket;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
  folder = mkdtempSync(join(tmpdir(), "torbiz-logs-"));
  proxy = new FaultySocket(join(folder, "docker.sock"), context.endpoint.socketPath ?? "");
  await proxy.start();
  const labels = ["--label", "com.torbiz.managed=1", "--label", "com.torbiz.model=smollm2-135m-instruct"];
  const { image, container } = context.names;
  await exec(docker, ["run", "-d", "--init", "--name", container, ...labels, "--entrypoint", "sh", image, "-c", SAYS]);
});

afterAll(async () => {
  await proxy.stop();
  await exec(docker, ["rm", "-f", context.names.container]);
  rmSync(folder, { recursive: true, force: true });
});

/** Takes the engine away, lets the container write on meanwhile, and brings the engine back. */
async function cutAfter(line: number, ms: number): Promise<void> {
  await proxy.stop();
  await writeOn(line);
  await sleep(ms);
  await proxy.start();
}

const writeOn = (line: number) => exec(docker, ["exec", context.names.container, "touch", `/tmp/after-${line}`]);

test("is followed through cuts, to its end: each stream whole, in order, and nothing twice", async () => {
  const following = start(["logs", "-f", "--docker-host", `unix://${folder}/docker.sock`]);
  await following.waitFor(({ text }) => String(text).endsWith("line 100"));
  await cutAfter(100, 500);
  await following.waitFor(({ text }) => String(text).endsWith("line 200"));
  await cutAfter(200, 2_000);
  await writeOn(LINES);
  const { code, events } = await following.ended;
  expect(code).toBe(0);
  const of = (stream: string) =>
    events.filter((event) => event.stream === stream).map(({ text }) => String(text).split(": ")[1]);
  expect(of("stdout")).toEqual(Array.from({ length: LINES }, (_, index) => `line ${index + 1}`));
  expect(of("stderr")).toEqual(Array.from({ length: LINES / 10 }, (_, index) => `slow ${(index + 1) * 10}`));
  expect(events.filter(({ event }) => event === "note")).toHaveLength(2);
});

test("what has ended is chosen from by time and level, and exported", async () => {
  const warnings = await torbiz(["logs", "--level", "warning"]);
  expect(warnings.last).toMatchObject({ event: "result", lines: LINES / 10 });
  expect((await torbiz(["logs", "--since", "1h", "--level", "error"])).last).toMatchObject({ lines: 0 });
  expect((await torbiz(["logs", "--since", "1h"])).last).toMatchObject({ lines: LINES * 1.1 });
  expect((await torbiz(["logs", "-n", "7"])).last).toMatchObject({ lines: 7 });
  const file = join(folder, "log.txt");
  expect((await torbiz(["logs", "--export", file])).last).toMatchObject({ lines: LINES * 1.1, path: file });
  expect(readFileSync(file, "utf8").trimEnd().split("\n")).toHaveLength(LINES * 1.1);
});
