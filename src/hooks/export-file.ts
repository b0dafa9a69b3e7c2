import { Toast, showInFinder, showToast } from "@raycast/api";
import { createWriteStream, existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { resolvePaths } from "../lib/paths";
import { showFailure } from "./show-failure";

interface ExportOptions {
  /** Of the new file; the time comes between it and the extension. */
  name: string;
  /** With its dot. */
  extension: string;
  /** What the toast says: "Log Exported". */
  done: string;
}

/**
 * Writes to a new file in Downloads, or where there is no such folder in Torbiz's own, and offers to show it. Only its
 * owner can read it. Never throws.
 */
export async function exportFile(
  content: AsyncIterable<string> | Iterable<string>,
  { name, extension, done }: ExportOptions,
): Promise<void> {
  const downloads = join(homedir(), "Downloads");
  const folder = existsSync(downloads) ? downloads : resolvePaths().logs;
  const stamp = new Date()
    .toISOString()
    .replace(/\.\d+Z$/, "")
    .replaceAll(/[:T]/g, "-");
  const path = join(folder, `${name}-${stamp}${extension}`);
  try {
    await pipeline(content, createWriteStream(path, { mode: 0o600 }));
    await showToast({
      style: Toast.Style.Success,
      title: done,
      message: path,
      primaryAction: { title: "Show in Finder", onAction: () => showInFinder(path) },
    });
  } catch (error) {
    await showFailure(error);
  }
}
