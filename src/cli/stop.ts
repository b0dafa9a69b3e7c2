import { openEngine } from "../lib/context";
import { stopSharing } from "../lib/sharing/stop";
import type { Session } from "./session";

/** `torbiz stop`: peers are told; with `--now` it is killed. Nothing to stop is no failure. */
export async function runStop({ output, surroundings }: Session, { now }: { now: boolean }): Promise<void> {
  const context = await openEngine(surroundings);
  const result = await stopSharing(context, { now, onProgress: output.progress });
  output.result({ ...result }, result.message);
}
