import type { FollowedLine } from "../lib/sharing/log-lines";
import { exportFile } from "./export-file";
import { lineText, type LogSource } from "./use-log";

/** Writes all that is kept of a log, which may be far more than a view shows, to a new file. Never throws. */
export async function exportLog({ read }: LogSource): Promise<void> {
  await exportFile(asText(read()), { name: "torbiz-log", extension: ".txt", done: "Log Exported" });
}

async function* asText(lines: AsyncIterable<FollowedLine>): AsyncGenerator<string> {
  for await (const line of lines) yield `${lineText(line)}\n`;
}
