import type { Names } from "../../names";
import type { Paths } from "../../paths";
import { buildEnd, type BuildEnd } from "./build-end";
import { buildFiles, currentBuild } from "./lock";
import { readBuildLog } from "./read-log";

/** A build that runs no more. */
export interface EndedBuild extends BuildEnd {
  /** When it ended, ISO 8601. */
  at: string;
  /** The path of its log. */
  log: string;
}

/**
 * How the last build of this image ended, by its log, whoever started it; undefined when there was none, or one runs.
 * Files only: cheap enough for a menu bar.
 */
export function lastBuild(paths: Paths, names: Names): EndedBuild | undefined {
  if (currentBuild(paths, names)) return undefined;
  const { log } = buildFiles(paths, names);
  const written = readBuildLog(log);
  const end = written && buildEnd(written.lines, log);
  return end && { ...end, at: written.changedAt.toISOString(), log };
}
