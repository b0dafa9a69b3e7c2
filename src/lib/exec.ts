import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/**
 * Folders where the docker CLI, its credential helpers and Python are found on people's machines. A launcher's PATH has
 * only `/usr/bin:/bin:/usr/sbin:/sbin`, and misses all of them.
 */
function toolFolders(home: string = homedir()): string[] {
  return [
    join(home, ".docker", "bin"),
    "/usr/local/bin",
    "/opt/homebrew/bin",
    join(home, ".orbstack", "bin"),
    "/Applications/Docker.app/Contents/Resources/bin",
    join(home, ".rd", "bin"),
    "/usr/bin",
    "/bin",
    "/usr/sbin",
    "/sbin",
  ];
}

/** PATH for the processes we start: the user's own first, then the usual folders that it misses. */
export function searchPath(env: NodeJS.ProcessEnv = process.env, home: string = homedir()): string {
  const own = (env.PATH ?? "").split(delimiter).filter(Boolean);
  return [...own, ...toolFolders(home).filter((folder) => !own.includes(folder))].join(delimiter);
}
