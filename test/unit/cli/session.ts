import { PassThrough, Readable } from "node:stream";
import { jsonOutput, textOutput } from "../../../src/cli/output";
import type { Session } from "../../../src/cli/session";
import type { Surroundings } from "../../../src/lib/context";

export interface Recorded extends Session {
  /** What scripts would read. */
  events: Record<string, unknown>[];
  /** Ctrl-C. */
  interrupt: () => void;
}

/** A command's session whose output is kept, and that nobody sits at. */
export function recordedSession(surroundings: Surroundings): Recorded {
  const events: Record<string, unknown>[] = [];
  const interruption = new AbortController();
  const write = (line: string) => events.push(JSON.parse(line) as Record<string, unknown>) > 0;
  return {
    events,
    output: jsonOutput({ write, isTTY: false } as unknown as NodeJS.WriteStream),
    surroundings,
    signal: interruption.signal,
    interrupt: () => interruption.abort(),
    interactive: false,
  };
}

/** The same for people: `told` is all that stdout got. */
export function toldSession(surroundings: Surroundings): Session & { told: () => string } {
  const stdout: string[] = [];
  const stream = (written: string[]) =>
    ({ write: (text: string) => written.push(text) > 0, isTTY: false }) as unknown as NodeJS.WriteStream;
  return {
    ...recordedSession(surroundings),
    output: textOutput(stream(stdout), stream([])),
    told: () => stdout.join(""),
  };
}

/** What is piped in; a terminal where nothing is. */
export function stdinWith(...chunks: (string | Uint8Array)[]): Readable & { isTTY?: boolean } {
  if (chunks.length > 0) return Readable.from(chunks);
  return Object.assign(new PassThrough(), { isTTY: true });
}
