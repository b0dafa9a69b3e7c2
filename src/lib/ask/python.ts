import { realpathSync } from "node:fs";
import { access, constants, readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { TorbizError } from "../errors";
import { searchPath } from "../exec";
import { pythonEnv } from "./python-env";

/** A Python that can run what we need. */
export interface FoundPython {
  /** Absolute path of the program itself, not of a shim that chooses one. */
  path: string;
  /** Such as "3.11.9". */
  version: string;
  /** Whether its venv module is complete: Debian has it in a package of its own. */
  canMakeVenv: boolean;
}

export interface PythonSurroundings {
  env: NodeJS.ProcessEnv;
  /** The user's home folder. */
  home: string;
  platform: NodeJS.Platform;
  /** Where absolute places such as /opt/homebrew are looked for: another folder in tests. */
  root?: string;
}

/** The only minor version for which Petals and its packages are locked. */
const NEEDED = "3.11";
const PROBE_LIMIT_MS = 10_000;
const PROBE = `
import importlib.util, json, platform, sys
print(json.dumps({
    "path": sys.executable,
    "version": platform.python_version(),
    "canMakeVenv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
}))`;

/**
 * Finds the user's Python 3.11: TORBIZ_PYTHON where it is set, else the PATH, else the places where pyenv, Homebrew,
 * python.org and uv put it. One that can make environments goes before one that can't.
 *
 * @throws TorbizError python-missing, with the versions that were found
 */
export async function findPython(surroundings: PythonSurroundings): Promise<FoundPython> {
  const named = surroundings.env.TORBIZ_PYTHON;
  if (named) {
    const python = await probe(surroundings, named);
    if (python && fits(python)) return python;
    throw new TorbizError(
      "python-missing",
      python
        ? `The chosen Python (${named}) is ${python.version}, but ${NEEDED} is needed.`
        : `The chosen Python (${named}) doesn't run.`,
    );
  }
  const seen = new Map<string, FoundPython>();
  for (const candidate of await candidates(surroundings)) {
    const python = await probe(surroundings, candidate);
    if (!python) continue;
    if (fits(python) && python.canMakeVenv) return python;
    seen.set(python.path, python);
  }
  const incomplete = [...seen.values()].find(fits);
  if (incomplete) return incomplete;
  const versions = [...new Set([...seen.values()].map((python) => python.version))];
  throw new TorbizError(
    "python-missing",
    versions.length === 0
      ? `No Python was found, and ${NEEDED} is needed.`
      : `Python ${NEEDED} is needed, but only ${versions.join(", ")} was found.`,
  );
}

function fits({ version }: FoundPython): boolean {
  return version.startsWith(`${NEEDED}.`);
}

/** Existing programs to try, best first, each once. */
async function candidates({ env, home, platform, root = "/" }: PythonSurroundings): Promise<string[]> {
  const folders = (root === "/" ? searchPath(env, home) : (env.PATH ?? "")).split(delimiter).filter(Boolean);
  const onPath = [`python${NEEDED}`, "python3", "python"].flatMap((name) =>
    folders.map((folder) => join(folder, name)),
  );
  const elsewhere = [
    join(root, "opt/homebrew/opt", `python@${NEEDED}`, "bin", `python${NEEDED}`),
    join(root, "usr/local/opt", `python@${NEEDED}`, "bin", `python${NEEDED}`),
    join(root, "Library/Frameworks/Python.framework/Versions", NEEDED, "bin", `python${NEEDED}`),
    ...(await versionsIn(join(home, ".pyenv/versions"), `${NEEDED}.`)),
    ...(await versionsIn(join(home, ".local/share/uv/python"), `cpython-${NEEDED}.`)),
  ];
  const found: string[] = [];
  const real = new Set<string>();
  for (const path of [...onPath, ...elsewhere]) {
    if (!(await canRun(path)) || (await isInstallerStub(path, env, home, platform))) continue;
    const target = realpathSync(path);
    // A shim is one program under many names and chooses by its name, so only names in one folder are told apart.
    const key = /shims/.test(path) ? path : target;
    if (real.has(key)) continue;
    real.add(key);
    found.push(path);
  }
  return found;
}

async function versionsIn(folder: string, prefix: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => name.startsWith(prefix))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))
    .map((name) => join(folder, name, "bin", `python${NEEDED}`));
}

async function canRun(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** On a Mac without the command line tools /usr/bin/python3 opens an installer window when it is run. */
async function isInstallerStub(
  path: string,
  env: NodeJS.ProcessEnv,
  home: string,
  platform: NodeJS.Platform,
): Promise<boolean> {
  if (platform !== "darwin" || !/^\/usr\/bin\/python/.test(path)) return false;
  const result = await execa("xcode-select", ["-p"], {
    env: pythonEnv(env, home),
    extendEnv: false,
    reject: false,
    timeout: PROBE_LIMIT_MS,
  });
  return result.failed;
}

/** What a program says about itself, or undefined when it is no Python that runs. */
async function probe({ env, home }: PythonSurroundings, path: string): Promise<FoundPython | undefined> {
  const result = await execa(path, ["-I", "-c", PROBE], {
    // pyenv's shims choose by these.
    env: pythonEnv(env, home, /^PYENV_/),
    extendEnv: false,
    stdin: "ignore",
    reject: false,
    timeout: PROBE_LIMIT_MS,
    killSignal: "SIGKILL",
  });
  if (result.failed) return undefined;
  try {
    const { path: program, version, canMakeVenv } = JSON.parse(result.stdout) as Record<string, unknown>;
    if (typeof program !== "string" || typeof version !== "string" || program === "") return undefined;
    return { path: program, version, canMakeVenv: canMakeVenv === true };
  } catch {
    return undefined;
  }
}
