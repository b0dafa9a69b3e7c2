import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { toTorbizError } from "../errors";
import { findDebian, installPackages } from "./debian";
import { runStep } from "./run-step";
import type { SetUpSurroundings } from "./surroundings";

/**
 * Debian's own Python can't make environments with pip in them until a package of its own is there: installs it, as root.
 * Any other Python is left as it is; where it can't make environments either, making one says so.
 *
 * @param python absolute path of the Python that is to make environments
 * @throws TorbizError setup-failed
 */
export async function ensurePythonVenv(surroundings: SetUpSurroundings, python: string): Promise<void> {
  const complete = await runStep(surroundings, python, ["-c", "import ensurepip, venv"], { timeoutMs: 30_000 }).then(
    () => true,
    (error: unknown) => {
      if (toTorbizError(error).code === "setup-failed") return false;
      throw error;
    },
  );
  if (complete) return;
  const file = await realpath(python);
  if (dirname(file) !== join(surroundings.root ?? "/", "usr", "bin") || !(await findDebian(surroundings))) return;
  await installPackages(surroundings, [`${basename(file)}-venv`]);
}
