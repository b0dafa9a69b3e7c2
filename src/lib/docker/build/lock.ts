import { readFileSync, statSync } from "node:fs";
import { uptime } from "node:os";
import { join } from "node:path";
import type { Names } from "../../names";
import type { Paths } from "../../paths";
import { isAlive } from "../../is-alive";

/** A build that runs now, by whomever it was started. */
export interface RunningBuild {
  pid: number;
  /** ISO 8601. */
  startedAt: string;
  /** The log it writes. */
  log: string;
  /** The image's name. */
  tag: string;
}

/**
 * A build that has written nothing for so long hangs, in milliseconds: the longest step that says nothing is the download
 * of 200 MB.
 */
export const SILENT_MS = 30 * 60_000;

/** Where the build of an image keeps its lock and its log. The script by itself takes the same ones. */
export function buildFiles(paths: Paths, names: Pick<Names, "image">): { lock: string; log: string } {
  const name = `build-${names.image.replaceAll(/[^A-Za-z0-9._-]/g, "-")}`;
  return { lock: join(paths.run, `${name}.lock`), log: join(paths.logs, `${name}.log`) };
}

/**
 * The build of this image that runs now, or undefined: its lock is there, a process of its number lives, and it has shown
 * itself within `SILENT_MS` and since the computer started. Costs a few looks at files, and is good enough to show; to
 * wait for a build there is `findBuild`.
 */
export function currentBuild(paths: Paths, names: Pick<Names, "image">): RunningBuild | undefined {
  const build = readLock(paths, names);
  if (!build || !isAlive(build.pid)) return undefined;
  const lastSign = Math.max(changedAt(buildFiles(paths, names).lock), changedAt(build.log));
  return Date.now() - lastSign < Math.min(SILENT_MS, uptime() * 1_000) ? build : undefined;
}

/** When a file was last written, in milliseconds; 0 where there is none. */
function changedAt(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** The build that holds the image's lock, whether it lives or not. */
export function readLock(paths: Paths, names: Pick<Names, "image">): RunningBuild | undefined {
  try {
    const value = JSON.parse(readFileSync(buildFiles(paths, names).lock, "utf8")) as Partial<
      Record<keyof RunningBuild, unknown>
    > | null;
    const { pid, startedAt, log, tag } = value ?? {};
    if (typeof pid !== "number" || pid < 1 || !Number.isInteger(pid)) return undefined;
    if (typeof startedAt !== "string" || typeof log !== "string" || typeof tag !== "string") return undefined;
    return { pid, startedAt, log, tag };
  } catch {
    return undefined;
  }
}
