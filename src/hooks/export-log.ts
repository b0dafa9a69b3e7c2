import { Toast, showInFinder, showToast } from "@raycast/api";
import { createWriteStream, existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { resolvePaths } from "../lib/paths";
import type { FollowedLine } from "../lib/sharing/log-lines";
import { showFailure } from "./show-failure";
import { lineText, type LogSource } from "./use-log";

/**
 * Writes all that is kept of a log, which may be far more than a view shows, to a new file in Downloads, or where there is
 * no such folder in Torbiz's own, and offers to show it. Never throws.
 */
export async function exportLog({ read }: LogSource): Promise<void> {
  const downloads = join(homedir(), "Downloads");
  const folder = existsSync(downloads) ? downloads : resolvePaths().logs;
  const stamp = new Date()
    .toISOString()
    .replace(/\.\d+Z$/, "")
    .replaceAll(/[:T]/g, "-");
  const path = join(folder, `torbiz-log-${stamp}.txt`);
  try {
    await pipeline(asText(read()), createWriteStream(path, { mode: 0o600 }));
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

async function* asText(lines: AsyncIterable<FollowedLine>): AsyncGenerator<string> {
  for await (const line of lines) yield `${lineText(line)}\n`;
}
