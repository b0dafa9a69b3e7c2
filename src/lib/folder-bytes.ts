import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * Bytes that a file takes, or all files in a folder; 0 for none. What can't be read counts nothing, and what a link leads to
 * counts where it is.
 */
export function folderBytes(path: string): number {
  try {
    const facts = lstatSync(path);
    if (!facts.isDirectory()) return facts.isFile() ? facts.size : 0;
    return readdirSync(path).reduce((sum, name) => sum + folderBytes(join(path, name)), 0);
  } catch {
    return 0;
  }
}
