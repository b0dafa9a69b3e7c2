import { request } from "node:http";

/** What an ask server said. */
export interface ServerReply {
  status: number;
  /** Its JSON; undefined when it sent something else. */
  body: unknown;
}

/**
 * One small request to an ask server. `absent`: nobody listens, or left meanwhile. `hung`: no whole answer in time.
 * No kept-alive connection: a server that leaves closes those at the moment the next request is written.
 */
export async function callServer(
  socketPath: string,
  method: "GET" | "POST",
  path: string,
  limitMs: number,
): Promise<ServerReply | "absent" | "hung"> {
  const timeout = AbortSignal.timeout(limitMs);
  return new Promise((resolve) => {
    const outgoing = request({ socketPath, method, path, agent: false, signal: timeout }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => (text += piece));
      response.on("close", () => {
        if (response.complete) resolve({ status: response.statusCode ?? 0, body: parseJson(text) });
        else resolve(timeout.aborted ? "hung" : "absent");
      });
      response.on("error", () => undefined);
    });
    outgoing.on("error", () => resolve(timeout.aborted ? "hung" : "absent"));
    outgoing.end();
  });
}

/** undefined when it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether it has fields that can be looked at. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
