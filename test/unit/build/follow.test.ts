import { spawnSync } from "node:child_process";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { cancelBuild, followBuild } from "../../../src/lib/docker/build/follow";
import { lastBuild } from "../../../src/lib/docker/build/last-build";
import { buildFiles, currentBuild } from "../../../src/lib/docker/build/lock";
import { manualBuildCommand } from "../../../src/lib/docker/build/manual";
import { peekBuild } from "../../../src/lib/docker/build/peek-build";
import type { BuildProgress } from "../../../src/lib/docker/build/progress";
import { BuildBench, LONG_STEP, TORCH_STEP } from "./build-bench";
import { fixture } from "./recording";

let bench: BuildBench;

beforeEach(async () => (bench = await BuildBench.open()));
afterEach(() => bench.close());

function follow(signal?: AbortSignal) {
  const seen: BuildProgress[] = [];
  const end = (async () => {
    for await (const progress of followBuild(bench.options, signal)) seen.push(progress);
  })();
  return { seen, end };
}
const peek = () => peekBuild(bench.options.paths, bench.options.names, bench.options.runtimeFiles);
const last = () => lastBuild(bench.options.paths, bench.options.names);

it("starts a build as a child of nobody who waits, in a process group of its own", async () => {
  const { end } = await bench.begin();
  const pid = currentBuild(bench.options.paths, bench.options.names)?.pid ?? 0;
  const [parent, group] = ["ppid", "pgid"].map((field) =>
    Number(spawnSync("ps", ["-o", `${field}=`, "-p", `${pid}`], { encoding: "utf8" }).stdout),
  );
  expect(parent).not.toBe(process.pid);
  expect(group).toBe(pid);
  bench.release();
  await end;
});

describe("followBuild", () => {
  it("ends at once when nothing is built", async () => {
    const { seen, end } = follow();
    await end;
    expect(seen).toEqual([]);
  });

  it("tells of a build that runs already, to its end", async () => {
    const building = await bench.begin();
    const { seen, end } = follow();
    while (seen.at(-1)?.step !== TORCH_STEP) await sleep(20);
    expect(seen.at(-1)).toMatchObject({ title: "Installing PyTorch", percent: expect.any(Number) as number });
    bench.release();
    await end;
    expect(seen.at(-1)).toMatchObject({ percent: 1 });
    expect(await building.end).toMatchObject({ built: true });
    expect(last()).toMatchObject({ outcome: "done" });
  });

  it("leaves the build alone when it is left", async () => {
    const building = await bench.begin();
    const { end } = follow(AbortSignal.timeout(300));
    await end;
    for await (const progress of followBuild(bench.options)) {
      expect(progress.steps).toBeGreaterThan(20);
      break;
    }
    expect(currentBuild(bench.options.paths, bench.options.names)).toBeDefined();
    bench.release();
    expect(await building.end).toMatchObject({ built: true });
  });
});

describe("lastBuild", () => {
  it("is none before the first and while one runs", async () => {
    expect(last()).toBeUndefined();
    const { end } = await bench.begin();
    expect(last()).toBeUndefined();
    bench.release();
    await end;
    const { at, log, outcome } = last() ?? {};
    expect({ log, outcome }).toEqual({
      log: buildFiles(bench.options.paths, bench.options.names).log,
      outcome: "done",
    });
    expect(Math.abs(Date.parse(at ?? "") - Date.now())).toBeLessThan(60_000);
  });

  it("tells the step and the last lines of one that failed", async () => {
    writeFileSync(bench.at("bin", "fail"), "");
    const { end } = await bench.begin();
    bench.release();
    await expect(end).rejects.toMatchObject({ code: "build-failed" });
    expect(last()).toMatchObject({
      outcome: "failed",
      error: {
        code: "build-failed",
        message: expect.stringContaining("the wheels have come off") as string,
        details: { step: LONG_STEP, lines: expect.any(Array) as string[] },
      },
    });
  });

  it("tells of one that was cancelled", async () => {
    const { end } = await bench.begin();
    const ended = expect(end).rejects.toMatchObject({ code: "build-cancelled" });
    await cancelBuild(bench.options.paths, bench.options.names);
    await ended;
    expect(last()).toMatchObject({ outcome: "cancelled" });
  });

  it("tells of one that was killed", async () => {
    const { end } = await bench.begin();
    const ended = expect(end).rejects.toMatchObject({ message: expect.stringContaining("from outside") as string });
    const { pid } = currentBuild(bench.options.paths, bench.options.names) ?? {};
    process.kill(-Number(pid), "SIGKILL");
    await ended;
    expect(last()).toMatchObject({ outcome: "failed", error: { code: "build-failed" } });
  });
});

describe("peekBuild", () => {
  it("tells the step of a build that runs, and nothing else", async () => {
    expect(peek()).toBeUndefined();
    const { end } = await bench.begin();
    while (peek()?.step !== TORCH_STEP) await sleep(20);
    expect(peek()).toMatchObject({
      build: currentBuild(bench.options.paths, bench.options.names),
      title: "Installing PyTorch",
      secondsLeft: null,
    });
    expect(peek()?.percent).toBeGreaterThan(0.1);
    bench.release();
    await end;
    expect(peek()).toBeUndefined();
  });

  it.each([
    ["classic.tsv", "Step 17/34"],
    ["buildkit.tsv", "[packages 11/12]"],
    ["buildx.tsv", "[packages 11/12]"],
    ["buildx-26.tsv", "[packages 11/12]"],
  ])("knows in a real log where it is (%s)", async (name, step) => {
    const { end } = await bench.begin();
    while (peek()?.step !== TORCH_STEP) await sleep(20); // it has said all that it says
    const { log } = buildFiles(bench.options.paths, bench.options.names);
    const written = readFileSync(log, "utf8");
    const lines = fixture(name)
      .split("\n")
      .map((entry) => entry.slice(entry.indexOf("\t") + 1));
    const begun = lines.findIndex((line) => line.includes(step));
    writeFileSync(bench.at("files", "docker", "Dockerfile.macos"), fixture("Dockerfile.recorded"));
    writeFileSync(log, [written.split("\n")[0], ...lines.slice(1, begun + 2), ""].join("\n"));
    expect(peek()).toMatchObject({ step: 17, steps: 34, title: "Installing Petals and what it needs" });
    writeFileSync(log, written);
    bench.release();
    await end;
  });

  it("finds its way in a log of many megabytes", async () => {
    const { end } = await bench.begin();
    while (peek()?.step !== TORCH_STEP) await sleep(20);
    const { log } = buildFiles(bench.options.paths, bench.options.names);
    appendFileSync(log, `${"é".repeat(99)}\n`.repeat(20_000));
    expect(peek()).toMatchObject({ step: TORCH_STEP });
    appendFileSync(log, `Step ${TORCH_STEP + 1}/34 : RUN the rest\nStep ${TORCH_STEP + 2}/`);
    expect(peek()).toMatchObject({ step: TORCH_STEP + 1 });
    bench.release();
    await end;
  });

  it("takes an earlier build's log for none", async () => {
    const { end } = await bench.begin();
    while (peek()?.step !== TORCH_STEP) await sleep(20);
    const { log } = buildFiles(bench.options.paths, bench.options.names);
    const written = readFileSync(log, "utf8");
    writeFileSync(log, written.replace(/pid=\d+/, "pid=1"));
    expect(peek()).toMatchObject({ step: 1 });
    writeFileSync(log, written);
    bench.release();
    await end;
  });
});

describe("manualBuildCommand", () => {
  it("is one line that a shell takes for the very build", async () => {
    const runtimeFiles = "/Users/me/Torbiz's files";
    const command = manualBuildCommand({ ...bench.options, runtimeFiles });
    expect(command).not.toContain("\n");
    const shell = `bash() { printf '%s\\n' "$DOCKER_HOST" "$@"; }; ${command}`;
    const { lock, log } = buildFiles(bench.options.paths, bench.options.names);
    expect(spawnSync("sh", ["-c", shell], { encoding: "utf8" }).stdout.trimEnd().split("\n")).toEqual([
      bench.options.endpoint.url,
      `${runtimeFiles}/docker/build-docker-macos.sh`,
      ...["--tag", "torbiz-petals-macos:unit", "--log", log, "--lock", lock],
    ]);
  });

  it("names the context where one chose the engine", () => {
    const endpoint = { ...bench.options.endpoint, source: "context" as const, context: "desktop-linux" };
    expect(manualBuildCommand({ ...bench.options, endpoint })).toMatch(/^DOCKER_CONTEXT=desktop-linux bash /);
  });
});
