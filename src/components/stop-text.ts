import type { TorbizError } from "../lib/errors";
import type { FinishResult } from "../lib/sharing/finish";
import type { StopResult } from "../lib/sharing/stop";

/** How a share ended, as the one line that a launcher shows: a sign and a sentence. */
export function stopText(result: StopResult | FinishResult): string {
  const { stopped, cancelledBuild, announcedOffline, forced, exitCode, message } = result;
  if ("finishing" in result && result.finishing) return `✅ ${message}`;
  if (!stopped) return `ℹ️ ${message}`;
  const isClean = !forced && (announcedOffline || cancelledBuild || !exitCode);
  return `${isClean ? "✅" : "⚠️"} ${message}`;
}

/** Where there is no engine, nothing runs: no failure for one who wants to stop. Undefined for other failures. */
export function nothingToStop({ code }: TorbizError): string | undefined {
  switch (code) {
    case "docker-not-running":
      return "ℹ️ Docker isn't running, so nothing is shared.";
    case "docker-not-installed":
      return "ℹ️ Docker isn't installed, so nothing is shared.";
    default:
      return undefined;
  }
}
