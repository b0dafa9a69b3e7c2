import { readdirSync, readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import type { Surroundings } from "../context";
import { isRecord } from "../json";
import { redactor } from "../redact";
import { PETALS_VERSION, VERSION } from "../version";
import type { Examination } from "./doctor";

/** Of the logs that were written last. */
const LOGS = 8;
const LINES = 200;

/**
 * What somebody who helps needs to know, as JSON: versions, findings, answers, and the ends of the logs. Without tokens,
 * the home folder and the user's name; questions and answers are in no log.
 */
export function reportOf(surroundings: Surroundings, { findings, answers }: Examination): string {
  const redact = redactor(surroundings);
  const report = {
    madeAt: new Date().toISOString(),
    torbiz: VERSION,
    petals: PETALS_VERSION,
    node: process.version,
    platform: `${process.platform} ${release()} ${process.arch}`,
    findings: findings.map(({ repair, ...finding }) => ({ ...finding, ...(repair && { repair: repair.title }) })),
    answers,
    logs: lastLogs(surroundings),
  };
  const redacted = (_: string, value: unknown): unknown => {
    if (typeof value === "string") return redact(value);
    if (!isRecord(value) || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [redact(name), each]));
  };
  return `${JSON.stringify(report, redacted, 2)}\n`;
}

function lastLogs({ paths }: Surroundings): Record<string, string[]> {
  const files = readdirSync(paths.logs)
    .filter((name) => name.endsWith(".log"))
    .map((name) => ({ name, at: statSync(join(paths.logs, name)).mtimeMs }))
    .sort((a, b) => b.at - a.at)
    .slice(0, LOGS);
  return Object.fromEntries(
    files.map(({ name }) => [name, readFileSync(join(paths.logs, name), "utf8").trimEnd().split("\n").slice(-LINES)]),
  );
}
