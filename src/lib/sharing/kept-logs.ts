import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ContainerInspectInfo } from "dockerode";
import type { LogLine } from "../docker/demux";
import type { EngineContext, Surroundings } from "../context";
import { redactor } from "../redact";
import { statusOf } from "../docker/engine";

/** How many ended shares keep their log. */
const KEPT = 10;
/** More than the engine itself keeps of a container's log (2 files of 5 MB) is never there. */
const ALL = 1_000_000;

/**
 * Saves a container's log in the home folder: the container goes away, its log must not. One that has ended has one file,
 * however often it is saved.
 *
 * @returns the file's path and the log's lines; undefined when another command has removed the container, or is about to
 */
export async function keepLogs(
  context: EngineContext,
  container: ContainerInspectInfo,
): Promise<{ path: string; lines: LogLine[] } | undefined> {
  const lines: LogLine[] = [];
  try {
    for await (const line of context.engine.logs(container.Id, { follow: false, tail: ALL })) lines.push(line);
  } catch (error) {
    if (statusOf(error) === 404 || statusOf(error) === 409) return undefined;
    throw error;
  }
  mkdirSync(context.paths.logs, { recursive: true, mode: 0o700 });
  const stamp = endOf(container).toISOString().replace(/[-:]/g, "").replace(/\.\d+/, "");
  const path = join(context.paths.logs, `${prefix(context)}${stamp}.log`);
  const redact = redactor(context);
  writeFileSync(path, redact(lines.map(({ time, text }) => `${time} ${text}\n`).join("")), { mode: 0o600 });
  for (const name of keptLogs(context).slice(0, -KEPT)) rmSync(join(context.paths.logs, name), { force: true });
  return { path, lines };
}

/** When a container ended; now for one that never ran, which by its engine ended in the year 1. */
function endOf({ State }: ContainerInspectInfo): Date {
  const end = new Date(State.FinishedAt);
  return end.getFullYear() > 1970 ? end : new Date();
}

/** The log of the share that ended last, or undefined when none was kept. */
export function lastKeptLog(surroundings: Surroundings): { path: string; lines: LogLine[] } | undefined {
  const name = keptLogs(surroundings).at(-1);
  if (!name) return undefined;
  const path = join(surroundings.paths.logs, name);
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line): LogLine => {
      const space = line.indexOf(" ");
      return { time: line.slice(0, space), stream: "stderr", text: line.slice(space + 1) };
    });
  return { path, lines };
}

function prefix({ names }: Pick<Surroundings, "names">): string {
  return `${names.container}-`;
}

/** Names of kept logs, oldest first. Instances share the folder: a stamp must follow the prefix at once. */
function keptLogs(surroundings: Pick<Surroundings, "names" | "paths">): string[] {
  const start = prefix(surroundings);
  try {
    return readdirSync(surroundings.paths.logs)
      .filter((name) => name.startsWith(start) && /^\d{8}T\d{6}Z\.log$/.test(name.slice(start.length)))
      .sort();
  } catch {
    return [];
  }
}
