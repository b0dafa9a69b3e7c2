import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
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
  /** One file a conversation; what people ask, so nobody else may read it. */
  conversations: string;
  /** Pythons that were fetched because none of the user's fits; made with the first. */
  pythons: string;
}

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
    conversations: join(home, "conversations"),
    pythons: join(home, "pythons"),
  };
}

/**
 * Makes the home folder and its rooms, private to the user.
 * @throws TorbizError home-not-writable with the folder's name
 */
export function prepareHome(paths: Paths): void {
  for (const folder of [paths.home, paths.run, paths.logs, paths.models, paths.envs, paths.conversations]) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new TorbizError("home-not-writable", `${folder} can't be made or written.`, { cause: error });
    }
  }
}
