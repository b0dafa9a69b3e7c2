import { setTimeout as delay } from "node:timers/promises";
import { useCallback, useEffect, useRef, useState } from "react";
import { toTorbizError, type TorbizError } from "../lib/errors";
import type { FollowedLine } from "../lib/sharing/log-lines";

/** More rows than that no person reads in a list, and a command's memory is small. */
const KEPT = 500;
/** A chatty log must not paint more often. */
const PAINT_MS = 200;

/** A log that broke off is opened again at this pace. */
const REOPEN_MS = 2_000;

/** A line with a name that stays its own while others come and go. */
export interface LogEntry extends FollowedLine {
  id: string;
}

/** A log, its lines from the oldest on. */
export interface LogSource {
  /** Goes on with new lines until the signal or the log's end; throws where it breaks off. */
  follow: (signal: AbortSignal) => AsyncIterable<FollowedLine>;
  /** All that is kept of it now. */
  read: () => AsyncIterable<FollowedLine>;
}

/** A line as files have it. */
export function lineText({ time, text }: FollowedLine): string {
  return time ? `${time} ${text}` : text;
}

interface Log {
  /** The last lines, newest first. */
  entries: readonly LogEntry[];
  /** Nothing was read yet. */
  isLoading: boolean;
  /** Why it goes no further. It is opened again by itself. */
  error?: TorbizError;
}

interface UseLog extends Log {
  /** Opens one that broke off again at once. */
  retry: () => void;
}

/**
 * Follows a log while the view is there. One that breaks off, as Docker went away, goes on where it was when Docker is
 * back.
 *
 * @param source must stay the same object while the log does
 *
 * @example
 * const { entries, isLoading } = useLog(source);
 */
export function useLog(source: LogSource): UseLog {
  const wake = useRef<() => void>(undefined);
  const [log, setLog] = useState<Log>({ entries: [], isLoading: true });

  useEffect(() => {
    const ending = new AbortController();
    const { signal } = ending;
    let count = 0;
    let entries: LogEntry[] = [];
    let error: TorbizError | undefined;
    let changed = true;
    const paint = () => {
      if (signal.aborted || !changed) return;
      changed = false;
      setLog({ entries: entries.slice(-KEPT).toReversed(), isLoading: false, error });
    };
    const timer = setInterval(paint, PAINT_MS);
    const read = async () => {
      const isNew = afterLast(entries);
      for await (const line of source.follow(signal)) {
        error = undefined;
        changed = true;
        if (!isNew(line)) continue;
        entries.push({ ...line, id: `line-${++count}` });
        if (entries.length > KEPT * 2) entries = entries.slice(-KEPT);
      }
      error = undefined;
      changed = true;
    };
    const follow = async () => {
      while (!signal.aborted) {
        try {
          return await read();
        } catch (failure) {
          error = toTorbizError(failure);
          changed = true;
        }
        const waiting = new AbortController();
        wake.current = () => waiting.abort();
        const either = AbortSignal.any([signal, waiting.signal]);
        await delay(REOPEN_MS, undefined, { signal: either }).catch(() => undefined);
      }
    };
    void follow().finally(() => {
      clearInterval(timer);
      paint();
    });
    return () => {
      clearInterval(timer);
      ending.abort();
    };
  }, [source]);

  const retry = useCallback(() => wake.current?.(), []);
  return { ...log, retry };
}

/** Tells lines of a log that is read again from those that were read before, by their times. */
function afterLast(entries: LogEntry[]): (line: FollowedLine) => boolean {
  const last = entries.reduce((latest, { time }) => (time > latest ? time : latest), "");
  const atLast = new Set(entries.filter(({ time }) => time === last).map(({ text }) => text));
  // Without times it has to begin anew.
  if (last === "") entries.length = 0;
  return ({ time, text }) => last === "" || time > last || (time === last && !atLast.has(text));
}
