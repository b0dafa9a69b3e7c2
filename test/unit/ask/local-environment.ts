import { mkdirSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ensureAskEnvironment } from "../../../src/lib/ask/ask-environments";
import type { Environment } from "../../../src/lib/ask/environment";
import { ensureLocalModel } from "../../../src/lib/ask/local-model-files";
import { LOCAL_MODELS } from "../../../src/lib/ask/local-models";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";

/** The environment that answers on this computer, made once for all tests from the real lock. */
export async function localEnvironment(): Promise<Environment> {
  const home = join(process.cwd(), "test-results", "home");
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const surroundings = openSurroundings({ runtimeFiles: process.cwd(), env: { ...process.env, TORBIZ_HOME: home } });
  return ensureAskEnvironment(surroundings, "local");
}

/** Folders of the environment and of the starter, with which a home can answer at once. */
export interface Shared {
  environment: string;
  starter: string;
}

/** Made once for all tests, beside the environment. */
export async function sharedStarter(): Promise<Shared> {
  const environment = await localEnvironment();
  const env = { ...process.env, TORBIZ_HOME: dirname(dirname(environment.folder)) };
  const surroundings = openSurroundings({ runtimeFiles: process.cwd(), env });
  const [starter] = LOCAL_MODELS;
  await ensureLocalModel({ surroundings, model: starter, environment });
  return { environment: environment.folder, starter: join(surroundings.paths.models, starter.id) };
}

/** Puts them into a home. */
export function lend({ environment, starter }: Partial<Shared>, { envs, models }: Surroundings["paths"]): void {
  if (environment) symlinkSync(environment, join(envs, basename(environment)));
  if (starter) symlinkSync(starter, join(models, basename(starter)));
}
