import { dirname, join } from "node:path";
import { findPython, type FoundPython, type PythonRange } from "../ask/python";
import { findDebian, installPackages } from "./debian";
import type { SetUpSurroundings } from "./surroundings";

/**
 * The package that Debian's own Python lacks for making environments. Any other Python is left as it is; where that one
 * can't make environments either, making one says so.
 */
export async function missingVenvPackage(
  surroundings: SetUpSurroundings,
  python: FoundPython,
): Promise<string | undefined> {
  const { root = "/" } = surroundings;
  const debianOwn = dirname(python.path) === join(root, "usr", "bin");
  if (python.canMakeVenv || !debianOwn || !(await findDebian(surroundings))) return undefined;
  const minor = python.version.split(".").slice(0, 2).join(".");
  return `python${minor}-venv`;
}

/**
 * Installs what `missingVenvPackage` names.
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
