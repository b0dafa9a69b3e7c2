import { statSync } from "node:fs";
import { request } from "node:http";
import { parseJson } from "../json";

/** What an ask server said. */
export interface ServerReply {
  status: number;
  /** Its JSON; undefined when it sent something else. */
  body: unknown;
}

/** Longest time that loading counts as work, milliseconds: a computer without a GPU packs 1 GB of weights anew in 1.2 s. */
const LOADING_MS = 120_000;

/**
 * One small request to an ask server. `absent`: nobody listens, or left meanwhile. `hung`: no whole answer in time.
 * While it loads a model it can't answer, and is waited for.
 * No kept-alive connection: a server that leaves closes those at the moment the next request is written.
 */
export async function callServer(
  socketPath: string,
  method: "GET" | "POST",
  path: string,
  limitMs: number,
): Promise<ServerReply | "absent" | "hung"> {
  const timeout = new AbortController();
  let loading = isLoading(socketPath);
  // It gets the whole time once more after it has loaded: its answer is then on the way.
  const timer = setInterval(() => {
    const before = loading;
    loading = isLoading(socketPath);
    if (!before && !loading) timeout.abort();
  }, limitMs);
  return new Promise<ServerReply | "absent" | "hung">((resolve) => {
    const outgoing = request({ socketPath, method, path, agent: false, signal: timeout.signal }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => (text += piece));
      response.on("close", () => {
        if (response.complete) resolve({ status: response.statusCode ?? 0, body: parseJson(text) });
        else resolve(timeout.signal.aborted ? "hung" : "absent");
      });
      response.on("error", () => undefined);
    });
    outgoing.on("error", () => resolve(timeout.signal.aborted ? "hung" : "absent"));
    outgoing.end();
  }).finally(() => clearInterval(timer));
}

/** Whether the server's note is there by which it says, before, that nothing but loading will run in it. */
function isLoading(socketPath: string): boolean {
  const note = statSync(`${socketPath}.loading`, { throwIfNoEntry: false });
  return note !== undefined && Date.now() - note.mtimeMs < LOADING_MS;
}
