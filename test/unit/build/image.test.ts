import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { findBuild } from "../../../src/lib/docker/build/find-build";
import { cancelBuild } from "../../../src/lib/docker/build/follow";
import { ensureImage } from "../../../src/lib/docker/build/image";
import { imageState } from "../../../src/lib/docker/build/state";
import { ENGINES } from "../docker/recorded-engines";
import { BuildBench } from "./build-bench";

let bench: BuildBench;

beforeEach(async () => (bench = await BuildBench.open()));
afterEach(() => bench.close());

const running = () => findBuild(bench.options.paths, bench.options.names);

describe("whether the image is good", () => {
  it("is not asked of its base, unless one is named", async () => {
    const { options } = bench;
    const on = (base?: string) => ensureImage({ ...options, env: { ...options.env, TORBIZ_BASE_IMAGE: base } });
    expect(await on("mine:1")).toMatchObject({ built: true });
    expect(await on()).toMatchObject({ built: false });
    expect(await on("mine:1")).toMatchObject({ built: false });
    expect(await on("other:1")).toMatchObject({ built: true });
    expect(await on()).toMatchObject({ built: false });
    expect(bench.builds()).toHaveLength(2);
  });

  it("is told as a state", async () => {
    const { options } = bench;
    expect(await imageState(options)).toBe("missing");
    await ensureImage(options);
    expect(await imageState(options)).toBe("current");
    expect(await imageState({ ...options, env: { ...options.env, TORBIZ_BASE_IMAGE: "other:1" } })).toBe("outdated");
    bench.change("python/torbiz/seeder.py");
    expect(await imageState(options)).toBe("outdated");
    bench.labels = { "com.torbiz.contract": "0" };
    expect(await imageState(options)).toBe("unusable");
    bench.labels = { "com.torbiz.contract": undefined };
    expect(await imageState(options)).toBe("unusable");
    bench.labels = { "com.torbiz.inputs": "" };
    expect(await imageState(options)).toBe("by-hand");
  });
});

describe("an image of an older Torbiz", () => {
  beforeEach(async () => {
    await ensureImage(bench.options);
    bench.change("python/torbiz/seeder.py");
  });

  it("serves where that is asked for, at once", async () => {
    expect(await ensureImage({ ...bench.options, outdated: "use" })).toMatchObject({ built: false, outdated: true });
    expect(bench.builds()).toHaveLength(1);
  });

  it("is built anew otherwise, and by force", async () => {
    expect(await ensureImage(bench.options)).toMatchObject({ built: true, outdated: false });
    bench.change("python/torbiz/seeder.py");
    expect(await ensureImage({ ...bench.options, outdated: "use", force: true })).toMatchObject({ built: true });
    expect(bench.builds()).toHaveLength(3);
  });

  it("is built anew in any case where it speaks another contract", async () => {
    bench.labels = { "com.torbiz.contract": undefined };
    expect(await ensureImage({ ...bench.options, outdated: "use" })).toMatchObject({ built: true, outdated: false });
  });
});

describe("the check", () => {
  it("imports Petals unless that was done with these packages and what makes them fit", async () => {
    const { options } = bench;
    await ensureImage(options);
    expect(bench.read("checks")).toContain("petals.server.server");
    bench.change("python/torbiz/seeder.py");
    await ensureImage(options);
    expect(bench.read("checks")).toMatch(/ -c import torbiz\.seeder, torbiz\.starter\n$/);
    bench.change("python/torbiz/petals_compat.py");
    await ensureImage(options);
    expect(bench.read("checks")).toContain("petals.server.server");
  });
});

it("asks for more room where the engine keeps images in containerd's store", async () => {
  const { options } = bench;
  // An engine that doesn't tell is asked for no more than any.
  await ensureImage(options);
  for (const { info } of ENGINES) {
    writeFileSync(bench.at("bin", "info"), `${JSON.stringify(info.DriverStatus)}\n`);
    await ensureImage({ ...options, force: true });
  }
  const asked = bench.builds().map((build) => /EXTRA_ROOM=\S+/.exec(build)?.[0]);
  expect(asked).toEqual([
    undefined,
    ...ENGINES.map((engine) => (engine.containerdStore ? "EXTRA_ROOM=1.8" : undefined)),
  ]);
});

it("asks again where the engine doesn't answer at once, and without an answer makes nothing anew", async () => {
  const { options } = bench;
  writeFileSync(bench.at("bin", "info"), '[["driver-type","io.containerd.snapshotter.v1"]]\n');
  writeFileSync(bench.at("bin", "gone"), "1\n");
  await ensureImage(options);
  expect(bench.builds()).toEqual([expect.stringContaining("EXTRA_ROOM=1.8")]);
  writeFileSync(bench.at("bin", "gone"), "1\n2\n");
  await expect(ensureImage({ ...options, force: true })).rejects.toMatchObject({ code: "docker-not-running" });
  expect(bench.builds()).toHaveLength(1);
});

describe("a build that another command started", () => {
  it("goes on when the one who waits for it is interrupted", async () => {
    const { end } = await bench.begin();
    const waiting = ensureImage({ ...bench.options, signal: AbortSignal.timeout(500) });
    await expect(waiting).rejects.toMatchObject({
      code: "interrupted",
      message: expect.stringContaining("goes on"),
    });
    expect(await running()).toBeDefined();
    bench.release();
    expect(await end).toMatchObject({ built: true });
  });

  it("is not what a forced build asks for: its own comes after", async () => {
    const { end } = await bench.begin();
    const forced = ensureImage({ ...bench.options, force: true });
    await sleep(500);
    bench.release();
    expect(await end).toMatchObject({ built: true });
    expect(await forced).not.toHaveProperty("note");
    expect(bench.builds().map((build) => build.includes("--no-cache"))).toEqual([false, true]);
  });

  it("may be cancelled, and who waits for it hears of that", async () => {
    const { paths, names } = bench.options;
    const { end } = await bench.begin();
    const ended = expect(end).rejects.toMatchObject({ code: "build-cancelled" });
    expect(await cancelBuild(paths, names)).toBe(true);
    expect(await running()).toBeUndefined();
    await ended;
    expect(await cancelBuild(paths, names)).toBe(false);
  });
});

it("cancels its own build", async () => {
  const controller = new AbortController();
  const { end } = await bench.begin({ signal: controller.signal });
  controller.abort();
  await expect(end).rejects.toMatchObject({ code: "build-cancelled" });
  expect(await running()).toBeUndefined();
});

it("cancels the plugin that builds where docker doesn't tell it, as before its version 25", async () => {
  const { paths, names } = bench.options;
  writeFileSync(bench.at("bin", "plugin"), "");
  const { end } = await bench.begin();
  const ended = expect(end).rejects.toMatchObject({ code: "build-cancelled" });
  while (!bench.read("deaf")) await sleep(20);
  const began = performance.now();
  await cancelBuild(paths, names);
  expect(performance.now() - began).toBeLessThan(10_000);
  await ended;
});

it("gives a build up that hangs, and ends it", async () => {
  const { end } = await bench.begin({ limits: { first: 30_000, later: 5_000 } });
  await expect(end).rejects.toMatchObject({ code: "docker-not-answering" });
  expect(await running()).toBeUndefined();
});

describe("a build that can't begin", () => {
  it("tells the script's own words", async () => {
    const env = { ...bench.options.env, TORBIZ_WHEELS: "/no/such/folder" };
    await expect(ensureImage({ ...bench.options, env })).rejects.toMatchObject({
      code: "build-failed",
      message: "The build couldn't start: the wheel folder /no/such/folder does not exist.",
    });
  });

  it("is given up when docker says nothing to its first question", async () => {
    writeFileSync(bench.at("bin", "docker"), "#!/bin/sh\nexec sleep 30\n");
    const limits = { first: 1_000, later: 60_000 };
    await expect(ensureImage({ ...bench.options, limits })).rejects.toMatchObject({ code: "docker-not-answering" });
    expect(await running()).toBeUndefined();
  });
});
