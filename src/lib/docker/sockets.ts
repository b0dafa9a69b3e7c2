import { realpath } from "node:fs/promises";
import { TorbizError } from "../errors";
import { knownEndpoints, type DockerSurroundings, type Endpoint } from "./endpoint";
import { getJson } from "./http";
import { isAbsent, probe, type PreflightProblem } from "./preflight";
import { engineTitle } from "./start-advice";

/** A place where a Docker engine listens, or did. */
export interface KnownSocket {
  /** Its `url` is what can be chosen as the host. */
  endpoint: Endpoint;
  /** The program behind it: "OrbStack", else the context's name, else the address. */
  name: string;
  state: "ready" | PreflightProblem;
  /** "Version 27.3.1", or what is wrong with it: "Docker isn't running". */
  detail: string;
}

const VERSION_MS = 1_000;

/**
 * The usual sockets of this platform and those of the Docker contexts, those that are there, each once whatever links to
 * it. All are asked at once, so that it takes 3 s at most.
 */
export async function knownSockets(surroundings: DockerSurroundings): Promise<KnownSocket[]> {
  const endpoints = await withoutLinks(await knownEndpoints(surroundings));
  const sockets = await Promise.all(endpoints.map(describe));
  return sockets.filter((socket) => socket !== undefined);
}

async function describe(endpoint: Endpoint): Promise<KnownSocket | undefined> {
  const socket = { endpoint, name: engineTitle(endpoint) ?? endpoint.context ?? endpoint.url };
  const outcome = await probe(endpoint);
  if ("state" in outcome) {
    const { state, error } = outcome;
    return isAbsent(error) ? undefined : { ...socket, state, detail: error.title };
  }
  try {
    const { Version } = (await getJson(endpoint, "/version", { timeoutMs: VERSION_MS })) as { Version?: unknown };
    return { ...socket, state: "ready", detail: typeof Version === "string" ? `Version ${Version}` : "Ready" };
  } catch (error) {
    if (!(error instanceof TorbizError)) throw error;
    return { ...socket, state: "ready", detail: "Ready" };
  }
}

/** The system's socket is often a link to an engine's own: that one stays then. */
async function withoutLinks(endpoints: readonly Endpoint[]): Promise<Endpoint[]> {
  const kept = new Map<string, Endpoint>();
  for (const endpoint of endpoints) {
    const place = await realpath(endpoint.socketPath ?? "").catch(() => endpoint.url);
    if (!kept.has(place) || place === endpoint.socketPath) kept.set(place, endpoint);
  }
  return [...kept.values()];
}
