import { accessSync, constants, lstatSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { TorbizError } from "../lib/errors";

/** Codes of the file system for a place where nothing can be written, whoever made it so. */
const UNWRITABLE = ["EACCES", "EPERM", "EROFS", "ENOTDIR", "EISDIR", "ENAMETOOLONG"];

/**
 * Writes a file that only its owner can read; never over one that is there.
 * @returns its absolute path
 * @throws TorbizError usage when it is there, or can't be written there
 */
export function writeNew(file: string, content: string): string {
  const path = resolve(file);
  try {
    writeFileSync(path, content, { flag: "wx", mode: 0o600 });
    return path;
  } catch (error) {
    throw named(error, path);
  }
}

/**
 * Says before long work what `writeNew` would say after it. The file isn't made yet, so that one still has the last word.
 * @throws TorbizError usage
 */
export function requireNew(file: string): void {
  const path = resolve(file);
  try {
    if (lstatSync(path, { throwIfNoEntry: false })) throw isThere(path);
    // With a slash at its end only a folder will do.
    accessSync(`${dirname(path)}/`, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw named(error, path);
  }
}

/** What the file's name is to blame for, as such; all else, such as a full disk, as it is. */
function named(error: unknown, path: string): unknown {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (code === "EEXIST") return isThere(path, error);
  if (code === "ENOENT") return usage(`There is no folder for ${path}.`, error);
  return UNWRITABLE.includes(code) ? usage(`${path} can't be written.`, error) : error;
}

function isThere(path: string, cause?: unknown): TorbizError {
  return usage(`${path} is there already.`, cause);
}

function usage(message: string, cause?: unknown): TorbizError {
  return new TorbizError("usage", message, { hint: "Name another file.", cause });
}
