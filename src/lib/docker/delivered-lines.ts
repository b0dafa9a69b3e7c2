import type { LogLine } from "./demux";

interface Last {
  time: string;
  /** Lines of this stream delivered with that very time. */
  count: number;
}

/**
 * Remembers how far a log was delivered, so that a further reading can go on there without a gap and without a repetition.
 * Kept for each stream: times only rise within one, and the two are interleaved as they happened to be written.
 */
export class DeliveredLines {
  private first: string | undefined;
  private readonly last = new Map<LogLine["stream"], Last>();
  private readonly repeated = new Map<LogLine["stream"], number>();

  note({ time, stream }: LogLine): void {
    this.first ??= time;
    const last = this.last.get(stream);
    if (last?.time === time) {
      last.count += 1;
    } else {
      this.last.set(stream, { time, count: 1 });
      // In a further reading this line was seen, too.
      this.repeated.set(stream, 1);
    }
  }

  /** A further reading begins, from `since` on. */
  readAgain(): void {
    this.repeated.clear();
  }

  /** From when on to read again: what either stream may lack is after it. Undefined when nothing was delivered. */
  get since(): string | undefined {
    const times = (["stdout", "stderr"] as const).map((stream) => this.lastOf(stream)?.time);
    return times.sort()[0];
  }

  /** Whether a line of a further reading, given in order, was not delivered before. */
  isNew({ time, stream }: LogLine): boolean {
    const last = this.lastOf(stream);
    if (!last || time > last.time) return true;
    if (time < last.time) return false;
    const repeated = (this.repeated.get(stream) ?? 0) + 1;
    this.repeated.set(stream, repeated);
    return repeated > last.count;
  }

  /** A stream that was silent so far starts where the delivered part (a tail perhaps) started. */
  private lastOf(stream: LogLine["stream"]): Last | undefined {
    return this.last.get(stream) ?? (this.first === undefined ? undefined : { time: this.first, count: 0 });
  }
}
