import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** Enough for any build's log; of a longer one the middle is left out. */
const TAIL_BYTES = 1024 * 1024;
const HEAD_BYTES = 64 * 1024;

/** What a build has written, as it is now. */
export interface BuildLog {
  /** Whole lines; where a long log's middle is left out, nothing says so. */
  lines: string[];
  /** When it was last written. */
  changedAt: Date;
}

/** A build's log with its head and at most its last megabyte; undefined where there is none. */
export function readBuildLog(log: string): BuildLog | undefined {
  let file: number;
  try {
    file = openSync(log, "r");
  } catch {
    return undefined;
  }
  try {
    const { size, mtime } = fstatSync(file);
    if (size <= HEAD_BYTES + TAIL_BYTES) return { lines: wholeLines(read(file, 0, size)), changedAt: mtime };
    const head = wholeLines(read(file, 0, HEAD_BYTES));
    // The first line of the tail has lost its beginning.
    const tail = wholeLines(read(file, size - TAIL_BYTES, TAIL_BYTES)).slice(1);
    return { lines: [...head, ...tail], changedAt: mtime };
  } finally {
    closeSync(file);
  }
}

function read(file: number, position: number, length: number): string {
  const buffer = Buffer.alloc(length);
  return buffer.toString("utf8", 0, readSync(file, buffer, 0, length, position));
}

/** What follows the last line break is still being written. */
function wholeLines(text: string): string[] {
  return text.split("\n").slice(0, -1);
}
