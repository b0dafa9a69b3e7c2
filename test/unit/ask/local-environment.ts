import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ensureAskEnvironment } from "../../../src/lib/ask/ask-environments";
import type { Environment } from "../../../src/lib/ask/environment";
import { openSurroundings } from "../../../src/lib/context";

/** The environment that answers on this computer, made once for all tests from the real lock. */
export async function localEnvironment(): Promise<Environment> {
  const home = join(process.cwd(), "test-results", "home");
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const surroundings = openSurroundings({ runtimeFiles: process.cwd(), env: { ...process.env, TORBIZ_HOME: home } });
  return ensureAskEnvironment(surroundings, "local");
}
