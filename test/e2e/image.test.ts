import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findDockerCli } from "../../src/lib/docker/cli";
import { entriesOf } from "../../src/lib/docker/build/build-cache";
import { cancelBuild, followBuild } from "../../src/lib/docker/build/follow";
import { ensureImage, type EnsureImageOptions } from "../../src/lib/docker/build/image";
import { lastBuild } from "../../src/lib/docker/build/last-build";
import { currentBuild } from "../../src/lib/docker/build/lock";
import { peekBuild } from "../../src/lib/docker/build/peek-build";
import { CONTRACT, imageState } from "../../src/lib/docker/build/state";
import { Engine } from "../../src/lib/docker/engine";
import { requireDocker } from "../../src/lib/docker/preflight";
import { toTorbizError } from "../../src/lib/errors";
import { resolveNames } from "../../src/lib/names";
import { prepareHome, resolvePaths } from "../../src/lib/paths";
import type { Progress } from "../../src/lib/progress";
import { beginningOf } from "./builds";
import { start } from "./torbiz";

const root = join(import.meta.dirname, "..", "..");
const work = mkdtempSync(join(tmpdir(), "torbiz-image-"));
const names = resolveNames({ TORBIZ_INSTANCE: "test-image" });
const paths = resolvePaths({ TORBIZ_HOME: join(work, "home") });
const surroundings = { env: process.env, home: homedir(), platform: process.platform };
/** The runtime files as they are staged for the extension: tests change them. */
const runtimeFiles = join(work, "run time");
const seeder = join(runtimeFiles, "python", "torbiz", "seeder.py");

let options: EnsureImageOptions;
let engine: Engine;
let progress: Progress[] = [];

beforeAll(async () => {
  prepareHome(paths);
  for (const part of ["docker", "python", ".dockerignore"])
    cpSync(join(root, part), join(runtimeFiles, part), { recursive: true });
  const { endpoint, engine: facts } = await requireDocker(surroundings);
  engine = new Engine(endpoint, facts.apiVersion);
  options = {
    ...{ engine, endpoint, names, paths, runtimeFiles },
    env: process.env,
    cliPath: () => findDockerCli(surroundings),
    onProgress: (step) => progress.push(step),
  };
  // Content of its own: an engine gives images of the same content one id, whatever their names.
  appendFileSync(seeder, `\n# ${randomUUID()}\n`);
  await ensureImage(options);
});
beforeEach(() => (progress = []));
afterAll(() => {
  docker("rmi", "--force", names.image);
  rmSync(work, { recursive: true, force: true });
});

function docker(...args: string[]): string {
  return execFileSync("docker", args, { encoding: "utf8" }).trim();
}

const log = join(paths.logs, "build-torbiz-petals-macos-test-image.log");
const failure = (promise: Promise<unknown>) => promise.then(() => undefined, toTorbizError);

/** Of all processes of this machine. */
function commandLines(): string[] {
  return execFileSync("ps", ["-A", "-ww", "-o", "args="], { encoding: "utf8" }).split("\n");
}

async function untilBuilding(): Promise<number> {
  for (;;) {
    const build = currentBuild(paths, names);
    if (build) return build.pid;
    await sleep(50);
  }
}

describe("ensureImage", () => {
  it("makes a locked-down image of at most 1.5 GB that says what it was made from", async () => {
    const config = JSON.parse(docker("inspect", "--format", "{{json .Config}}", names.image)) as Record<
      string,
      unknown
    >;
    expect(config).toMatchObject({
      User: "10001:10001",
      StopSignal: "SIGINT",
      Entrypoint: ["python", "-m", "torbiz.seeder"],
      Labels: {
        "com.torbiz.managed": "1",
        "com.torbiz.version": "0.1.0",
        "com.torbiz.contract": String(CONTRACT),
        "com.torbiz.inputs": expect.stringMatching(/^[0-9a-f]{64}$/),
        "com.torbiz.checked": expect.stringMatching(/^[0-9a-f]{64}$/),
        "com.torbiz.base": / base=(\S+) /.exec(readFileSync(log, "utf8"))?.[1],
      },
    });
    expect((await engine.image(names.image))?.sizeBytes).toBeLessThan(1.5e9);
    expect(readFileSync(log, "utf8")).toMatch(beginningOf(process.env));
    expect(readFileSync(log, "utf8")).toMatch(
      /Works without network: torch \S+ petals 2\.2\.0\.post1 peft 0\.5\.0 accelerate/,
    );
  });

  it("does nothing when the image is there", async () => {
    expect(await ensureImage(options)).toMatchObject({ built: false });
    expect(progress).toEqual([]);
  });

  it("builds anew when the seeder has changed, with progress to the end, and keeps nothing of the old one", async () => {
    const before = await engine.image(names.image);
    appendFileSync(seeder, "\n# changed\n");
    expect(await ensureImage(options)).toMatchObject({ built: true });
    const after = await engine.image(names.image);
    expect(after?.id).not.toBe(before?.id);
    expect(await engine.image(before?.id ?? "")).toBeUndefined();
    expect(await engine.image(`${names.image}-building`)).toBeUndefined();
    expect(progress.at(-1)).toMatchObject({ stage: "building", progress: 1 });
    expect(progress[0]?.message).toMatch(/^Building the image, step \d+ of \d+: /);
  });

  it("follows a build that runs already instead of starting another", async () => {
    appendFileSync(seeder, "\n# changed again\n");
    const first = ensureImage(options);
    const pid = await untilBuilding();
    const second = await ensureImage(options);
    expect(second).toMatchObject({ built: true, note: expect.stringContaining("being built already") });
    expect(await first).toMatchObject({ built: true });
    expect(readFileSync(log, "utf8")).toMatch(new RegExp(`^torbiz: build pid=${pid} `));
  });

  it("uses an image of an older Torbiz where that is asked for, and says so", async () => {
    const before = await engine.image(names.image);
    expect(await imageState(options)).toBe("current");
    appendFileSync(seeder, "\n# changed once more\n");
    expect(await imageState(options)).toBe("outdated");
    expect(await ensureImage({ ...options, outdated: "use" })).toMatchObject({ built: false, outdated: true });
    expect((await engine.image(names.image))?.id).toBe(before?.id);
  });

  it("is followed by whoever looks, to its end", async () => {
    appendFileSync(seeder, "\n# followed\n");
    const building = ensureImage(options);
    await untilBuilding();
    const peeked: number[] = [];
    const steps: number[] = [];
    for await (const { step } of followBuild(options)) {
      steps.push(step);
      const look = peekBuild(paths, names, runtimeFiles);
      if (look) peeked.push(look.step);
    }
    expect(await building).toMatchObject({ built: true });
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(peeked).toEqual(peeked.toSorted((a, b) => a - b));
    expect(peeked.at(-1)).toBe(steps.at(-1));
    expect(peekBuild(paths, names, runtimeFiles)).toBeUndefined();
    expect(lastBuild(paths, names)).toMatchObject({ outcome: "done", log });
  });

  it("goes on when the command that started it is killed, and can be cancelled by another", async () => {
    const env = { TORBIZ_HOME: paths.home, TORBIZ_INSTANCE: names.instance };
    const command = start(["build", "--force"], { env });
    const pid = await untilBuilding();
    command.child.kill("SIGKILL");
    expect(await command.ended).toMatchObject({ code: null });
    await sleep(1_000);
    expect(currentBuild(paths, names)).toMatchObject({ pid });
    expect(await cancelBuild(paths, names)).toBe(true);
    expect(lastBuild(paths, names)).toMatchObject({ outcome: "cancelled" });
    expect(docker("ps", "--all", "--quiet", "--filter", `name=torbiz-build-check-${pid}$`)).toBe("");
    expect(await engine.image(`${names.image}-building`)).toBeUndefined();
    // The docker command and its plugin; the engine ends its step when they are gone.
    const builders = () => commandLines().filter((line) => line.includes(`${names.image}-building`));
    for (let tries = 0; tries < 100 && builders().length > 0; tries += 1) await sleep(100);
    expect(builders()).toEqual([]);
  });

  it("is cancelled by its signal, and the next one simply builds", async () => {
    appendFileSync(seeder, "\n# cancelled\n");
    const controller = new AbortController();
    const cancelled = failure(ensureImage({ ...options, signal: controller.signal }));
    await untilBuilding();
    await sleep(500);
    controller.abort();
    expect(await cancelled).toMatchObject({ code: "build-cancelled" });
    expect(currentBuild(paths, names)).toBeUndefined();
    expect(await ensureImage(options)).toMatchObject({ built: true });
  });

  it("names the step that failed, and leaves the image and its name as they are", async () => {
    const before = await engine.image(names.image);
    const dockerfile = join(runtimeFiles, "docker", "Dockerfile.macos");
    const good = readFileSync(dockerfile, "utf8");
    writeFileSync(
      dockerfile,
      good.replace("ARG TORBIZ_INPUTS=", "USER root\nRUN echo the wheels have come off >&2; exit 7\n$&"),
    );
    const error = await failure(ensureImage(options));
    writeFileSync(dockerfile, good);
    expect(error).toMatchObject({ code: "build-failed", details: { step: expect.stringContaining("exit 7") } });
    expect(error?.details?.lines).toEqual(
      expect.arrayContaining([expect.stringContaining("the wheels have come off")]),
    );
    expect((await engine.image(names.image))?.id).toBe(before?.id);
    expect(lastBuild(paths, names)).toMatchObject({
      outcome: "failed",
      error: { code: "build-failed", message: error?.message, details: error?.details },
    });
  });

  it("doesn't call an image built that can't import Petals, even where only our own code has changed", async () => {
    const compat = join(runtimeFiles, "python", "torbiz", "petals_compat.py");
    const good = readFileSync(compat, "utf8");
    writeFileSync(compat, "# Petals and hivemind don't fit without it.\n");
    const build = failure(ensureImage(options));
    const pid = await untilBuilding();
    const error = await build;
    writeFileSync(compat, good);
    expect(error).toMatchObject({ code: "image-check-failed", message: expect.stringContaining("ImportError") });
    expect(docker("ps", "--all", "--quiet", "--filter", `name=torbiz-build-check-${pid}$`)).toBe("");
  });

  it("says that the base image can't be had", async () => {
    const env = { ...process.env, TORBIZ_BASE_IMAGE: "localhost:1/nowhere:1" };
    const other = resolvePaths({ TORBIZ_HOME: join(work, "other home") });
    prepareHome(other);
    const error = await failure(ensureImage({ ...options, paths: other, env }));
    expect(error).toMatchObject({
      code: "base-image-unavailable",
      message: expect.stringContaining("localhost:1/nowhere:1"),
    });
  });

  it("uses an image that plain docker build made as it is, with a note", async () => {
    const hand = resolveNames({ TORBIZ_INSTANCE: "test-hand" });
    const { PIP_FIND_LINKS: wheels, PIP_CERT: certificates, TORBIZ_BASE_IMAGE } = process.env;
    const inputs = join(runtimeFiles, "docker", "inputs");
    // The same inputs that the script found: this is how a person gives them by hand.
    if (wheels) cpSync(wheels, join(inputs, "wheels"), { recursive: true });
    if (certificates) cpSync(certificates, join(inputs, "ca-bundle.pem"));
    const base = TORBIZ_BASE_IMAGE ?? / base=(\S+) /.exec(readFileSync(log, "utf8"))?.[1];
    try {
      execFileSync(
        "docker",
        ["build", "--build-arg", `BASE_IMAGE=${base}`, "--file", "docker/Dockerfile.macos", "--tag", hand.image, "."],
        { cwd: runtimeFiles, stdio: "ignore" },
      );
      const outcome = await ensureImage({ ...options, names: hand });
      expect(outcome).toMatchObject({ built: false, note: expect.stringContaining("by hand") });
    } finally {
      docker("rmi", hand.image);
    }
  });

  it("keeps what others built in the builder's cache when what was ours is removed", async () => {
    const base = process.env.TORBIZ_BASE_IMAGE ?? / base=(\S+) /.exec(readFileSync(log, "utf8"))?.[1];
    // A small Dockerfile stands for ours: without what ours left the next build would begin from nothing.
    const [ours = "", theirs = ""] = [randomUUID(), randomUUID()].map((mark) => {
      const dockerfile = `FROM ${base}\nRUN echo ${mark} >/${mark}\nRUN rm /${mark}\n`;
      execFileSync("docker", ["build", "--tag", `torbiz-test:${mark}`, "-"], { input: dockerfile, stdio: "pipe" });
      docker("rmi", `torbiz-test:${mark}`);
      return dockerfile;
    });
    const image = readFileSync(join(runtimeFiles, "docker", "Dockerfile.macos"), "utf8");
    const left = async () => {
      const { buildCache } = await engine.diskUsage();
      return [ours, theirs, image].map((dockerfile) =>
        entriesOf(dockerfile, buildCache)
          .map(({ id }) => id)
          .toSorted(),
      );
    };
    const before = await left();
    expect(before.map(({ length }) => length)).toEqual([2, 2, expect.any(Number)]);
    expect(before[2]).not.toEqual([]);
    await engine.removeFromBuildCache(before[0] ?? []);
    expect(await left()).toEqual([[], ...before.slice(1)]);
    await engine.removeFromBuildCache(before[1] ?? []);
  });
});
