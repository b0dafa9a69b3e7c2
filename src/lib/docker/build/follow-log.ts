import { open } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";

/** A line of a build's log. */
export interface BuildLine {
  text: string;
  /** It was written just now, not before we began to read. */
  live: boolean;
}

export interface FollowOptions {
  log: string;
  /** The build that writes it. A log of an earlier build is waited out. */
  pid: number;
  /** Whether that build still runs; what it wrote before its end is still read. */
  isRunning: () => boolean;
  /** Called after each look at the file, about five times a second. */
  onLook: () => void;
}

const LOOK_MS = 200;
const CHUNK_BYTES = 65_536;
/** The script's last line says how it ended. */
const LAST_LINE = /^torbiz: (?:done|failed|cancelled)\b/;

/** The lines of a build's log as they are written, until the last one or until the build is gone. */
export async function* followBuildLog({ log, pid, isRunning, onLook }: FollowOptions): AsyncGenerator<BuildLine> {
  const firstLine = `torbiz: build pid=${pid} `;
  const decoder = new StringDecoder("utf8");
  let position = 0;
  let rest = "";
  let live = false;
  for (;;) {
    // Asked before reading: what is written between the two is then read for certain.
    const running = isRunning();
    const own = position > 0 || (await readFrom(log, 0)).toString("latin1").startsWith(firstLine);
    const chunk = own ? await readFrom(log, position) : Buffer.alloc(0);
    position += chunk.length;
    const lines = (rest + decoder.write(chunk)).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) {
      yield { text, live };
      if (LAST_LINE.test(text)) return;
    }
    onLook();
    if (chunk.length === CHUNK_BYTES) continue;
    if (!running) return;
    live = own;
    await sleep(LOOK_MS);
  }
}

/** What the file holds from there on, up to 64 KiB; nothing while there is no file. */
async function readFrom(file: string, position: number): Promise<Buffer> {
  try {
    const handle = await open(file, "r");
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, position);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}
