import { createHash } from "node:crypto";
import { lstatSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TorbizError } from "./errors";
import type { Paths } from "./paths";

/** The longest path that a unix socket can have on macOS, in bytes (`sun_path` without its NUL). */
const SOCKET_PATH_LIMIT = 103;

/**
 * The path of a socket named `name` in the run folder, or in a private temp folder where that would be too long.
 * @throws TorbizError home-not-writable when that temp folder is not private: its name can be foreseen by other users
 */
export function socketPath(paths: Paths, name: string): string {
  const path = join(paths.run, name);
  if (Buffer.byteLength(path) <= SOCKET_PATH_LIMIT) return path;
  const folder = join(tmpdir(), `torbiz-${createHash("sha256").update(paths.home).digest("hex").slice(0, 12)}`);
  if (!makePrivate(folder)) {
    throw new TorbizError("home-not-writable", `${folder} is not a private folder of yours.`, {
      hint: "Remove it, and try again.",
      cliHint: "Or name a folder with a shorter path with TORBIZ_HOME.",
    });
  }
  return join(folder, name);
}

/** Whether `folder` is there, or could be made, and is nobody's but ours. */
function makePrivate(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const facts = lstatSync(folder);
    return facts.isDirectory() && facts.uid === process.getuid?.() && (facts.mode & 0o777) === 0o700;
  } catch {
    return false;
  }
}
