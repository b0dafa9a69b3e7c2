import type { Duplex } from "node:stream";
import { messageOf, refusal, startLimits, toDockerError, type Limits } from "./docker-error";
import type { Endpoint } from "./endpoint";
import { engineRequest } from "./http";

/**
 * A container's stdin (made with OpenStdin and StdinOnce) as a stream to write to and end.
 *
 * Not by dockerode: its attach sends its options as a request body as well, and whatever part of that the engine has
 * not read when it takes the connection over arrives on the container's stdin.
 *
 * @param version of the API, "1.41"
 * @throws TorbizError as `toDockerError` says
 */
export async function attachStdin(endpoint: Endpoint, version: string, id: string, limits: Limits): Promise<Duplex> {
  const { abortSignal, timeout } = startLimits(limits);
  // A signal given to the request would go on to end the attached stream: here it only limits the way there.
  const request = engineRequest(endpoint, {
    method: "POST",
    path: `/v${version}/containers/${encodeURIComponent(id)}/attach?stream=1&stdin=1`,
    headers: { Connection: "Upgrade", Upgrade: "tcp", "Content-Length": 0 },
  });
  const abort = () => request.destroy(new Error("aborted"));
  abortSignal.addEventListener("abort", abort, { once: true });
  try {
    return await new Promise<Duplex>((resolve, reject) => {
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
  } catch (error) {
    throw toDockerError(error, endpoint, limits, timeout);
  } finally {
    abortSignal.removeEventListener("abort", abort);
  }
}

function errorText(body: string): string {
  try {
    return messageOf(JSON.parse(body)) ?? body;
  } catch {
    return body;
  }
}
