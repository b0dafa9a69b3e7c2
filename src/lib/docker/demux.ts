import { StringDecoder } from "node:string_decoder";
import { TorbizError } from "../errors";

/** One line that a container wrote. */
export interface LogLine {
  /** ISO 8601 as the engine stamped it (nanoseconds, UTC), "" where it gave none. */
  time: string;
  stream: "stdout" | "stderr";
  text: string;
  /** The log ended before the line did. */
  unfinished?: true;
}

const HEADER_BYTES = 8;
/** In UTF-16 code units. A longer line comes in pieces, cut at the same places in every reading. */
const LINE_LIMIT = 1024 * 1024;
/** RFC 3339 with nanoseconds and a numeric zone, and the space after it. */
const TIMESTAMP_BYTES = 36;
const TIMESTAMP = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) /;

/**
 * The lines of a log answer asked for with `timestamps`: frames of `[stream, 0, 0, 0, length (uint32 BE)]` and payload
 * (Engine API, "Stream format"), however they are cut into chunks. One frame is one message, stamped on its own; a
 * message is a line, or 16 KiB of a longer one.
 *
 * @throws TorbizError docker-unexpected-answer when the bytes are no frames, docker-request-failed when the engine
 * reports an error in the stream
 */
export async function* demultiplex(source: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<LogLine> {
  const lines: LogLine[] = [];
  const emit = (line: LogLine) => lines.push(line);
  const streams = { stdout: new LineAssembler("stdout", emit), stderr: new LineAssembler("stderr", emit) };
  let pending: Buffer = Buffer.alloc(0);
  let remaining = 0;
  let current = streams.stdout;
  let failing = false;
  let failure = "";
  let atFrameStart = false;

  for await (const chunk of source) {
    // What is left over from the chunk before is shorter than a header or a timestamp.
    const data: Buffer = pending.length > 0 ? Buffer.concat([pending, chunk]) : chunk;
    let offset = 0;
    for (;;) {
      const available = data.length - offset;
      if (remaining === 0) {
        if (failing) throw brokenOff(failure);
        if (available < HEADER_BYTES) break;
        const kind = data.readUInt8(offset);
        if (kind > 3 || data.readUIntBE(offset + 1, 3) !== 0) {
          throw new TorbizError("docker-unexpected-answer", "Docker's log isn't in the format it should have.");
        }
        // 3: the engine's own error message, in place of output.
        failing = kind === 3;
        current = kind === 2 ? streams.stderr : streams.stdout;
        remaining = data.readUInt32BE(offset + 4);
        offset += HEADER_BYTES;
        atFrameStart = true;
        continue;
      }
      if (available === 0 || (atFrameStart && available < Math.min(remaining, TIMESTAMP_BYTES))) break;
      const payload = data.subarray(offset, offset + Math.min(available, remaining));
      if (failing) failure += payload.toString("utf8");
      else current.take(payload, atFrameStart);
      atFrameStart = false;
      offset += payload.length;
      remaining -= payload.length;
    }
    pending = data.subarray(offset);
    yield* lines.splice(0);
  }
  if (failing) throw brokenOff(failure);
  streams.stdout.flush();
  streams.stderr.flush();
  yield* lines;
}

function brokenOff(reason: string): TorbizError {
  return new TorbizError("docker-request-failed", `Docker broke off the log: ${reason.trim()}`);
}

/** Joins one stream's payload to lines. A character or a line may be cut anywhere. */
class LineAssembler {
  private readonly decoder = new StringDecoder("utf8");
  private text = "";
  private time = "";
  private open = false;

  constructor(
    private readonly stream: LogLine["stream"],
    private readonly emit: (line: LogLine) => void,
  ) {}

  take(payload: Buffer, stamped: boolean): void {
    let rest = payload;
    if (stamped) {
      // Off the bytes, before decoding: the message before may have ended inside a character.
      const match = TIMESTAMP.exec(rest.toString("latin1", 0, TIMESTAMP_BYTES));
      if (match) {
        rest = rest.subarray(match[0].length);
        if (!this.open) this.time = match[1] ?? "";
      }
    }
    for (;;) {
      const end = rest.indexOf(0x0a);
      if (end < 0) break;
      this.append(rest.subarray(0, end));
      this.close();
      rest = rest.subarray(end + 1);
    }
    if (rest.length > 0) this.append(rest);
  }

  flush(): void {
    if (this.open) this.close({ unfinished: true });
  }

  private append(bytes: Buffer): void {
    this.open = true;
    this.text += this.decoder.write(bytes);
    while (this.text.length > LINE_LIMIT) {
      const cutsPair = /[\uD800-\uDBFF]/.test(this.text.charAt(LINE_LIMIT - 1));
      const length = cutsPair ? LINE_LIMIT - 1 : LINE_LIMIT;
      this.emit({ time: this.time, stream: this.stream, text: this.text.slice(0, length) });
      this.text = this.text.slice(length);
    }
  }

  private close(mark: Pick<LogLine, "unfinished"> = {}): void {
    this.text += this.decoder.end();
    this.emit({ time: this.time, stream: this.stream, text: this.text.replace(/\r$/, ""), ...mark });
    this.text = "";
    this.open = false;
  }
}
