import { homedir } from "node:os";
import { requireDocker, type EngineFacts } from "./docker/preflight";
import type { Endpoint } from "./docker/endpoint";
import { Engine } from "./docker/engine";
import { resolveNames, type Names } from "./names";
import { prepareHome, resolvePaths, type Paths } from "./paths";

/** What every job needs to know of its surroundings. Made once a command, passed down; tests make their own. */
export interface Surroundings {
  env: NodeJS.ProcessEnv;
  /** The user's home folder (not Torbiz's). */
  home: string;
  platform: NodeJS.Platform;
  /** The engine named by flag or preference; it goes before DOCKER_HOST and contexts. */
  host?: string;
  names: Names;
  paths: Paths;
  /** The folder that holds docker/ and python/. */
  runtimeFiles: string;
  /** Takes what a person should know although it goes on, such as a Docker configuration that can't be read. */
  warn?: (message: string) => void;
}

/** Surroundings with an engine that answers. */
export interface EngineContext extends Surroundings {
  endpoint: Endpoint;
  facts: EngineFacts;
  engine: Engine;
}

export interface SurroundingsOptions {
  runtimeFiles: string;
  env?: NodeJS.ProcessEnv;
  home?: string;
  host?: string;
  warn?: (message: string) => void;
}

/**
 * The surroundings of this process; makes Torbiz's home folder where it is missing.
 * @throws TorbizError home-not-writable, instance-invalid
 */
export function openSurroundings({
  runtimeFiles,
  env = process.env,
  home = homedir(),
  host,
  warn,
}: SurroundingsOptions): Surroundings {
  const paths = resolvePaths(env);
  const names = resolveNames(env);
  prepareHome(paths);
  return { env, home, platform: process.platform, host: host || undefined, names, paths, runtimeFiles, warn };
}

/**
 * Finds the engine and connects to it.
 * @throws TorbizError with the engine's state (docker-not-installed, docker-not-running, ...)
 */
export async function openEngine(surroundings: Surroundings): Promise<EngineContext> {
  return connectEngine(surroundings, await requireDocker(surroundings));
}

/** Connects to an engine that was found. */
export function connectEngine(
  surroundings: Surroundings,
  { endpoint, engine: facts }: { endpoint: Endpoint; engine: EngineFacts },
): EngineContext {
  return { ...surroundings, endpoint, facts, engine: new Engine(endpoint, facts.apiVersion) };
}
