import { dirname, join } from "node:path";
import { pythonFor } from "../src/lib/ask/ask-environments";
import { ensureEnvironment } from "../src/lib/ask/environment";
import { findPython } from "../src/lib/ask/python";
import { ensurePythonVenv } from "../src/lib/setup/python-venv";
import type { SetUpSurroundings } from "../src/lib/setup/surroundings";

/** The ask environment's packages, so that types and tests see what runs, and the tools on top. */
const LOCKS = ["build.txt", "swarm.txt", "dev.txt"];

/**
 * The Python environment that checks and tests: made once for each state of the locks.
 * @returns its `bin` folder
 * @throws TorbizError python-missing, environment-failed, setup-failed
 */
export async function ensureDevEnvironment(root: string, surroundings: SetUpSurroundings): Promise<string> {
  const range = pythonFor("swarm");
  const environment = await ensureEnvironment({
    ...surroundings,
    kind: "dev",
    findPython: async () => ensurePythonVenv(surroundings, range, await findPython(surroundings, range)),
    locks: LOCKS.map((name) => join(root, "python", "requirements", name)),
    bytes: 2e9,
  });
  return dirname(environment.python);
}
