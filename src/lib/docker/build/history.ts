import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Paths } from "../../paths";
import type { StepSeconds } from "./plan";

function historyFile(paths: Paths): string {
  return join(paths.run, "build-seconds.json");
}

/** What the steps took on this computer; nothing where the file is missing or broken: it only makes estimates better. */
export function readHistory(paths: Paths): StepSeconds {
  try {
    const value: unknown = JSON.parse(readFileSync(historyFile(paths), "utf8"));
    const entries = Object.entries(typeof value === "object" && value !== null ? value : {});
    return Object.fromEntries(entries.filter((entry): entry is [string, number] => Number.isFinite(entry[1])));
  } catch {
    return {};
  }
}

/** Keeps what steps took this time, beside what is known of the others. */
export function addToHistory(paths: Paths, seconds: StepSeconds): void {
  const file = historyFile(paths);
  const history = { ...readHistory(paths), ...seconds };
  const draft = `${file}.${crypto.randomUUID()}`;
  writeFileSync(draft, JSON.stringify(history), { mode: 0o600 });
  renameSync(draft, file);
}
