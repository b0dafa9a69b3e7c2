import { existsSync, chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findBuild } from "../../../src/lib/docker/build/find-build";
import { ensureImage, type EnsureImageOptions } from "../../../src/lib/docker/build/image";
import { Engine } from "../../../src/lib/docker/engine";
import { resolveNames } from "../../../src/lib/names";
import { prepareHome, resolvePaths } from "../../../src/lib/paths";

/** The real script with a docker command that only notes what it is told, and an engine that knows one image by that. */
const DOCKER = `#!/usr/bin/env bash
cd "$(dirname "$0")"
case "$*" in *-building*) image=building ;; *) image=tagged ;; esac
case "$1 $2" in
  build*)
    echo "$*" >>builds
    echo "$*" >building
    while [ -e hold ]; do sleep 0.1; done ;;
  tag*) cp building tagged ;;
  run*) printf '%s\\n' "$*" >checks ;;
  "image inspect")
    [ -e $image ] || exit 1
    case "$*" in
      *torbiz.checked*) sed 's/.*TORBIZ_CHECKED=\\([^ ]*\\).*/\\1/' $image ;;
      *Layers*) printf '%s\\n' base packages ours bytecode ;;
      *) echo sha256:1 ;;
    esac ;;
esac
`;

const root = join(import.meta.dirname, "..", "..", "..");
let work: string;
let server: Server;
let options: EnsureImageOptions;

const at = (...parts: string[]) => join(work, ...parts);
const read = (name: string) => (existsSync(at("bin", name)) ? readFileSync(at("bin", name), "utf8") : "");
const builds = () => read("builds").split("\n").filter(Boolean);

function imageInfo(): unknown {
  const argument = (name: string) => new RegExp(`${name}=(\\S+)`).exec(read("tagged"))?.[1];
  const labels = { "com.torbiz.inputs": argument("TORBIZ_INPUTS"), "com.torbiz.base": argument("BASE_IMAGE") };
  return { Id: "sha256:1", Size: 1, Config: { Labels: labels } };
}

beforeEach(async () => {
  work = mkdtempSync(join(tmpdir(), "torbiz-image-"));
  for (const part of ["docker", "python", ".dockerignore"])
    cpSync(join(root, part), at("files", part), { recursive: true });
  mkdirSync(at("bin"));
  writeFileSync(at("bin", "docker"), DOCKER);
  chmodSync(at("bin", "docker"), 0o755);
  server = createServer((_, response) => {
    response.writeHead(read("tagged") ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(imageInfo()));
  });
  const socketPath = at("docker.sock");
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const endpoint = { url: `unix://${socketPath}`, socketPath, source: "option" } as const;
  const paths = resolvePaths({ TORBIZ_HOME: at("home") });
  prepareHome(paths);
  options = {
    ...{ endpoint, paths, names: resolveNames({ TORBIZ_INSTANCE: "unit" }), runtimeFiles: at("files") },
    engine: new Engine(endpoint, "1.41"),
    env: { PATH: process.env.PATH, HOME: work },
    cliPath: () => Promise.resolve(at("bin", "docker")),
  };
});
afterEach(() => {
  server.close();
  rmSync(work, { recursive: true, force: true });
});

/** Starts a build that goes on until `release`. */
async function begin(more: Partial<EnsureImageOptions> = {}) {
  writeFileSync(at("bin", "hold"), "");
  const end = ensureImage({ ...options, ...more });
  while (builds().length === 0) await sleep(20);
  return { end };
}
const release = () => rmSync(at("bin", "hold"));

describe("whether the image is good", () => {
  it("is not asked of its base, unless one is named", async () => {
    const on = (base?: string) => ensureImage({ ...options, env: { ...options.env, TORBIZ_BASE_IMAGE: base } });
    expect(await on("mine:1")).toMatchObject({ built: true });
    expect(await on()).toMatchObject({ built: false });
    expect(await on("mine:1")).toMatchObject({ built: false });
    expect(await on("other:1")).toMatchObject({ built: true });
    expect(await on()).toMatchObject({ built: false });
    expect(builds()).toHaveLength(2);
  });
});

describe("the check", () => {
  const change = (file: string) =>
    writeFileSync(at("files", file), `${readFileSync(at("files", file), "utf8")}# new\n`);

  it("imports Petals unless that was done with these packages and what makes them fit", async () => {
    await ensureImage(options);
    expect(read("checks")).toContain("petals.server.server");
    change("python/torbiz/seeder.py");
    await ensureImage(options);
    expect(read("checks")).toMatch(/ -c import torbiz\.seeder, torbiz\.starter\n$/);
    change("python/torbiz/petals_compat.py");
    await ensureImage(options);
    expect(read("checks")).toContain("petals.server.server");
  });
});

describe("a build that another command started", () => {
  it("goes on when the one who waits for it is interrupted", async () => {
    const { end } = await begin();
    const waiting = ensureImage({ ...options, signal: AbortSignal.timeout(500) });
    await expect(waiting).rejects.toMatchObject({
      code: "interrupted",
      message: expect.stringContaining("goes on"),
    });
    release();
    expect(await end).toMatchObject({ built: true });
  });

  it("is not what a forced build asks for: its own comes after", async () => {
    const { end } = await begin();
    const forced = ensureImage({ ...options, force: true });
    await sleep(500);
    release();
    expect(await end).toMatchObject({ built: true });
    expect(await forced).not.toHaveProperty("note");
    expect(builds().map((build) => build.includes("--no-cache"))).toEqual([false, true]);
  });
});

it("cancels its own build", async () => {
  const controller = new AbortController();
  const { end } = await begin({ signal: controller.signal });
  controller.abort();
  await expect(end).rejects.toMatchObject({ code: "build-cancelled" });
  expect(await findBuild(options.paths, options.names)).toBeUndefined();
});

it("gives a build up that hangs, and ends it", async () => {
  const { end } = await begin({ limits: { first: 10_000, later: 1_000 } });
  await expect(end).rejects.toMatchObject({ code: "docker-not-answering" });
  expect(await findBuild(options.paths, options.names)).toBeUndefined();
});
