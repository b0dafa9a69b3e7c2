import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { TorbizError } from "../lib/errors";

/**
 * Writes a file that only its owner can read; never over one that is there.
 * @returns its absolute path
 * @throws TorbizError usage when it is there, or there is no folder for it
 */
export function writeNew(file: string, content: string): string {
  const path = resolve(file);
  try {
    writeFileSync(path, content, { flag: "wx", mode: 0o600 });
    return path;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EEXIST" && code !== "ENOENT") throw error;
    throw new TorbizError(
      "usage",
      code === "EEXIST" ? `${path} is there already.` : `There is no folder for ${path}.`,
      {
        hint: "Name another file.",
        cause: error,
      },
    );
  }
}
