import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive } from "../src/lib/is-alive";
import type { Paths } from "../src/lib/paths";

/** Ends the server that answers on this computer, where a home has one. It may have left by itself. */
export function endAskServer({ run }: Pick<Paths, "run">, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    const pid = Number(readFileSync(join(run, "ask-local.lock"), "utf8"));
    if (pid > 1 && isAlive(pid)) process.kill(pid, signal);
  } catch {
    // There was none, or it has just left.
  }
}
