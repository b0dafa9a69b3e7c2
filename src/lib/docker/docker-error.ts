import { TorbizError } from "../errors";
import { describeEndpoint, type Endpoint } from "./endpoint";
import { isPortTaken } from "./port-taken";

/**
 * Whatever a call to the engine threw, as the TorbizError a person sees: `docker-not-running`, `docker-not-answering`,
 * `docker-permission-denied`, `docker-unexpected-answer`, or what `refusal` makes of an HTTP status.
 */
export function toDockerError(error: unknown, endpoint: Endpoint): TorbizError {
  if (error instanceof TorbizError) return error;
  const where = describeEndpoint(endpoint);
  const cause = error;
  const { code = "", message = String(error), statusCode, json } = error as DockerodeError;
  if (statusCode !== undefined) return refusal(statusCode, messageOf(json) ?? message, endpoint, cause);
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new TorbizError("docker-not-running", `There is no Docker socket at ${where}.`, { cause });
  }
  if (code === "ECONNREFUSED") {
    return new TorbizError("docker-not-running", `Nothing listens at ${where}.`, { cause });
  }
  if (code === "EACCES" || code === "EPERM") {
    return new TorbizError("docker-permission-denied", `Your user may not use Docker at ${where}.`, { cause });
  }
  if (code === "ECONNRESET" || code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE") {
    return new TorbizError("docker-not-answering", `Docker at ${where} broke off its answer.`, { cause });
  }
  if (["ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT"].includes(code)) {
    return new TorbizError("docker-not-answering", `The Docker host at ${where} can't be reached (${code}).`, {
      cause,
    });
  }
  if (code.startsWith("HPE_")) {
    return new TorbizError("docker-unexpected-answer", `What answers at ${where} doesn't speak HTTP.`, { cause });
  }
  return new TorbizError("docker-request-failed", `The request to Docker at ${where} failed: ${message}`, { cause });
}

/** What dockerode rejects with: `.code` from the socket, or `.statusCode` and the body from the engine. Its `reason` lies. */
interface DockerodeError {
  code?: string;
  message?: string;
  statusCode?: number;
  json?: unknown;
}

/** The caller's own error where it aborted with one. */
export function interrupted(signal: AbortSignal): TorbizError {
  const { reason } = signal as { reason: unknown };
  if (reason instanceof TorbizError) return reason;
  return new TorbizError("interrupted", "It was interrupted.", { cause: reason });
}

/**
 * An answer other than 2xx: `port-in-use`, `disk-full`, `image-missing`, `docker-too-old`, else `docker-request-failed`.
 * `details.statusCode` keeps the status for callers that know more.
 *
 * @param text the engine's own words
 */
export function refusal(statusCode: number, text: string, endpoint: Endpoint, cause?: unknown): TorbizError {
  const words = text.replace(/\s+/g, " ").trim().slice(0, 500);
  const details = { statusCode };
  if (isPortTaken(words)) {
    // "... listen tcp4 127.0.0.1:31330: bind ...", "Bind for 0.0.0.0:31330 failed ...", "... [::]:31330 ..."
    const port = Number(/[\d.\]]:(\d{1,5})\b/.exec(words)?.[1]) || undefined;
    const message = port ? `Port ${port} is taken by another program.` : `A port is taken: ${words}`;
    return new TorbizError("port-in-use", message, { details: { ...details, ...(port && { port }) }, cause });
  }
  if (/no space left on device|ENOSPC/i.test(words)) {
    return new TorbizError("disk-full", `Docker has no space left on its disk: ${words}`, {
      hint: "See what takes the space with `docker system df`, or make Docker's disk larger in its settings.",
      details,
      cause,
    });
  }
  if (statusCode === 404 && /no such image/i.test(words)) {
    return new TorbizError("image-missing", `Docker doesn't have the image: ${words}`, { details, cause });
  }
  if (/client version \S+ is too new/i.test(words)) {
    return new TorbizError("docker-too-old", `Docker at ${describeEndpoint(endpoint)} says: ${words}`, {
      details,
      cause,
    });
  }
  return new TorbizError("docker-request-failed", `Docker refused (${statusCode}): ${words}`, {
    ...(/client version \S+ is too old/i.test(words) && { hint: "Update Torbiz: this Docker is newer than it knows." }),
    details,
    cause,
  });
}

/** The `message` of the engine's error body, if that is what it is. */
export function messageOf(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { message } = body as { message?: unknown };
  return typeof message === "string" ? message : undefined;
}
