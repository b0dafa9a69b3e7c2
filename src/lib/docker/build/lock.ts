import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import { join } from "node:path";
import type { Names } from "../../names";
import type { Paths } from "../../paths";

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

/** Where the build of an image keeps its lock and its log. The script by itself takes the same ones. */
export function buildFiles(paths: Paths, names: Names): { lock: string; log: string } {
  const name = `build-${names.image.replaceAll(/[^A-Za-z0-9._-]/g, "-")}`;
  return { lock: join(paths.run, `${name}.lock`), log: join(paths.logs, `${name}.log`) };
}

/**
 * The build of this image that runs now, or undefined: its lock is there and its process lives. A lock from before the
 * computer started is a dead one, whichever process has its number now.
 */
export function currentBuild(paths: Paths, names: Names): RunningBuild | undefined {
  const build = readLock(buildFiles(paths, names).lock);
  if (!build) return undefined;
  const computerStarted = Date.now() - uptime() * 1000;
  return Date.parse(build.startedAt) > computerStarted && isAlive(build.pid) ? build : undefined;
}

/** Whether a process of that number is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function readLock(file: string): RunningBuild | undefined {
  try {
    const value = JSON.parse(readFileSync(file, "utf8")) as Partial<Record<keyof RunningBuild, unknown>> | null;
    const { pid, startedAt, log, tag } = value ?? {};
    if (typeof pid !== "number" || pid < 1 || !Number.isInteger(pid)) return undefined;
    if (typeof startedAt !== "string" || typeof log !== "string" || typeof tag !== "string") return undefined;
    return { pid, startedAt, log, tag };
  } catch {
    return undefined;
  }
}
