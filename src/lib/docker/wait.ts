import { setTimeout as sleep } from "node:timers/promises";
import { TorbizError } from "../errors";
import type { OnProgress } from "../progress";
import { interrupted } from "./docker-error";
import type { DockerSurroundings } from "./endpoint";
import { checkDocker, type Preflight, type PreflightProblem } from "./preflight";

/** A virtual machine may take minutes until its engine answers; by then it does, or something hinders it. */
export const START_LIMIT_MS = 2 * 60_000;
const LOOK_MS = 1_000;

/** States in which an engine that was told to start may still be. */
export const ON_ITS_WAY: readonly PreflightProblem[] = ["not-running", "starting", "not-answering"];

export interface WaitOptions {
  onProgress?: OnProgress;
  signal?: AbortSignal;
  limitMs?: number;
}

/**
 * What `checkDocker` says once Docker is in none of these states any more, or at the limit; until then how long it has been
 * waited for and what the last look met is told about once a second.
 *
 * @throws TorbizError interrupted
 * @example
 * const docker = await awaitDocker(surroundings, ["starting"], { onProgress, signal });
 */
export async function awaitDocker(
  surroundings: DockerSurroundings,
  states: readonly PreflightProblem[],
  { onProgress, signal, limitMs = START_LIMIT_MS }: WaitOptions = {},
): Promise<Preflight> {
  for (const began = performance.now(); ;) {
    const docker = await checkDocker(surroundings);
    if (docker.state === "ready" || !states.includes(docker.state)) return docker;
    const waitedMs = performance.now() - began;
    if (waitedMs > limitMs) return { ...docker, error: gaveUp(docker.error, limitMs) };
    const message = `Waiting for Docker: ${waitText(docker.error, waitedMs)}`;
    onProgress?.({ stage: "starting-docker", message, progress: null });
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    if (signal?.aborted) throw interrupted(signal);
  }
}

/** "14 s so far. Nothing listens at unix:///run/docker.sock." */
export function waitText({ message }: TorbizError, waitedMs: number): string {
  return `${Math.floor(waitedMs / 1_000)} s so far. ${message}`;
}

/** What the last look met, with how long was waited for it to pass. */
export function gaveUp(error: TorbizError, waitedMs: number): TorbizError {
  const { code, message, hint, cliHint, action, details, cause } = error;
  const waited = `Docker isn't ready after ${Math.floor(waitedMs / 1_000)} s.`;
  return new TorbizError(code, `${waited} ${message}`, { hint, cliHint, action, details, cause });
}
