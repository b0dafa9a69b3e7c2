import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  findPython as find,
  type FoundPython,
  type PythonRange,
  type PythonSurroundings,
} from "../../../src/lib/ask/python";

const ONLY_311: PythonRange = { oldest: 11, newest: 11 };
const SEVERAL: PythonRange = { oldest: 10, newest: 14 };

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "find python é-"));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

/** A program that says of itself what the probe asks, as a real Python would. */
function fake(path: string, version: string, canMakeVenv = true, before = ""): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  const answer = JSON.stringify({ path: file, version, canMakeVenv });
  writeFileSync(file, `#!/bin/sh\n${before}\n[ "$1 $2" = "-I -c" ] || exit 9\necho '${answer}'\n`);
  chmodSync(file, 0o755);
  return file;
}

function surroundings(path: string[], env: NodeJS.ProcessEnv = {}): PythonSurroundings {
  const PATH = path.map((folder) => join(root, folder)).join(":");
  const paths = { pythons: join(root, "home/.torbiz/pythons") };
  return { env: { PATH, ...env }, home: join(root, "home"), platform: "linux", paths, root };
}

const findPython = (where: PythonSurroundings, range = ONLY_311): Promise<FoundPython> => find(where, range);

it("finds the real one of this machine", async () => {
  const found = await findPython({
    env: process.env,
    home: process.env.HOME ?? "/",
    platform: process.platform,
    paths: { pythons: "/nonexistent" },
  });
  expect(found.version).toMatch(/^3\.11\./);
  expect(found.canMakeVenv).toBe(true);
});

it("takes python3.11 before python3, wherever they are on the PATH", async () => {
  fake("a/python3", "3.11.1");
  const wanted = fake("b/python3.11", "3.11.2");
  expect((await findPython(surroundings(["a", "b"]))).path).toBe(wanted);
});

it.each(["python3", "python"])("takes %s when it is the version that fits", async (name) => {
  const wanted = fake(`bin/${name}`, "3.11.9");
  expect(await findPython(surroundings(["bin"]))).toEqual({ path: wanted, version: "3.11.9", canMakeVenv: true });
});

it.each([
  "opt/homebrew/opt/python@3.11/bin/python3.11",
  "usr/local/opt/python@3.11/bin/python3.11",
  "Library/Frameworks/Python.framework/Versions/3.11/bin/python3.11",
  "home/.pyenv/versions/3.11.4/bin/python3.11",
  "home/.local/share/uv/python/cpython-3.11.9-macos-aarch64-none/bin/python3.11",
  "home/.torbiz/pythons/cpython-3.11.9-linux-x86_64-gnu/bin/python3.11",
])("finds it outside the PATH: %s", async (path) => {
  fake("bin/python3", "3.13.0");
  const wanted = fake(path, "3.11.4");
  expect((await findPython(surroundings(["bin"]))).path).toBe(wanted);
});

it("takes pyenv's newest", async () => {
  fake("home/.pyenv/versions/3.11.9/bin/python3.11", "3.11.9");
  const wanted = fake("home/.pyenv/versions/3.11.10/bin/python3.11", "3.11.10");
  expect((await findPython(surroundings([]))).path).toBe(wanted);
});

it("prefers one that can make environments, and says so of one that can't", async () => {
  const incomplete = fake("bin/python3.11", "3.11.2", false);
  expect(await findPython(surroundings(["bin"]))).toMatchObject({ path: incomplete, canMakeVenv: false });
  const complete = fake("home/.pyenv/versions/3.11.4/bin/python3.11", "3.11.4");
  expect(await findPython(surroundings(["bin"]))).toMatchObject({ path: complete, canMakeVenv: true });
});

it("names the versions that it found when none fits", async () => {
  const old = fake("bin/python3", "3.9.18");
  const young = fake("bin/python", "3.13.0");
  await expect(findPython(surroundings(["bin"]))).rejects.toMatchObject({
    code: "python-missing",
    message: `Python 3.11 is needed, but only 3.9.18 (${old}), 3.13.0 (${young}) was found.`,
    hint: "Install Python 3.11, or choose one that you have.",
    details: {
      needed: "3.11",
      found: [
        { path: old, version: "3.9.18" },
        { path: young, version: "3.13.0" },
      ],
    },
  });
  expect((await findPython(surroundings(["bin"]), SEVERAL)).path).toBe(young);
  rmSync(young);
  await expect(findPython(surroundings(["bin"]), SEVERAL)).rejects.toMatchObject({
    message: `Python 3.10 to 3.14 is needed, but only 3.9.18 (${old}) was found.`,
  });
});

it("takes the newest where several will do, and none that is too new", async () => {
  fake("bin/python3", "3.15.0");
  fake("bin/python3.10", "3.10.1");
  fake("bin/python3.15", "3.15.0");
  const wanted = fake("home/.pyenv/versions/3.13.2/bin/python3.13", "3.13.2");
  expect((await findPython(surroundings(["bin"]), SEVERAL)).path).not.toBe(wanted); // what is on the PATH goes first
  rmSync(join(root, "bin/python3.10"));
  expect((await findPython(surroundings(["bin"]), SEVERAL)).path).toBe(wanted);
});

it("says that there is none at all", async () => {
  await expect(findPython(surroundings(["bin"]))).rejects.toMatchObject({
    code: "python-missing",
    message: "No Python was found, and 3.11 is needed.",
  });
});

it("passes over programs that fail, say nonsense, or aren't programs", async () => {
  mkdirSync(join(root, "bin"));
  writeFileSync(join(root, "bin/python3.11"), "not executable");
  fake("b/python3.11", "3.11.1", true, "exit 3");
  fake("c/python3.11", "3.11.1", true, "echo nonsense; exit 0");
  symlinkSync("/nonexistent", join(root, "c/python3"));
  const wanted = fake("d/python3.11", "3.11.7");
  expect((await findPython(surroundings(["bin", "b", "c", "d"]))).path).toBe(wanted);
});

it("gives up on one that hangs", async () => {
  fake("bin/python3.11", "3.11.1", true, "exec sleep 60");
  const wanted = fake("bin/python3", "3.11.2");
  expect((await findPython({ ...surroundings(["bin"]), limitMs: 3_000 })).path).toBe(wanted);
});

describe("TORBIZ_PYTHON", () => {
  it("goes before all others", async () => {
    fake("bin/python3.11", "3.11.1");
    const wanted = fake("mine/py", "3.11.2");
    expect((await findPython(surroundings(["bin"], { TORBIZ_PYTHON: wanted }))).path).toBe(wanted);
  });

  it("is never silently replaced by another", async () => {
    fake("bin/python3.11", "3.11.1");
    const old = fake("mine/py", "3.8.1");
    await expect(findPython(surroundings(["bin"], { TORBIZ_PYTHON: old }))).rejects.toMatchObject({
      code: "python-missing",
      message: `The chosen Python (${old}) is 3.8.1, but 3.11 is needed.`,
    });
    await expect(findPython(surroundings(["bin"], { TORBIZ_PYTHON: "/nonexistent" }))).rejects.toMatchObject({
      message: "The chosen Python (/nonexistent) doesn't run.",
    });
  });
});

describe("on a Mac", () => {
  /** The stand-in for Python and a shim that chooses it; both tell when they were run. */
  function mac(env: NodeJS.ProcessEnv = {}): PythonSurroundings {
    fake("usr/bin/python3", "3.11.9", true, `: > "${root}/installer-opened"`);
    mkdirSync(join(root, "usr/local/bin"), { recursive: true });
    symlinkSync(join(root, "usr/bin/python3"), join(root, "usr/local/bin/python"));
    fake("home/.pyenv/shims/python3.11", "3.11.9", true, `: > "${root}/installer-opened"`);
    const where = surroundings(["tools", "home/.pyenv/shims", "usr/local/bin", "usr/bin"], env);
    return { ...where, platform: "darwin" };
  }

  function xcodeSelect(script: string): void {
    mkdirSync(join(root, "tools"), { recursive: true });
    writeFileSync(join(root, "tools/xcode-select"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }

  it.each([
    ["are missing", "echo 'xcode-select: error: unable to get active developer directory' >&2; exit 2"],
    ["were removed", "echo /Library/Developer/Gone"],
  ])("nothing runs the stand-in for Python when the developer tools %s", async (_what, script) => {
    xcodeSelect(script);
    for (const chosen of ["", join(root, "usr/bin/python3"), "python3", join(root, "usr/local/bin/python")]) {
      const looking = findPython(mac(chosen ? { TORBIZ_PYTHON: chosen } : {}));
      await expect(looking).rejects.toMatchObject({ code: "python-missing" });
      expect(existsSync(join(root, "installer-opened"))).toBe(false);
      rmSync(join(root, "usr"), { recursive: true });
    }
  });

  it("takes the developer tools' own Python where they are there", async () => {
    const wanted = fake("Developer/usr/bin/python3", "3.11.9");
    xcodeSelect(`echo "${root}/Developer"`);
    expect(await findPython({ ...surroundings(["tools"]), platform: "darwin" })).toMatchObject({ path: wanted });
  });
});

it("keeps secrets from the programs it tries", async () => {
  const wanted = fake("bin/python3.11", "3.11.1", true, '[ -z "$HF_TOKEN$PYTHONPATH" ] || exit 4');
  const env = { HF_TOKEN: "canary", PYTHONPATH: "/elsewhere" };
  expect((await findPython(surroundings(["bin"], env))).path).toBe(wanted);
});
