import { access, constants, readdir, realpath } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { TorbizError } from "../errors";
import { searchPath } from "../exec";
import type { Paths } from "../paths";
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
  paths: Pick<Paths, "pythons">;
  /** Where absolute places such as /opt/homebrew are looked for: another folder in tests. */
  root?: string;
  /** How long a program may take to say what it is, milliseconds. */
  limitMs?: number;
}

/** The minor versions of Python 3 that will do, both ends included. */
export interface PythonRange {
  oldest: number;
  newest: number;
}

const LIMIT_MS = 10_000;
/**
 * `path` is the name with the minor version where there is one: `python3` may be another version tomorrow, and an
 * environment is a link to it.
 */
const PROBE = `
import importlib.util, json, os, platform, sys
path = sys.executable
exact = os.path.join(os.path.dirname(path), "python%d.%d" % sys.version_info[:2])
print(json.dumps({
    "path": exact if os.path.exists(exact) and os.path.samefile(exact, path) else path,
    "version": platform.python_version(),
    "canMakeVenv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
}))`;

/**
 * Finds a Python of the user: TORBIZ_PYTHON where it is set, else the PATH, else the places where pyenv, Homebrew,
 * python.org and uv put it, and last those that Torbiz fetched. Newer ones go before older ones, and one that can make
 * environments before one that can't.
 *
 * @throws TorbizError python-missing; `details`: what is `needed`, and what was `found` ({path, version} each)
 */
export async function findPython(surroundings: PythonSurroundings, range: PythonRange): Promise<FoundPython> {
  const needed = describeRange(range);
  const named = surroundings.env.TORBIZ_PYTHON;
  if (named) {
    const path = await resolveProgram(surroundings, named);
    const python = (await opensInstaller(surroundings, path)) ? undefined : await probe(surroundings, path);
    if (python && fits(python, range)) return python;
    throw new TorbizError(
      "python-missing",
      python
        ? `The chosen Python (${named}) is ${python.version}, but ${needed} is needed.`
        : `The chosen Python (${named}) doesn't run.`,
      {
        hint: `Choose another: Python ${needed}.`,
        cliHint: "It is named by TORBIZ_PYTHON.",
        details: { needed, found: python ? [{ path: named, version: python.version }] : [] },
      },
    );
  }
  const seen = new Map<string, FoundPython>();
  for (const candidate of await candidates(surroundings, range)) {
    const python = await probe(surroundings, candidate);
    if (!python) continue;
    if (fits(python, range) && python.canMakeVenv) return python;
    seen.set(python.path, python);
  }
  const incomplete = [...seen.values()].find((python) => fits(python, range));
  if (incomplete) return incomplete;
  const found = [...seen.values()].map(({ path, version }) => ({ path, version }));
  throw new TorbizError(
    "python-missing",
    found.length === 0
      ? `No Python was found, and ${needed} is needed.`
      : `Python ${needed} is needed, but only ${found.map(({ path, version }) => `${version} (${path})`).join(", ")} was found.`,
    {
      hint: `Install Python ${needed}, or choose one that you have.`,
      cliHint: "Name it with TORBIZ_PYTHON.",
      details: { needed, found },
    },
  );
}

/** "3.11", or "3.10 to 3.14". */
function describeRange({ oldest, newest }: PythonRange): string {
  return oldest === newest ? `3.${oldest}` : `3.${oldest} to 3.${newest}`;
}

function fits({ version }: FoundPython, { oldest, newest }: PythonRange): boolean {
  const [major, minor = 0] = version.split(".").map(Number);
  return major === 3 && minor >= oldest && minor <= newest;
}

/** Existing programs to try, best first, each once. */
async function candidates(surroundings: PythonSurroundings, { oldest, newest }: PythonRange): Promise<string[]> {
  const { home, paths, root = "/" } = surroundings;
  const folders = searchFolders(surroundings);
  const versions = Array.from({ length: newest - oldest + 1 }, (_, index) => `3.${newest - index}`);
  const onPath = [...versions.map((version) => `python${version}`), "python3", "python"].flatMap((name) =>
    folders.map((folder) => join(folder, name)),
  );
  const elsewhere = versions.map(async (version) => [
    join(root, "opt/homebrew/opt", `python@${version}`, "bin", `python${version}`),
    join(root, "usr/local/opt", `python@${version}`, "bin", `python${version}`),
    join(root, "Library/Frameworks/Python.framework/Versions", version, "bin", `python${version}`),
    ...(await versionsIn(join(home, ".pyenv/versions"), "", version)),
    ...(await versionsIn(join(home, ".local/share/uv/python"), "cpython-", version)),
    ...(await versionsIn(paths.pythons, "cpython-", version)),
  ]);
  const places = [...onPath, ...(await Promise.all(elsewhere)).flat(), ...(await developerPython(surroundings))];
  const found: string[] = [];
  const real = new Set<string>();
  for (const path of places) {
    if (!(await canRun(path)) || (await opensInstaller(surroundings, path))) continue;
    // A shim is one program under many names and chooses by its name, so only names in one folder are told apart.
    const key = SHIM.test(path) ? path : await realpath(path);
    if (real.has(key)) continue;
    real.add(key);
    found.push(path);
  }
  return found;
}

/** Where programs are looked for. */
export function searchFolders({ env, home, root = "/" }: Pick<PythonSurroundings, "env" | "home" | "root">): string[] {
  return (root === "/" ? searchPath(env, home) : (env.PATH ?? "")).split(delimiter).filter(Boolean);
}

/** A program as a person names it: a path, one from the home folder (~/), or a name on the PATH. */
async function resolveProgram(surroundings: PythonSurroundings, named: string): Promise<string> {
  if (named.startsWith("~/")) return join(surroundings.home, named.slice(2));
  if (named.includes("/")) return named;
  for (const folder of searchFolders(surroundings)) {
    if (await canRun(join(folder, named))) return join(folder, named);
  }
  return named;
}

async function versionsIn(folder: string, prefix: string, version: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => name.startsWith(`${prefix}${version}.`))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))
    .map((name) => join(folder, name, "bin", `python${version}`));
}

async function canRun(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Folders of programs that stand for another one, which they choose when they run: pyenv, asdf, mise. */
const SHIM = /\/shims\//;

/**
 * Whether running a program could open the installer of Apple's developer tools: without them, a Mac's /usr/bin/python3
 * is a stand-in that does so, and a shim may choose it.
 */
async function opensInstaller(surroundings: PythonSurroundings, path: string): Promise<boolean> {
  const { platform, root = "/" } = surroundings;
  if (platform !== "darwin") return false;
  const target = await realpath(path).catch(() => path);
  const suspect = SHIM.test(path) || target.startsWith(join(root, "usr/bin/python"));
  return suspect && (await developerPython(surroundings)).length === 0;
}

/** The Python of Apple's developer tools, in their own folder, where a Mac has them. */
async function developerPython({ env, home, platform, limitMs = LIMIT_MS }: PythonSurroundings): Promise<string[]> {
  if (platform !== "darwin") return [];
  const { failed, stdout } = await execa("xcode-select", ["-p"], {
    env: pythonEnv(env, home),
    extendEnv: false,
    stdin: "ignore",
    reject: false,
    timeout: limitMs,
  });
  const path = join(stdout, "usr/bin/python3");
  return !failed && (await canRun(path)) ? [path] : [];
}

/** What a program says about itself, or undefined when it is no Python that runs. */
async function probe(
  { env, home, limitMs = LIMIT_MS }: PythonSurroundings,
  path: string,
): Promise<FoundPython | undefined> {
  const result = await execa(path, ["-I", "-c", PROBE], {
    // pyenv's shims choose by these.
    env: pythonEnv(env, home, /^PYENV_/),
    extendEnv: false,
    stdin: "ignore",
    reject: false,
    timeout: limitMs,
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
