import { openEngine } from "../lib/context";
import { finishSharing } from "../lib/sharing/finish";
import { stopSharing } from "../lib/sharing/stop";
import type { Session } from "./session";

interface StopFlags {
  now: boolean;
  finish: boolean;
  /** Minutes. */
  within?: number;
  wait: boolean;
}

/**
 * `torbiz stop`: peers are told; with `--now` it is killed; with `--finish` answers on their way come to their end first,
 * which Ctrl-C doesn't break off. Nothing to stop is no failure.
 */
export async function runStop(
  { output, surroundings, signal }: Session,
  { now, finish, within, wait }: StopFlags,
): Promise<void> {
  const context = await openEngine(surroundings);
  if (finish) {
    const withinSeconds = within && within * 60;
    const result = await finishSharing(context, { withinSeconds, follow: wait, onProgress: output.progress, signal });
    output.result({ ...result }, result.message);
    return;
  }
  const result = await stopSharing(context, { now, onProgress: output.progress });
  output.result({ ...result }, result.message);
}
