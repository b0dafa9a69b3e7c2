import type { Duplex } from "node:stream";
import { messageOf, refusal } from "./docker-error";
import type { Endpoint } from "./endpoint";
import { engineRequest } from "./http";
import { withLimits, type Limits } from "./limits";

/**
 * A container's stdin (made with OpenStdin and StdinOnce) as a stream to write to and end.
 *
 * Not by dockerode: its attach sends its options as a request body as well, and whatever part of that the engine has
 * not read when it takes the connection over arrives on the container's stdin.
 *
 * @param version of the API, "1.41"
 * @throws TorbizError as `withLimits` says
 */
export function attachStdin(endpoint: Endpoint, version: string, id: string, limits: Limits): Promise<Duplex> {
  return withLimits(endpoint, limits, (abortSignal) => {
    const request = engineRequest(endpoint, {
      method: "POST",
      signal: abortSignal,
      path: `/v${version}/containers/${encodeURIComponent(id)}/attach?stream=1&stdin=1`,
      headers: { Connection: "Upgrade", Upgrade: "tcp", "Content-Length": 0 },
    });
    return new Promise<Duplex>((resolve, reject) => {
      request.on("error", reject);
      request.on("upgrade", (_response, stream, head) => {
        if (head.length > 0) stream.unshift(head);
        resolve(stream);
      });
      request.on("response", (response) => {
        response.setEncoding("utf8");
        let body = "";
        response.on("data", (text: string) => (body += text));
        response.on("error", reject);
        response.on("end", () => reject(refusal(response.statusCode ?? 0, errorText(body), endpoint)));
      });
      request.end();
    });
  });
}

function errorText(body: string): string {
  try {
    return messageOf(JSON.parse(body)) ?? body;
  } catch {
    return body;
  }
}
