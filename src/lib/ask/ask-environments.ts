import { join } from "node:path";
import type { Surroundings } from "../context";
import type { OnProgress } from "../progress";
import { ensureEnvironment, type Environment } from "./environment";
import { findPython, type PythonRange } from "./python";

/** `local` answers on this computer and through other servers, `swarm` through Petals. */
export type AskEnvironmentKind = "local" | "swarm";

interface Recipe {
  /** The versions for which its locks have wheels. */
  python: PythonRange;
  /** Files of python/requirements, installed in this order. */
  locks: readonly string[];
  /** On the disk, about. */
  bytes: number;
}

const RECIPES: Record<AskEnvironmentKind, Recipe> = {
  local: { python: { oldest: 10, newest: 14 }, locks: ["local.txt"], bytes: 0.3e9 },
  swarm: { python: { oldest: 11, newest: 11 }, locks: ["build.txt", "swarm.txt"], bytes: 1.6e9 },
};

/** The versions of Python that an environment can be made with. */
export function pythonFor(kind: AskEnvironmentKind): PythonRange {
  return RECIPES[kind].python;
}

export interface AskEnvironmentOptions {
  /** Stage preparing-python. */
  onProgress?: OnProgress;
  signal?: AbortSignal;
  /** Where none of the user's Pythons fits, fetch one into Torbiz's home folder: only after a person said yes. */
  fetchPython?: boolean;
}

/**
 * The environment that a kind of engine needs, made now if it isn't there. Nothing is installed outside Torbiz's home
 * folder.
 *
 * @throws TorbizError python-missing (its `details.canFetch`: `fetchPython` would help), python-fetch-failed,
 *   environment-failed, disk-full, interrupted
 */
export async function ensureAskEnvironment(
  surroundings: Surroundings,
  kind: AskEnvironmentKind,
  { onProgress, signal }: AskEnvironmentOptions = {},
): Promise<Environment> {
  const { env, home, platform, paths, runtimeFiles } = surroundings;
  const { python, locks, bytes } = RECIPES[kind];
  return ensureEnvironment({
    paths,
    kind,
    findPython: () => findPython(surroundings, python),
    locks: locks.map((name) => join(runtimeFiles, "python", "requirements", name)),
    bytes,
    env,
    home,
    platform,
    onProgress,
    signal,
  });
}
