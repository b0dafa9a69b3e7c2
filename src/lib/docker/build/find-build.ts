import { readFile } from "node:fs/promises";
import { execa } from "execa";
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
  return build && (await commandOf(build.pid, platform)).includes("build-docker-macos") ? build : undefined;
}

/** A process's command line, "" when there is none of that number. */
async function commandOf(pid: number, platform: NodeJS.Platform): Promise<string> {
  // Not every Linux has ps, and no Mac has /proc.
  if (platform === "linux") return readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  // BSD's ps cuts a line at 79 columns where nobody asks for all of it.
  const { stdout } = await execa("ps", ["-ww", "-p", `${pid}`, "-o", "command="], { reject: false, timeout: 10_000 });
  return stdout;
}
