import { TorbizError } from "../../errors";
import { toBuildError } from "./failure";

/** How a build ended. */
export interface BuildEnd {
  outcome: "done" | "failed" | "cancelled";
  /** Of a failed one: why. `details` has the failing `step`, the last `lines` and the `log`'s path. */
  error?: TorbizError;
}

/** The script's last line says how it ended. */
export const LAST_LINE = /^torbiz: (done|failed|cancelled)\b/;

/**
 * How a build ended, as the log of one that runs no more tells; undefined for an empty log.
 *
 * @param lines all lines of the log, the last one at the end
 */
export function buildEnd(lines: readonly string[], log: string): BuildEnd | undefined {
  const last = LAST_LINE.exec(lines.at(-1) ?? "")?.[1];
  if (last === "done" || last === "cancelled") return { outcome: last };
  if (last === "failed") return { outcome: "failed", error: toBuildError(lines, log) };
  if (lines.length === 0) return undefined;
  const message = "The build of the image was ended from outside before it was done.";
  return {
    outcome: "failed",
    error: new TorbizError("build-failed", message, { hint: tryAgain(log), details: { log } }),
  };
}

function tryAgain(log: string): string {
  return `Try again: finished steps are kept. The log so far is ${log}.`;
}
