import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ensureAskEnvironment, pythonFor } from "../../../src/lib/ask/ask-environments";
import { fetchPython, type FetchSurroundings } from "../../../src/lib/ask/fetch-python";
import { findPython, type FoundPython } from "../../../src/lib/ask/python";
import { openSurroundings } from "../../../src/lib/context";
import { prepareHome, resolvePaths } from "../../../src/lib/paths";
import type { Progress } from "../../../src/lib/progress";

/**
 * A computer whose only Python doesn't fit, the real uv out of the real lock, and a mirror of our own with one Python: a
 * copy of this computer's, packed as uv expects it.
 */

const LIMIT_MS = 120_000;
const RANGE = pythonFor("swarm");

let root: string;
let real: FoundPython;
/** uv's list of Pythons, with one in it. */
let list: string;
let mirror: Server;
/** What the mirror does with a request for the Python. */
let serve: "all" | "nothing" | "slowly" | "half" = "all";
let asked: () => void = () => undefined;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "Jürgen's Mac 日本 "));
  real = await findPython(
    { env: process.env, home: homedir(), platform: process.platform, paths: { pythons: "/nonexistent" } },
    RANGE,
  );
  const archive = pack(real, root);
  mirror = createServer((request, response) => {
    asked();
    if (serve === "nothing" || !request.url?.endsWith(".tar.gz")) return void response.writeHead(404).end();
    response.writeHead(200, { "content-length": archive.length });
    if (serve === "all") response.end(archive);
    else if (serve === "half") response.end(archive.subarray(0, archive.length / 2), () => response.destroy());
    else response.write(archive.subarray(0, 1_000));
  });
  await new Promise<void>((done) => mirror.listen(0, "127.0.0.1", done));
  list = join(root, "pythons.json");
  const key = execFileSync(real.path, ["-I", "-c", KEY], { encoding: "utf8" });
  const entry = JSON.parse(key) as { name: string; facts: object };
  // The address that uv's own list has, so that it's the mirror that is asked and not that.
  const url = "https://github.com/astral-sh/python-build-standalone/releases/download/1/python.tar.gz";
  const sha256 = createHash("sha256").update(archive).digest("hex");
  writeFileSync(list, JSON.stringify({ [entry.name]: { ...entry.facts, url, sha256 } }));
}, LIMIT_MS);

afterAll(() => {
  mirror.close();
  mirror.closeAllConnections();
  rmSync(root, { recursive: true, force: true });
});

/** How uv calls the Python of this computer. */
const KEY = `
import json, platform, sys
major, minor, patch = sys.version_info[:3]
arch = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
system, libc = ("darwin", "none") if sys.platform == "darwin" else ("linux", "gnu")
print(json.dumps({"name": f"cpython-{major}.{minor}.{patch}-{system}-{arch}-{libc}", "facts": {
    "name": "cpython", "arch": {"family": arch, "variant": None}, "os": system, "libc": libc,
    "major": major, "minor": minor, "patch": patch, "prerelease": "", "variant": None}}))`;

/** The interpreter and its library, without what nobody here imports. */
function pack({ path, version }: FoundPython, folder: string): Buffer {
  const name = `python${version.replace(/\.\d+$/, "")}`;
  const ask = (what: string) =>
    execFileSync(path, ["-I", "-c", `import os, sys, sysconfig; print(${what})`], { encoding: "utf8" }).trim();
  const tree = join(folder, "tree/python");
  mkdirSync(join(tree, "bin"), { recursive: true });
  mkdirSync(join(tree, "lib"));
  const exclude = ["test", "tests", "idlelib", "tkinter", "site-packages", "dist-packages", "__pycache__", "config-*"];
  execFileSync("cp", ["-L", ask("os.path.realpath(sys.executable)"), join(tree, "bin", name)]);
  execFileSync("sh", [
    "-c",
    `mkdir "$2" && tar -C "$1" ${exclude.map((one) => `--exclude='${one}'`).join(" ")} -cf - . | tar -C "$2" -xf -`,
    ...["sh", ask("sysconfig.get_path('stdlib')"), join(tree, "lib", name)],
  ]);
  const archive = join(folder, "python.tar.gz");
  execFileSync("tar", ["-C", join(folder, "tree"), "-czf", archive, "python"]);
  rmSync(join(folder, "tree"), { recursive: true });
  return readFileSync(archive);
}

let home: string;
let progress: Progress[];

beforeAll(() => {
  // One for all: the first test that needs uv installs it.
  home = join(root, "home");
  mkdirSync(join(root, "files/python/requirements"), { recursive: true });
  for (const name of ["build.txt", "swarm.txt"]) writeFileSync(join(root, "files/python/requirements", name), "");
  symlinkSync(resolve("python/requirements/uv.txt"), join(root, "files/python/requirements/uv.txt"));
});

beforeEach(() => {
  progress = [];
  serve = "all";
  asked = () => undefined;
  rmSync(join(home, "bin"), { recursive: true, force: true });
  rmSync(join(home, ".torbiz/pythons"), { recursive: true, force: true });
  mkdirSync(join(home, "bin"), { recursive: true });
  // It can do everything and says that it is too old.
  const answer = JSON.stringify({ path: join(home, "bin/python3"), version: "3.9.2", canMakeVenv: true });
  program("python3", `[ "$2" = -c ] && echo '${answer.replaceAll("'", "'\\''")}' || exec "${real.path}" "$@"`);
});

function program(name: string, script: string): void {
  writeFileSync(join(home, "bin", name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

function computer(env: NodeJS.ProcessEnv = {}): FetchSurroundings {
  const { port } = mirror.address() as AddressInfo;
  const network = Object.entries(process.env).filter(([name]) => /^(PIP_.*|.*proxy|SSL_CERT.*)$/i.test(name));
  const surroundings = openSurroundings({
    runtimeFiles: join(root, "files"),
    env: {
      ...Object.fromEntries(network),
      ...{ PATH: join(home, "bin"), TORBIZ_HOME: join(home, ".torbiz"), NO_PROXY: "127.0.0.1" },
      ...{ UV_PYTHON_INSTALL_MIRROR: `http://127.0.0.1:${port}`, UV_PYTHON_DOWNLOADS_JSON_URL: list },
      UV_HTTP_RETRIES: "0",
      ...env,
    },
    home,
  });
  return { ...surroundings, root: home };
}

const fetch = (signal?: AbortSignal) =>
  fetchPython(computer(), RANGE, { onProgress: (step) => progress.push(step), signal });
const fetched = () => join(home, ".torbiz/pythons", `cpython-${real.version}-`);

it(
  "offers one where none fits, brings it when told to, and finds it from then on",
  async () => {
    await expect(ensureAskEnvironment(computer(), "swarm")).rejects.toMatchObject({
      code: "python-missing",
      message: `Python 3.11 is needed, but only 3.9.2 (${join(home, "bin/python3")}) was found.`,
      hint: expect.stringMatching(/^Let Torbiz fetch one/),
      details: { canFetch: true, needed: "3.11", kind: "swarm" },
    });
    const onProgress = (step: Progress) => progress.push(step);
    const made = await ensureAskEnvironment(computer(), "swarm", { fetchPython: true, onProgress });
    const code = "import sys; print(sys.version.split()[0], sys.base_prefix)";
    const told = spawnSync(made.python, ["-I", "-c", code], { encoding: "utf8" });
    expect(told.stdout).toMatch(`${real.version} ${fetched()}`);
    expect(progress.map(({ message }) => message)).toEqual(
      expect.arrayContaining([
        "Python package 1 of 1: uv",
        "Fetching Python 3.11",
        expect.stringMatching(/ 3\.11 \(.*iB\)/),
      ]),
    );
    expect(new Set(progress.map(({ stage }) => stage))).toEqual(new Set(["preparing-python"]));
    // No profile, no program on the PATH, no cache.
    expect(readdirSync(home).toSorted()).toEqual([".torbiz", "bin"]);
    expect(readdirSync(join(home, "bin"))).toEqual(["python3"]);
    expect((await findPython(computer(), RANGE)).path).toContain(fetched());
  },
  LIMIT_MS,
);

it(
  "brings it once for two who want it at the same time",
  async () => {
    let requests = 0;
    asked = () => (requests += 1);
    const [one, two] = await Promise.all([fetch(), fetch()]);
    expect(one).toEqual(two);
    expect(requests).toBe(1);
  },
  LIMIT_MS,
);

it.each([
  ["hasn't got it", "nothing", /404/],
  ["breaks off in the middle", "half", /\S/],
] as const)(
  "says why when the mirror %s, leaves no half of it, and brings it the next time",
  async (_what, how, reason) => {
    serve = how;
    const failure = await fetch().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "python-fetch-failed", message: expect.stringMatching(reason) });
    expect((failure as Error).message).toMatch(/^Python 3\.11 couldn't be fetched: \S/);
    await expect(findPython(computer(), RANGE)).rejects.toMatchObject({ code: "python-missing" });
    serve = "all";
    expect((await fetch()).path).toContain(fetched());
  },
  LIMIT_MS,
);

it(
  "stops when told to, and leaves no half of it",
  async () => {
    serve = "slowly";
    const controller = new AbortController();
    asked = () => controller.abort();
    await expect(fetch(controller.signal)).rejects.toMatchObject({ code: "interrupted" });
    await expect(findPython(computer(), RANGE)).rejects.toMatchObject({ code: "python-missing" });
  },
  LIMIT_MS,
);

it("says that uv can't be had without a network", async () => {
  const env = { PIP_INDEX_URL: "http://127.0.0.1:9/simple", PIP_RETRIES: "0", PIP_NO_CACHE_DIR: "1" };
  const offline = {
    ...computer({ ...env, PIP_FIND_LINKS: "" }),
    paths: resolvePaths({ TORBIZ_HOME: join(root, "new") }),
  };
  prepareHome(offline.paths);
  await expect(fetchPython(offline, RANGE)).rejects.toMatchObject({
    code: "python-fetch-failed",
    message: expect.stringMatching(/^The program that fetches Pythons \(uv\) can't be had: \S/),
  });
}, 60_000);

it(
  "takes the user's own uv, and none that is too old",
  async () => {
    program("uv", `echo "$1" >> "${home}/calls"; [ "$1" = --version ] && echo "uv 0.7.22" || exit 1`);
    expect((await fetch()).path).toContain(fetched());
    expect(readFileSync(join(home, "calls"), "utf8")).toBe("--version\n");
    rmSync(join(home, ".torbiz/pythons"), { recursive: true });
    program(
      "uv",
      `echo "$1" >> "${home}/calls"; [ "$1" = --version ] && echo "uv 0.8.0" || { echo "its own reason"; exit 1; }`,
    );
    await expect(fetch()).rejects.toMatchObject({ message: "Python 3.11 couldn't be fetched: its own reason" });
    rmSync(join(home, "calls"));
  },
  LIMIT_MS,
);

it("never replaces a Python that a person chose", async () => {
  const chosen = computer({ TORBIZ_PYTHON: join(home, "bin/python3") });
  await expect(ensureAskEnvironment(chosen, "swarm", { fetchPython: true })).rejects.toMatchObject({
    code: "python-missing",
    message: `The chosen Python (${join(home, "bin/python3")}) is 3.9.2, but 3.11 is needed.`,
  });
});

it("leads to python.org where there is nothing to begin with", async () => {
  rmSync(join(home, "bin/python3"));
  await expect(ensureAskEnvironment(computer(), "swarm")).rejects.toMatchObject({
    message: "No Python was found, and 3.11 is needed.",
    details: { canFetch: false },
  });
  await expect(ensureAskEnvironment(computer(), "swarm", { fetchPython: true })).rejects.toMatchObject({
    code: "python-missing",
    action: { url: "https://www.python.org/downloads/" },
  });
});
