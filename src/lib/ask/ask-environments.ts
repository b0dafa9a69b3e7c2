import { join } from "node:path";
import { TorbizError } from "../errors";
import type { OnProgress } from "../progress";
import { ensureEnvironment, lookAtEnvironment, type Environment } from "./environment";
import { canFetchPython, fetchPython, type FetchSurroundings } from "./fetch-python";
import { findPython, type FoundPython, type PythonRange } from "./python";

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
  surroundings: FetchSurroundings,
  kind: AskEnvironmentKind,
  options: AskEnvironmentOptions = {},
): Promise<Environment> {
  const { env, home, platform, paths } = surroundings;
  return ensureEnvironment({
    paths,
    kind,
    findPython: () => findOrFetch(surroundings, kind, options),
    locks: locksOf(surroundings, kind),
    bytes: RECIPES[kind].bytes,
    env,
    home,
    platform,
    onProgress: options.onProgress,
    signal: options.signal,
  });
}

/** The same, looked at as it is now: nothing is made. */
export function lookAtAskEnvironment(
  surroundings: Pick<FetchSurroundings, "paths" | "env" | "runtimeFiles">,
  kind: AskEnvironmentKind,
): ReturnType<typeof lookAtEnvironment> {
  const { paths, env } = surroundings;
  return lookAtEnvironment({ paths, kind, locks: locksOf(surroundings, kind), env });
}

function locksOf({ runtimeFiles }: Pick<FetchSurroundings, "runtimeFiles">, kind: AskEnvironmentKind): string[] {
  return RECIPES[kind].locks.map((name) => join(runtimeFiles, "python", "requirements", name));
}

async function findOrFetch(
  surroundings: FetchSurroundings,
  kind: AskEnvironmentKind,
  { fetchPython: mayFetch, ...options }: AskEnvironmentOptions,
): Promise<FoundPython> {
  const range = pythonFor(kind);
  try {
    return await findPython(surroundings, range);
  } catch (error) {
    // A Python that a person chose is never silently replaced by another.
    if (!(error instanceof TorbizError) || error.code !== "python-missing" || surroundings.env.TORBIZ_PYTHON)
      throw error;
    if (mayFetch) return fetchPython(surroundings, range, options);
    const canFetch = canFetchPython(surroundings);
    const { code, message, hint, cliHint, details } = error;
    throw new TorbizError(code, message, {
      hint: canFetch ? `Let Torbiz fetch one into its own folder. Or: ${hint}` : hint,
      cliHint,
      details: { ...details, kind, canFetch },
    });
  }
}
