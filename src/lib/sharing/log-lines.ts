import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import type { EngineContext } from "../context";

/** A line of a share's log, or something that happened to its container. */
export interface FollowedLine {
  /** ISO 8601 as the engine stamped it (UTC). */
  time: string;
  text: string;
  kind: "log" | "event";
  level?: Level;
}

/** More than anybody reads; a share of weeks has a log of 10 MB. */
const TAIL = 2_000;
/** More than the engine keeps. */
const ALL = 1_000_000;
/** How long each line and event is held, so that what comes late takes its place in the order of time. */
const GATHER_MS = 200;
const TICK_MS = 50;
/** The engine tells of a container's end a moment after the end of its log. */
const LAST_EVENTS_MS = 500;

/**
 * A container's log and what the engine did to it (start, kill, out of memory, end, pause, health) in one stream, in the
 * order of time; the last lines of it, and on until the container ends or `signal` aborts. Both end it quietly.
 *
 * @throws TorbizError when the engine goes away
 */
export function followLog(
  context: EngineContext,
  containerId: string,
  signal?: AbortSignal,
): AsyncGenerator<FollowedLine> {
  return mergedLog(context, containerId, { follow: true, tail: TAIL, signal });
}

/** The same for all that the engine keeps of it up to now. @throws TorbizError when the engine goes away */
export function readLog(context: EngineContext, containerId: string): AsyncGenerator<FollowedLine> {
  return mergedLog(context, containerId, { follow: false, tail: ALL });
}

async function* mergedLog(
  { engine }: EngineContext,
  containerId: string,
  { follow, tail, signal }: { follow: boolean; tail: number; signal?: AbortSignal },
): AsyncGenerator<FollowedLine> {
  const end = new AbortController();
  const ending = signal ? AbortSignal.any([signal, end.signal]) : end.signal;
  const container = await engine.inspect(containerId);
  if (!container) return;

  const gathered = new Gathered();
  let failure: unknown;
  let logEnded = false;
  const readLines = async () => {
    for await (const { time, text } of engine.logs(containerId, { follow, tail, signal: ending })) {
      gathered.add({ time, text, kind: "log", level: levelOf(text) });
    }
  };
  const readEvents = async () => {
    const sentences = new EventSentences();
    for await (const event of engine.events(containerId, { since: container.Created, signal: ending })) {
      const sentence = sentences.of(event);
      if (sentence) gathered.add({ time: event.time, kind: "event", ...sentence });
    }
  };
  const fail = (error: unknown) => (failure ??= error);
  const log = readLines()
    .catch(fail)
    .then(() => delay(LAST_EVENTS_MS, undefined, { signal: ending }).catch(() => undefined))
    .finally(() => (logEnded = true));
  const events = readEvents().catch(fail);
  try {
    for (;;) {
      const isLast = logEnded || failure !== undefined || ending.aborted;
      yield* gathered.take(isLast ? 0 : GATHER_MS);
      if (isLast) break;
      await delay(TICK_MS);
    }
  } finally {
    end.abort();
    await Promise.all([log, events]);
  }
  if (failure !== undefined && !signal?.aborted) throw failure;
}

/** Lines and events that came, in the order of their times. */
class Gathered {
  private held: Array<{ line: FollowedLine; cameAt: number }> = [];

  add(line: FollowedLine): void {
    this.held.push({ line, cameAt: performance.now() });
  }

  /** Takes those that came so long ago, and whatever belongs before them. */
  take(heldMs: number): FollowedLine[] {
    this.held.sort((a, b) => byTime(a.line, b.line));
    const until = performance.now() - heldMs;
    const last = this.held.findLastIndex(({ cameAt }) => cameAt <= until);
    return this.held.splice(0, last + 1).map(({ line }) => line);
  }
}

function byTime(one: FollowedLine, other: FollowedLine): number {
  // As text, as the nanoseconds of a log's times count. An event, told to the millisecond, comes after lines of the same one.
  return one.time < other.time ? -1 : one.time > other.time ? 1 : 0;
}

/** From the least to the worst. */
export const LEVELS = ["info", "warning", "error"] as const;

export type Level = (typeof LEVELS)[number];

/** As Python's logging writes them: where hivemind is loaded, it has renamed WARNING for all. */
const WRITTEN: ReadonlyMap<string, Level> = new Map([
  ["DEBUG", "info"],
  ["INFO", "info"],
  ["WARNING", "warning"],
  ["WARN", "warning"],
  ["ERROR", "error"],
  ["CRITICAL", "error"],
]);

/** The level in a line as our programs write them: "2026-01-31T12:00:00.000Z WARNING petals.server: words". */
export function levelOf(text: string): Level | undefined {
  return WRITTEN.get(/^\S+ ([A-Z]+) /.exec(text)?.[1] ?? "");
}

/** Lets lines through that are at least so bad, with what belongs to them: a traceback has no level of its own. */
export function atLeast(least: Level): (line: { text: string }) => boolean {
  let isShown = false;
  return ({ text }) => {
    const level = levelOf(text);
    if (level) isShown = LEVELS.indexOf(level) >= LEVELS.indexOf(least);
    return isShown;
  };
}

interface ContainerEvent {
  action: string;
  exitCode?: number;
  signal?: string;
}

/** Puts events into words; what came before decides what an end means. */
class EventSentences {
  private outOfMemory = false;
  private stopping = false;

  of({ action, exitCode, signal }: ContainerEvent): Pick<FollowedLine, "text" | "level"> | undefined {
    switch (action) {
      case "start":
        return { text: "The container was started.", level: "info" };
      case "oom":
        this.outOfMemory = true;
        return { text: "The container reached its limit of memory.", level: "error" };
      case "kill":
        if (signal === "9" || signal === "SIGKILL") return { text: "The container was killed.", level: "warning" };
        this.stopping = true;
        return { text: "The container was asked to stop.", level: "info" };
      case "die":
        return this.endOf(exitCode);
      case "pause":
        return { text: "The container was paused.", level: "warning" };
      case "unpause":
        return { text: "The container was resumed.", level: "info" };
      case "health_status: healthy":
        return { text: "The server reports its state.", level: "info" };
      case "health_status: unhealthy":
        return { text: "The server no longer reports its state.", level: "warning" };
      default:
        return undefined;
    }
  }

  private endOf(exitCode: number | undefined): Pick<FollowedLine, "text" | "level"> {
    if (this.outOfMemory && exitCode !== 0) {
      return { text: "The container was killed: out of memory.", level: "error" };
    }
    if (exitCode === 0) {
      return { text: `The container ended${this.stopping ? " as it was asked to" : " by itself"}.`, level: "info" };
    }
    return { text: `The container ended with exit code ${exitCode ?? "unknown"}.`, level: "error" };
  }
}
