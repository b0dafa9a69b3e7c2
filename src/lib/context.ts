import { homedir } from "node:os";
import { checkDocker, type EngineFacts } from "./docker/preflight";
import { awaitDocker, type WaitOptions } from "./docker/wait";
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
 *
 * @param wait for what takes its time anyway: an engine that says it is starting is waited for
 * @throws TorbizError with the engine's state (docker-not-installed, docker-not-running, ...); interrupted
 */
export async function openEngine(surroundings: Surroundings, wait?: WaitOptions): Promise<EngineContext> {
  const docker = wait ? await awaitDocker(surroundings, ["starting"], wait) : await checkDocker(surroundings);
  if (docker.state !== "ready") throw docker.error;
  return connectEngine(surroundings, docker);
}

/** Connects to an engine that was found. */
export function connectEngine(
  surroundings: Surroundings,
  { endpoint, engine: facts }: { endpoint: Endpoint; engine: EngineFacts },
): EngineContext {
  return { ...surroundings, endpoint, facts, engine: new Engine(endpoint, facts.apiVersion) };
}
