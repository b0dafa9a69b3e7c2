import { open, type FileHandle } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";
import { TorbizError } from "../../errors";
import { LAST_LINE } from "./build-end";
import { SILENT_MS } from "./lock";

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
  /** Ends it quietly. */
  signal?: AbortSignal;
  limits?: SilenceLimits;
}

/** How long the log may stay as it is, in milliseconds. */
export interface SilenceLimits {
  /** Until its first line. */
  first: number;
  /** From then on. */
  later: number;
}

/** Unless told otherwise. */
export const PATIENCE: SilenceLimits = { first: 60_000, later: SILENT_MS };

const LOOK_MS = 200;
const CHUNK_BYTES = 65_536;

/**
 * The lines of a build's log as they are written, until the last one or until the build is gone. Looks about five times
 * a second and gives the new lines of each look: none is news too, as time passes.
 * @throws TorbizError docker-not-answering when the build says nothing for too long
 */
export async function* followBuildLog({
  log,
  pid,
  isRunning,
  signal,
  limits = PATIENCE,
}: FollowOptions): AsyncGenerator<BuildLine[]> {
  const decoder = new StringDecoder("utf8");
  let handle: FileHandle | undefined;
  let position = 0;
  let rest = "";
  let live = false;
  // Counted in looks: by the clock, a computer that sleeps would count as silent.
  let silentMs = 0;
  try {
    while (!signal?.aborted) {
      // Asked before reading: what is written between the two is then read for certain.
      const running = isRunning();
      handle ??= await openLogOf(pid, log);
      const chunk = handle ? await readFrom(handle, position) : Buffer.alloc(0);
      position += chunk.length;
      const texts = (rest + decoder.write(chunk)).split("\n");
      rest = texts.pop() ?? "";
      const last = texts.findIndex((text) => LAST_LINE.test(text));
      yield (last < 0 ? texts : texts.slice(0, last + 1)).map((text) => ({ text, live }));
      if (last >= 0) return;
      if (chunk.length === CHUNK_BYTES) continue;
      if (!running) return;
      silentMs = chunk.length > 0 ? 0 : silentMs + LOOK_MS;
      if (silentMs > (handle ? limits.later : limits.first)) {
        throw new TorbizError(
          "docker-not-answering",
          `The build of the image says nothing any more. Its log is ${log}.`,
        );
      }
      live = handle !== undefined;
      await sleep(LOOK_MS);
    }
  } finally {
    await handle?.close();
  }
}

/** Stays with this build's log when the next build makes its own under the same name; undefined while there is none. */
async function openLogOf(pid: number, log: string): Promise<FileHandle | undefined> {
  try {
    const handle = await open(log, "r");
    const firstLine = `torbiz: build pid=${pid} `;
    if ((await readFrom(handle, 0)).toString("latin1").startsWith(firstLine)) return handle;
    await handle.close();
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** What the file holds from there on, up to 64 KiB. */
async function readFrom(handle: FileHandle, position: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, position);
  return buffer.subarray(0, bytesRead);
}
