import { dirname, join } from "node:path";
import { findPython, type FoundPython } from "../ask/python";
import { findDebian, installPackages } from "./debian";
import type { SetUpSurroundings } from "./surroundings";

/**
 * Debian's own Python can't make environments until a package of its own is there: installs it, as root. Any other Python
 * is left as it is; where that one can't make environments either, making one says so.
 *
 * @param python as `findPython` found it
 * @returns the Python to make environments with
 * @throws TorbizError setup-failed
 */
export async function ensurePythonVenv(surroundings: SetUpSurroundings, python: FoundPython): Promise<FoundPython> {
  const { root = "/" } = surroundings;
  const debianOwn = dirname(python.path) === join(root, "usr", "bin");
  if (python.canMakeVenv || !debianOwn || !(await findDebian(surroundings))) return python;
  const minor = python.version.split(".").slice(0, 2).join(".");
  await installPackages(surroundings, [`python${minor}-venv`]);
  return findPython(surroundings);
}
