import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** Bytes that a folder's files take; 0 for none. What a link leads to counts where it is. */
export function folderBytes(folder: string): number {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
  } catch {
    return 0;
  }
}
