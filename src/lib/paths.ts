import { lstatSync, mkdirSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createHash } from "node:crypto";
import { TorbizError } from "./errors";

/** Where Torbiz keeps its files. Folders are made by `prepareHome`, 0700 unless said otherwise. */
export interface Paths {
  /** `~/.torbiz`, or TORBIZ_HOME. */
  home: string;
  /** Sockets, locks and notes about what runs. */
  run: string;
  logs: string;
  /** Model folders, 0755/0644: the container's user reads them through a read-only mount. */
  models: string;
  /** One Python environment a folder, named by the hash of its lock. */
  envs: string;
}

/** The longest path that a unix socket can have on macOS, in bytes (`sun_path` without its NUL). */
const SOCKET_PATH_LIMIT = 103;

/**
 * The home folder's layout. Makes nothing.
 *
 * @example
 * const paths = resolvePaths(process.env);
 */
export function resolvePaths(env: NodeJS.ProcessEnv = process.env): Paths {
  // Absolute: the engine takes no other path for a mount.
  const home = resolve(env.TORBIZ_HOME || join(homedir(), ".torbiz"));
  return {
    home,
    run: join(home, "run"),
    logs: join(home, "logs"),
    models: join(home, "models"),
    envs: join(home, "envs"),
  };
}

/**
 * Makes the home folder and its rooms, private to the user.
 * @throws TorbizError home-not-writable with the folder's name
 */
export function prepareHome(paths: Paths): void {
  for (const folder of [paths.home, paths.run, paths.logs, paths.models, paths.envs]) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new TorbizError("home-not-writable", `${folder} can't be made or written.`, { cause: error });
    }
  }
}

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
