import { commandLineOf } from "../../command-line-of";
import type { Names } from "../../names";
import type { Paths } from "../../paths";
import { readLock, type RunningBuild } from "./lock";

/**
 * The build of this image that runs now, or undefined. A killed build's number may have gone to another program: the
 * command line tells, as it does to the script.
 */
export async function findBuild(
  paths: Paths,
  names: Names,
  platform: NodeJS.Platform = process.platform,
): Promise<RunningBuild | undefined> {
  const build = readLock(paths, names);
  return build && (await commandLineOf(build.pid, platform)).includes("build-docker-macos") ? build : undefined;
}
