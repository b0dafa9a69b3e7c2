import type { Names } from "../../names";
import type { Paths } from "../../paths";
import { currentBuild, type RunningBuild } from "./lock";
import { openParser } from "./open-parser";
import type { BuildProgress } from "./progress";
import { readBuildLog } from "./read-log";

/** A running build at one moment. */
export interface BuildPeek extends BuildProgress {
  build: RunningBuild;
}

/**
 * How far the build of this image is that runs now, whoever started it; undefined when none runs. Reads files only: no
 * process, no engine, and nothing is kept between two looks. Step and steps are exact; percent and time are estimated
 * from when the build began and from what its steps took the last time.
 *
 * @param runtimeFiles the folder that holds docker/ and python/
 */
export function peekBuild(paths: Paths, names: Names, runtimeFiles: string): BuildPeek | undefined {
  const build = currentBuild(paths, names);
  if (!build) return undefined;
  const parser = openParser(paths, runtimeFiles, build);
  const lines = readBuildLog(build.log)?.lines ?? [];
  // Before a build has its own log, an earlier one's may still lie there.
  if (lines[0]?.startsWith(`torbiz: build pid=${build.pid} `)) for (const line of lines) parser.read(line, false);
  return { build, ...parser.progress() };
}
