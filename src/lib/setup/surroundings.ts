import { existsSync } from "node:fs";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { DockerSurroundings } from "../docker/endpoint";
import { searchPath } from "../exec";
import type { Paths } from "../paths";
import type { OnProgress } from "../progress";

/** The machine to set up. */
export interface SetUpSurroundings extends DockerSurroundings {
  paths: Paths;
  onProgress: OnProgress;
  /** Takes what was changed on the machine, when it is done: "Started Docker Engine". */
  onChanged?: (change: string) => void;
  signal?: AbortSignal;
  /** Who we are, 0 is root; this process' own user unless told otherwise. */
  uid?: number;
}

/** PATH for set-up commands. With a `root` of its own a machine has only what its own PATH holds. */
export function toolPath({ env, home, root = "/" }: SetUpSurroundings): string {
  return root === "/" ? searchPath(env, home) : (env.PATH ?? "");
}

/** The absolute path of a command, or undefined when it isn't installed. */
export async function findCommand(surroundings: SetUpSurroundings, name: string): Promise<string | undefined> {
  for (const folder of toolPath(surroundings).split(delimiter)) {
    const path = join(folder, name);
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  return undefined;
}

/** Whether systemd starts and watches this machine's services: sd_booted(3) looks at the same folder. */
export function hasSystemd({ root = "/" }: SetUpSurroundings): boolean {
  return existsSync(join(root, "run", "systemd", "system"));
}
