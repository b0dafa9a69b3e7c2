import { dirname, join } from "node:path";
import { pythonFor } from "../ask/ask-environments";
import { findPython, type FoundPython, type PythonRange } from "../ask/python";
import { findDebian, installPackages } from "./debian";
import type { SetUpSurroundings } from "./surroundings";

/** What `ensurePythonVenv` would install for the Pythons that answer questions. */
export async function missingVenvPackages(surroundings: SetUpSurroundings): Promise<string[]> {
  const missing = new Set<string>();
  for (const kind of ["local", "swarm"] as const) {
    // Where none fits, one is fetched that lacks nothing.
    const python = await findPython(surroundings, pythonFor(kind)).catch(() => undefined);
    const name = python && (await missingVenvPackage(surroundings, python));
    if (name) missing.add(name);
  }
  return [...missing];
}

/**
 * The package that Debian's own Python lacks for making environments. Any other Python is left as it is; where that one
 * can't make environments either, making one says so.
 */
async function missingVenvPackage(surroundings: SetUpSurroundings, python: FoundPython): Promise<string | undefined> {
  const { root = "/" } = surroundings;
  const debianOwn = dirname(python.path) === join(root, "usr", "bin");
  if (python.canMakeVenv || !debianOwn || !(await findDebian(surroundings))) return undefined;
  const minor = python.version.split(".").slice(0, 2).join(".");
  return `python${minor}-venv`;
}

/**
 * Installs the package that Debian's own Python lacks for making environments.
 *
 * @param range what `python` was looked for with
 * @param python as `findPython` found it
 * @returns the Python to make environments with
 * @throws TorbizError setup-failed
 */
export async function ensurePythonVenv(
  surroundings: SetUpSurroundings,
  range: PythonRange,
  python: FoundPython,
): Promise<FoundPython> {
  const missing = await missingVenvPackage(surroundings, python);
  if (!missing) return python;
  await installPackages(surroundings, [missing]);
  return findPython(surroundings, range);
}
