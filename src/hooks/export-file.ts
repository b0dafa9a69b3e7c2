import { Toast, showInFinder, showToast } from "@raycast/api";
import { existsSync } from "node:fs";
import { open, rm } from "node:fs/promises";
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
    await write(content, path);
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

/** All of it or no file: a part would be taken for all. */
async function write(content: AsyncIterable<string> | Iterable<string>, path: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await pipeline(content, file.createWriteStream());
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}
