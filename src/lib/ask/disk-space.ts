import { statfs } from "node:fs/promises";
import { TorbizError } from "../errors";

/** @returns bytes that this user may still write into a folder's file system */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/**
 * Sees to it that nothing is fetched in vain.
 *
 * @param what that takes the space, as it goes on from "No space is left for"
 * @throws TorbizError disk-full
 */
export async function requireSpace(folder: string, what: string, bytes: number): Promise<void> {
  const free = await freeBytes(folder);
  if (free < bytes) {
    throw new TorbizError(
      "disk-full",
      `Only ${gigabytes(free)} is free for ${what}: it takes about ${gigabytes(bytes)}.`,
    );
  }
}

/** Whether a command's output says that the disk is full: as the system, Python or Rust has it. */
export function tellsOfNoSpace(output: string): boolean {
  return /No space left on device|Errno 28|os error 28/.test(output);
}

/** The disk got full all the same. */
export function noSpace(what: string, bytes: number, details: Readonly<Record<string, unknown>>): TorbizError {
  return new TorbizError("disk-full", `No space is left for ${what}: it takes about ${gigabytes(bytes)}.`, { details });
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
