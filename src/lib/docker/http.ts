import { request as httpRequest, type ClientRequest, type IncomingHttpHeaders, type RequestOptions } from "node:http";
import { TorbizError } from "../errors";
import { messageOf, refusal } from "./docker-error";
import { describeEndpoint, type Endpoint } from "./endpoint";
import { withLimits, type Limits } from "./limits";

/** Enough for any inspect; a program that is not an engine may send for ever. */
const BODY_LIMIT = 8 * 1024 * 1024;

/** As long as an image of many gigabytes takes to be removed. */
const BUSY_LIMIT_MS = 5 * 60_000;
const PING_MS = 2_000;

interface Answer {
  statusCode: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** What an engine says of itself in one unversioned call. */
export interface PingFacts {
  /** "1.41": the newest API version it speaks. */
  apiVersion: string;
  /** "linux" or "windows". */
  osType: string;
}

/**
 * A request to the engine by plain node:http, not yet sent. No kept-alive connection: the engine may close an idle one
 * at the moment the next request is written.
 */
export function engineRequest(endpoint: Endpoint, options: RequestOptions): ClientRequest {
  const { socketPath, tcp } = endpoint;
  // Else Node looks whether the host is an IP address, which takes a fresh worker a third of the whole request.
  const unnamed = { servername: "" };
  if (!tcp) return httpRequest({ ...options, ...unnamed, socketPath, agent: false });
  const address = { host: tcp.host, port: tcp.port, agent: false as const };
  if (tcp.protocol === "http") return httpRequest({ ...options, ...address });
  const { ca, cert, key, skipVerify } = tcp;
  // Not with the module: the menu bar loads that anew every ten seconds, and seldom needs TLS.
  const https = process.getBuiltinModule("node:https");
  return https.request({ ...options, ...address, ca, cert, key, rejectUnauthorized: !skipVerify });
}

/**
 * The parsed JSON of a GET; its shape is for the caller to check.
 *
 * @throws TorbizError docker-unexpected-answer when it isn't JSON, and all that `withLimits` and `refusal` name
 * @example
 * const info = await getJson(endpoint, "/info", { timeoutMs: 2_000 });
 */
export async function getJson(endpoint: Endpoint, path: string, limits: Limits): Promise<unknown> {
  return askJson(endpoint, "GET", path, limits);
}

/** The same of a POST without a body. */
export async function postJson(endpoint: Endpoint, path: string, limits: Limits): Promise<unknown> {
  return askJson(endpoint, "POST", path, limits);
}

async function askJson(endpoint: Endpoint, method: string, path: string, limits: Limits): Promise<unknown> {
  const answer = await send(endpoint, method, path, limits);
  const json = parse(answer.body);
  if (answer.statusCode < 200 || answer.statusCode > 299) {
    throw refusal(answer.statusCode, messageOf(json) ?? answer.body, endpoint);
  }
  if (typeof json !== "object" || json === null) {
    throw unexpected(endpoint, `the answer to ${path} is not JSON as Docker sends it`);
  }
  return json;
}

/**
 * Asks the engine whether it is there.
 * @throws TorbizError docker-starting (an engine's proxy answers 5xx until the engine is up), docker-unexpected-answer, ...
 */
export async function ping(endpoint: Endpoint, limits: Limits): Promise<PingFacts> {
  const { statusCode, headers, body } = await send(endpoint, "GET", "/_ping", limits);
  if (statusCode >= 500) {
    throw new TorbizError(
      "docker-starting",
      `Docker at ${describeEndpoint(endpoint)} is not ready yet (it answers ${statusCode}).`,
      { details: { statusCode } },
    );
  }
  const apiVersion = headers["api-version"];
  if (statusCode !== 200 || body.trim() !== "OK" || typeof apiVersion !== "string" || !/^\d+\.\d+$/.test(apiVersion)) {
    throw unexpected(endpoint, `the answer to /_ping (${statusCode}) is not Docker's`);
  }
  const osType = headers.ostype;
  return { apiVersion, osType: typeof osType === "string" ? osType : "linux" };
}

/**
 * Limits for a question about images, or for all that the engine has. While one of its images is removed no such question
 * is answered (Docker Engine 20.10: 11 s for 4 GB), so it waits on for as long as pings are.
 *
 * @param onBusy told at each time limit at which the engine is only busy
 */
export function patient(
  endpoint: Endpoint,
  limits: Limits,
  { limitMs = BUSY_LIMIT_MS, onBusy }: { limitMs?: number; onBusy?: () => void } = {},
): Limits {
  const isBusy = async () => {
    try {
      await ping(endpoint, { timeoutMs: PING_MS, signal: limits.signal });
    } catch {
      return false;
    }
    onBusy?.();
    return true;
  };
  return { ...limits, busy: { isBusy, limitMs } };
}

/**
 * One container's inspect answer by name or id, undefined when there is none. The path carries no API version: a menu
 * bar makes this one call without a ping before it.
 */
export async function inspectContainer(endpoint: Endpoint, name: string, limits: Limits): Promise<unknown> {
  try {
    return await getJson(endpoint, `/containers/${encodeURIComponent(name)}/json`, limits);
  } catch (error) {
    if (error instanceof TorbizError && error.details?.statusCode === 404) return undefined;
    throw error;
  }
}

function send(endpoint: Endpoint, method: string, path: string, limits: Limits): Promise<Answer> {
  return withLimits(
    endpoint,
    limits,
    (signal) =>
      new Promise<Answer>((resolve, reject) => {
        const request = engineRequest(endpoint, { method, path, signal });
        request.on("error", reject);
        request.on("response", (response) => {
          const { statusCode = 0, headers } = response;
          collect(response, endpoint).then((body) => resolve({ statusCode, headers, body }), reject);
        });
        request.end();
      }),
  );
}

async function collect(response: AsyncIterable<Buffer>, endpoint: Endpoint): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += chunk.length;
    if (size > BODY_LIMIT) throw unexpected(endpoint, "the answer doesn't end");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function unexpected(endpoint: Endpoint, why: string): TorbizError {
  return new TorbizError(
    "docker-unexpected-answer",
    `Another program seems to own ${describeEndpoint(endpoint)}: ${why}.`,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
