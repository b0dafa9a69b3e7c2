import type { Surroundings } from "../lib/context";
import { openEngine } from "../lib/context";
import type { LogLine } from "../lib/docker/demux";
import { interrupted } from "../lib/docker/docker-error";
import { TorbizError } from "../lib/errors";
import { redactor } from "../lib/redact";
import { followThrough } from "../lib/sharing/follow-through";
import { lastKeptLog } from "../lib/sharing/kept-logs";
import { atLeast, type Level } from "../lib/sharing/log-lines";
import { readStatus } from "../lib/sharing/status";
import { foreignContainer } from "../lib/sharing/stop";
import { parseSince } from "../lib/since";
import type { Session } from "./session";
import { requireNew, writeNew } from "./write-new";

export interface LogFlags {
  follow?: boolean;
  /** How many of the last lines; 200 where nothing else limits them. */
  lines?: number;
  /** A time, or how long ago. */
  since?: string;
  level?: Level;
  /** A file to make of it. */
  export?: string;
}

const LINES = 200;

/**
 * `torbiz logs`: of the share that runs, else of the one that ended last. Without tokens, the home folder and the user's
 * name, as what is shown here is shown to others.
 */
export async function runLogs(session: Session, flags: LogFlags): Promise<void> {
  const { output, surroundings, signal } = session;
  if (flags.export !== undefined) requireNew(flags.export);
  const redact = redactor(surroundings);
  const lines = await linesOf(session, flags);
  if (flags.export !== undefined) {
    const all: string[] = [];
    for await (const { time, text } of lines) all.push(redact(`${time} ${text}\n`));
    // The engine's stream ends quietly then: it isn't all of the log.
    if (signal.aborted) throw interrupted(signal);
    const path = writeNew(flags.export, all.join(""));
    output.result({ lines: all.length, path }, `Wrote ${all.length} lines to ${path}.`);
    return;
  }
  let count = 0;
  for await (const line of lines) {
    output.log({ ...line, text: redact(line.text) });
    count += 1;
  }
  output.result({ lines: count }, "");
}

async function linesOf(
  session: Session,
  { follow = false, level, ...flags }: LogFlags,
): Promise<AsyncIterable<LogLine>> {
  const { output, surroundings, signal } = session;
  const since = flags.since === undefined ? undefined : parseSince(flags.since);
  const count = flags.lines ?? (since !== undefined || level || flags.export !== undefined ? Infinity : LINES);
  // What belongs to a line before it is wanted with that one: so each reading has a memory of its own.
  const wanted = () => (level ? atLeast(level) : () => true);
  const context = await openEngine(surroundings);
  const { engine, names } = context;
  const container = await engine.inspect(names.container);
  if (!container) return last(count, filter(since, wanted(), lastLog(surroundings, output.note)));
  if (readStatus(container).state === "foreign") throw foreignContainer(names.container, container.Config.Image);
  // The engine counts lines before they are chosen.
  const tail = level || count === Infinity ? undefined : count;
  const chosen = () => filter(since, wanted(), engine.logs(container.Id, { since, tail, signal }));
  if (!follow) return last(count, chosen());
  const onCut = () => output.note("Docker went away. The log goes on when it is back.");
  const followed = filter(since, wanted(), followThrough(context, container.Id, { since, tail, signal }, onCut));
  return level && count !== Infinity ? after((await all(chosen())).length - count, followed) : followed;
}

async function all(lines: AsyncIterable<LogLine>): Promise<LogLine[]> {
  const found: LogLine[] = [];
  for await (const line of lines) found.push(line);
  return found;
}

/** All but the first so many. */
async function* after(count: number, lines: AsyncIterable<LogLine>): AsyncGenerator<LogLine> {
  let seen = 0;
  for await (const line of lines) {
    seen += 1;
    if (seen > count) yield line;
  }
}

function lastLog(surroundings: Surroundings, note: (message: string) => void): LogLine[] {
  const kept = lastKeptLog(surroundings);
  if (!kept) throw new TorbizError("not-sharing", "Nothing is shared, and nothing was: there is no log.");
  note(`Nothing is shared now. This is the log of the share that ended last: ${kept.path}`);
  return kept.lines;
}

async function* filter(
  since: string | undefined,
  isWanted: (line: LogLine) => boolean,
  lines: AsyncIterable<LogLine> | Iterable<LogLine>,
): AsyncGenerator<LogLine> {
  // Times of logs have nine digits after the point, and are compared as text.
  const from = since?.replace("Z", "") ?? "";
  for await (const line of lines) {
    // Asked of each line, as what belongs to one depends on it.
    if (isWanted(line) && line.time >= from) yield line;
  }
}

async function* last(count: number, lines: AsyncIterable<LogLine>): AsyncGenerator<LogLine> {
  if (count === Infinity) return yield* lines;
  const kept: LogLine[] = [];
  for await (const line of lines) {
    kept.push(line);
    if (kept.length > count) kept.shift();
  }
  yield* kept;
}
