import { useEffect, useState } from "react";
import { toTorbizError, type TorbizError } from "../lib/errors";
import type { FollowedLine } from "../lib/sharing/log-lines";

/** More rows than that no person reads in a list, and a command's memory is small. */
const KEPT = 500;
/** A chatty log must not paint more often. */
const PAINT_MS = 200;

/** A line with a name that stays its own while others come and go. */
export interface LogEntry extends FollowedLine {
  id: string;
}

/** Gives the lines of a log, oldest first, and goes on with new ones until the signal or the log's end. */
export type LogSource = (signal: AbortSignal) => AsyncIterable<FollowedLine>;

interface UseLog {
  /** The last lines, newest first. */
  entries: readonly LogEntry[];
  /** Nothing was read yet. */
  isLoading: boolean;
  error?: TorbizError;
}

/**
 * Follows a log while the view is there.
 *
 * @param source must stay the same function while the log does
 *
 * @example
 * const { entries, isLoading } = useLog(source);
 */
export function useLog(source: LogSource): UseLog {
  const [log, setLog] = useState<UseLog>({ entries: [], isLoading: true });

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
      for await (const line of source(signal)) {
        entries.push({ ...line, id: `line-${++count}` });
        if (entries.length > KEPT * 2) entries = entries.slice(-KEPT);
        changed = true;
      }
    };
    read()
      .catch((failure: unknown) => {
        error = toTorbizError(failure);
        changed = true;
      })
      .finally(() => {
        clearInterval(timer);
        paint();
      });
    return () => {
      clearInterval(timer);
      ending.abort();
    };
  }, [source]);

  return log;
}
