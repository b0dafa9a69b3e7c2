import { Toast, showInFinder, showToast } from "@raycast/api";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { resolvePaths } from "../lib/paths";
import { showFailure } from "./show-failure";

/** Writes lines to a new file in Downloads, or where there is no such folder in Torbiz's own, and offers to show it. Never throws. */
export async function exportLog(lines: readonly string[]): Promise<void> {
  const downloads = join(homedir(), "Downloads");
  const folder = existsSync(downloads) ? downloads : resolvePaths().logs;
  const stamp = new Date()
    .toISOString()
    .replace(/\.\d+Z$/, "")
    .replaceAll(/[:T]/g, "-");
  const path = join(folder, `torbiz-log-${stamp}.txt`);
  try {
    await writeFile(path, lines.map((line) => `${line}\n`).join(""), { mode: 0o600 });
    await showToast({
      style: Toast.Style.Success,
      title: "Log Exported",
      message: path,
      primaryAction: { title: "Show in Finder", onAction: () => showInFinder(path) },
    });
  } catch (error) {
    await showFailure(error);
  }
}
