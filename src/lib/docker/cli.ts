import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { TorbizError } from "../errors";
import { searchPath } from "../exec";
import type { DockerSurroundings } from "./endpoint";

/**
 * The absolute path of the docker command: on the user's PATH, else in the folders where engines put it (a launcher's
 * PATH misses those).
 * @throws TorbizError docker-cli-missing
 */
export async function findDockerCli(surroundings: DockerSurroundings): Promise<string> {
  const { home, platform } = surroundings;
  const found = await findProgram(surroundings, platform === "win32" ? "docker.exe" : "docker");
  if (found !== undefined) return found;
  throw new TorbizError(
    "docker-cli-missing",
    `No docker command was found on PATH or in the usual folders (such as ${join(home, ".docker", "bin")}).`,
    platform === "linux"
      ? { hint: "Install it, for example with `sudo apt-get install docker.io` on Debian or Ubuntu, and try again." }
      : {},
  );
}

/** The absolute path of a program in the same places; undefined where it is in none of them. */
export async function findProgram(
  { env, home, root = "/" }: DockerSurroundings,
  name: string,
): Promise<string | undefined> {
  // Only the usual folders move with `root`: PATH says where it means.
  const own = (env.PATH ?? "").split(delimiter);
  const folders = searchPath(env, home)
    .split(delimiter)
    .map((folder) => (root === "/" || own.includes(folder) || folder.startsWith(home) ? folder : join(root, folder)));
  for (const folder of folders) {
    const path = join(folder, name);
    if (await isProgram(path)) return path;
  }
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
