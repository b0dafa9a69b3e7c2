import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureAskEnvironment, pythonFor } from "../../../src/lib/ask/ask-environments";
import { canFetchPython, fetchPython, type FetchSurroundings } from "../../../src/lib/ask/fetch-python";
import { findPython } from "../../../src/lib/ask/python";
import { openSurroundings } from "../../../src/lib/context";
import type { Progress } from "../../../src/lib/progress";
import { hashOf } from "./hub-stand-in";
import { PythonMirror } from "./python-mirror";

/** A computer without a fitting Python, and a mirror of our own with one. */

const LIMIT_MS = 120_000;
const RANGE = pythonFor("swarm");

let root: string;
let home: string;
let mirror: PythonMirror;
let progress: Progress[];

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "Jürgen's Mac 日本 "));
  mirror = await PythonMirror.open();
  mirror.writeList(join(root, "files"));
  for (const name of ["build.txt", "swarm.txt"]) writeFileSync(join(root, "files/python/requirements", name), "");
}, LIMIT_MS);

afterAll(async () => {
  await mirror.close();
  rmSync(root, { recursive: true, force: true });
});

beforeEach(() => {
  progress = [];
  mirror.reset();
  home = mkdtempSync(join(root, "home-"));
  mkdirSync(join(home, "bin"));
});

function computer(env: NodeJS.ProcessEnv = {}): FetchSurroundings {
  const surroundings = openSurroundings({
    runtimeFiles: join(root, "files"),
    env: {
      ...{ PATH: join(home, "bin"), TORBIZ_HOME: join(home, ".torbiz"), UV_PYTHON_INSTALL_MIRROR: `${mirror.url}/` },
      ...env,
    },
    home,
  });
  return { ...surroundings, root: home };
}

/** It can do everything and says that it is too old. */
function oldPython(): void {
  const path = join(home, "bin/python3");
  const answer = JSON.stringify({ path, version: "3.9.2", canMakeVenv: true }).replaceAll("'", "'\\''");
  writeFileSync(path, `#!/bin/sh\necho '${answer}'\n`, { mode: 0o755 });
}

const fetch = (signal?: AbortSignal) =>
  fetchPython(computer(), RANGE, { onProgress: (step) => progress.push(step), signal });
const pythons = () => join(home, ".torbiz/pythons");
const fetched = () => join(pythons(), `cpython-${mirror.python.version}+`);

it(
  "offers one where there is no Python at all, brings it when told to, and finds it from then on",
  async () => {
    await expect(ensureAskEnvironment(computer(), "swarm")).rejects.toMatchObject({
      code: "python-missing",
      message: "No Python was found, and 3.11 is needed.",
      hint: expect.stringMatching(/^Let Torbiz fetch one/),
      details: { canFetch: true, needed: "3.11", kind: "swarm" },
    });
    const onProgress = (step: Progress) => progress.push(step);
    const made = await ensureAskEnvironment(computer(), "swarm", { fetchPython: true, onProgress });
    const code = "import sys; print(sys.version.split()[0], sys.base_prefix)";
    const told = spawnSync(made.python, ["-I", "-c", code], { encoding: "utf8" });
    expect(told.stdout).toMatch(`${mirror.python.version} ${fetched()}`);
    const size = (mirror.archive.length / 1e6).toFixed(0);
    expect(progress).toContainEqual({
      stage: "preparing-python",
      message: `Fetching Python 3.11: ${size} of ${size} MB`,
      progress: 1,
    });
    expect(new Set(progress.map(({ stage }) => stage))).toEqual(new Set(["preparing-python"]));
    // No profile, no program on the PATH, no cache, no archive.
    expect(readdirSync(home).toSorted()).toEqual([".torbiz", "bin"]);
    expect(readdirSync(join(home, "bin"))).toEqual([]);
    expect(readdirSync(pythons())).toEqual([expect.stringMatching(/^cpython-3\.11\.\d+\+/)]);
    expect((await findPython(computer(), RANGE)).path).toContain(fetched());
  },
  LIMIT_MS,
);

it("names the Python that doesn't fit, and offers one that does", async () => {
  oldPython();
  await expect(ensureAskEnvironment(computer(), "swarm")).rejects.toMatchObject({
    message: `Python 3.11 is needed, but only 3.9.2 (${join(home, "bin/python3")}) was found.`,
    details: { canFetch: true },
  });
});

it(
  "brings it once for two who want it at the same time",
  async () => {
    const [one, two] = await Promise.all([fetch(), fetch()]);
    expect(one).toEqual(two);
    expect(mirror.requests).toEqual([""]);
  },
  LIMIT_MS,
);

it(
  "goes on with what came before the connection broke off",
  async () => {
    mirror.serve = "half";
    await expect(fetch()).rejects.toMatchObject({
      code: "python-fetch-failed",
      message: "Python 3.11 couldn't be fetched: the connection broke off.",
    });
    await expect(findPython(computer(), RANGE)).rejects.toMatchObject({ code: "python-missing" });
    mirror.serve = "all";
    expect((await fetch()).path).toContain(fetched());
    expect(mirror.requests).toEqual(["", expect.stringMatching(/^bytes=[1-9]\d{5,}-$/)]);
    expect(readdirSync(pythons())).toHaveLength(1);
  },
  LIMIT_MS,
);

it(
  "gives no name to anything else, and begins anew",
  async () => {
    mirror.serve = "rubbish";
    await expect(fetch()).rejects.toMatchObject({
      code: "python-fetch-failed",
      message: "Python 3.11 couldn't be fetched: what came isn't it: its hash is wrong. It was deleted.",
    });
    expect(readdirSync(pythons())).toEqual([]);
    mirror.serve = "all";
    expect((await fetch()).path).toContain(fetched());
  },
  LIMIT_MS,
);

it(
  "takes up what an attempt left that ended before it unpacked",
  async () => {
    mkdirSync(join(pythons(), "draft/bin"), { recursive: true });
    writeFileSync(join(pythons(), `.${hashOf(mirror.archive).slice(0, 16)}.partial`), mirror.archive);
    writeFileSync(join(pythons(), ".0123456789abcdef.partial"), "of an older list");
    expect((await fetch()).path).toContain(fetched());
    expect(mirror.requests).toEqual([`bytes=${mirror.archive.length}-`]);
    expect(readdirSync(pythons())).toHaveLength(1);
  },
  LIMIT_MS,
);

it("says why when the mirror hasn't got it", async () => {
  mirror.serve = "nothing";
  await expect(fetch()).rejects.toMatchObject({
    code: "python-fetch-failed",
    message: "Python 3.11 couldn't be fetched: 127.0.0.1 answered 404.",
  });
});

it.each([
  ["http://127.0.0.1:9", "127.0.0.1 refuses the connection."],
  ["http://host.invalid", "host.invalid can't be found: is there a network?"],
  ["mirror.corp/x", "that is no http:// or https:// address."],
  ["file:///mnt/x", "that is no http:// or https:// address."],
])("says why nothing can come from %s", async (address, reason) => {
  await expect(fetchPython(computer({ UV_PYTHON_INSTALL_MIRROR: address }), RANGE)).rejects.toMatchObject({
    code: "python-fetch-failed",
    message: `Python 3.11 couldn't be fetched: ${reason}`,
    hint: expect.stringMatching(/^Check the network/),
    cliHint: "It is fetched from where UV_PYTHON_INSTALL_MIRROR says.",
    cause: expect.objectContaining({ cause: expect.anything() as Error }) as Error,
  });
});

it("says so in plain words when its folder can't be made", async () => {
  mkdirSync(join(home, ".torbiz"));
  writeFileSync(pythons(), "");
  await expect(fetch()).rejects.toMatchObject({
    code: "python-fetch-failed",
    message: "Python 3.11 couldn't be fetched.",
    cause: expect.objectContaining({ code: "EEXIST" }) as Error,
  });
});

it(
  "stops when told to, keeps what has come, and goes on with it",
  async () => {
    mirror.serve = "slowly";
    const controller = new AbortController();
    const stopped = fetchPython(computer(), RANGE, {
      signal: controller.signal,
      // Not before what has come is written.
      onProgress: ({ progress }) => progress !== null && setTimeout(() => controller.abort(), 300),
    });
    await expect(stopped).rejects.toMatchObject({ code: "interrupted" });
    await expect(findPython(computer(), RANGE)).rejects.toMatchObject({ code: "python-missing" });
    mirror.serve = "all";
    expect((await fetch()).path).toContain(fetched());
    expect(mirror.requests.at(-1)).toMatch(/^bytes=[1-9]\d*-$/);
  },
  LIMIT_MS,
);

it("never replaces a Python that a person chose", async () => {
  oldPython();
  const chosen = computer({ TORBIZ_PYTHON: join(home, "bin/python3") });
  await expect(ensureAskEnvironment(chosen, "swarm", { fetchPython: true })).rejects.toMatchObject({
    code: "python-missing",
    message: `The chosen Python (${join(home, "bin/python3")}) is 3.9.2, but 3.11 is needed.`,
  });
});

it("leads to python.org where there is none for the computer", async () => {
  const other: FetchSurroundings = { ...computer(), arch: "ppc64" };
  await expect(ensureAskEnvironment(other, "swarm")).rejects.toMatchObject({
    message: "No Python was found, and 3.11 is needed.",
    details: { canFetch: false },
  });
  await expect(ensureAskEnvironment(other, "swarm", { fetchPython: true })).rejects.toMatchObject({
    code: "python-missing",
    action: { url: "https://www.python.org/downloads/" },
  });
});

it.each([
  ["darwin", "arm64"],
  ["darwin", "x64"],
  ["linux", "arm64"],
  ["linux", "x64"],
] as const)("has one that fits every environment for %s on %s", (platform, arch) => {
  expect(canFetchPython({ ...computer(), runtimeFiles: process.cwd(), platform, arch })).toBe(true);
  const list = readFileSync("python/requirements/python.sha256", "utf8");
  const versions = [...list.matchAll(/cpython-3\.(\d+)/g)].map(([, minor]) => Number(minor));
  for (const { oldest, newest } of [pythonFor("local"), pythonFor("swarm")]) {
    for (const minor of versions) expect(minor >= oldest && minor <= newest).toBe(true);
  }
});
