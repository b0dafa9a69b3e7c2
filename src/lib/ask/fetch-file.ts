import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { basename, dirname, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { reasonOf, webGet, type WebSurroundings } from "../web";

/** A file of the web that never changes. */
export interface WantedFile {
  url: string;
  /** 64 hex digits. */
  sha256: string;
  /** Where it is to be; its folder exists. */
  out: string;
}

export interface FetchFileOptions {
  surroundings: WebSurroundings;
  /** Bytes that have come, and all there are; null where the server doesn't tell. */
  onBytes?: (done: number, total: number | null) => void;
  signal?: AbortSignal;
}

/** Why a file isn't brought, for people, to go on with after a colon. */
export class FetchError extends Error {}

/** GitHub sends on once. */
const REDIRECTS = 5;
const PARTIAL = /^\.[0-9a-f]{16}\.partial$/;

/**
 * Brings a file, going on with what came earlier. It gets its name when its hash is right and not before; what has come
 * is kept beside it until then, under the name of the hash, so that nobody ever goes on with another file's beginning.
 *
 * @throws FetchError; AbortError when `signal` says so; the file system's own
 */
export async function fetchFile({ url, sha256, out }: WantedFile, options: FetchFileOptions): Promise<void> {
  const partial = join(dirname(out), `.${sha256.slice(0, 16)}.partial`);
  for (const name of await readdir(dirname(out))) {
    if (PARTIAL.test(name) && name !== basename(partial)) await rm(join(dirname(out), name));
  }
  const have = await stat(partial).then(
    ({ size }) => size,
    () => 0,
  );
  const answer = await follow(url, have, options);
  // All had come, and something ended us before it got its name.
  if (answer.statusCode === 416) answer.destroy();
  else await receive(answer, partial, have, options);
  const hash = createHash("sha256");
  await pipeline(createReadStream(partial), hash);
  if (hash.digest("hex") !== sha256) {
    await rm(partial);
    throw new FetchError("what came isn't it: its hash is wrong. It was deleted");
  }
  await rename(partial, out);
}

/** The first answer that isn't a redirect. */
async function follow(start: string, have: number, options: FetchFileOptions): Promise<IncomingMessage> {
  const { surroundings, signal } = options;
  const headers = { "accept-encoding": "identity", ...(have > 0 && { range: `bytes=${have}-` }) };
  try {
    let url = new URL(start);
    for (let left = REDIRECTS; left > 0; left -= 1) {
      const answer = await webGet(url, { surroundings, headers, signal });
      const { statusCode = 0, headers: told } = answer;
      if (statusCode < 300 || statusCode > 399 || !told.location) {
        if ([200, 206, 416].includes(statusCode)) return answer;
        answer.destroy();
        throw new FetchError(`${url.hostname} answered ${statusCode}`);
      }
      answer.destroy();
      url = new URL(told.location, url);
    }
    throw new FetchError(`${url.hostname} only sends on to other addresses`);
  } catch (error) {
    if (error instanceof FetchError || (error as Error).name === "AbortError") throw error;
    throw new FetchError(reasonOf(error), { cause: error });
  }
}

async function receive(
  answer: IncomingMessage,
  partial: string,
  have: number,
  { onBytes, signal }: FetchFileOptions,
): Promise<void> {
  const goesOn = answer.statusCode === 206;
  let done = goesOn ? have : 0;
  const length = answer.headers["content-length"];
  const total = length === undefined ? null : done + Number(length);
  const count = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      done += chunk.length;
      onBytes?.(done, total);
      next(null, chunk);
    },
  });
  const file = createWriteStream(partial, { flags: goesOn ? "a" : "w", mode: 0o600 });
  try {
    await pipeline(answer, count, file, { signal });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ECONNRESET") {
      throw new FetchError("the connection broke off", { cause: error });
    }
    throw error;
  }
}
