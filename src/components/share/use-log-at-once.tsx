import { useNavigation } from "@raycast/api";
import { useEffect, useRef } from "react";
import { buildLog, shareLog } from "../../hooks/log-sources";
import type { LogSource } from "../../hooks/use-log";
import { lastBuild } from "../../lib/docker/build/last-build";
import type { Overview } from "../../lib/sharing/overview";
import { LogsView } from "./logs-view";

/**
 * Opens the log that there is, once, as soon as it is there: of what is shared, else of the build that runs or ran
 * last.
 *
 * @param isWanted the command was launched for its log
 *
 * @example
 * useLogAtOnce(launchContext?.view === "logs", overview);
 */
export function useLogAtOnce(isWanted: boolean, overview: Overview | undefined): void {
  const wanted = useRef(isWanted);
  const { push } = useNavigation();

  useEffect(() => {
    if (!wanted.current || !overview || overview.screen === "gate" || overview.screen === "preparing") return;
    wanted.current = false;
    const log = logOf(overview);
    if (log) push(<LogsView {...log} />);
  }, [overview, push]);
}

function logOf(
  overview: Exclude<Overview, { screen: "gate" | "preparing" }>,
): { title: string; source: LogSource } | undefined {
  const { screen, context } = overview;
  switch (screen) {
    case "foreign":
      return undefined;
    case "live":
      return { title: "Log", source: shareLog(context, overview.containerId) };
    case "building":
      return { title: "Build Log", source: buildLog(context) };
    case "first-time":
    case "choose":
      return lastBuild(context.paths, context.names) && { title: "Build Log", source: buildLog(context) };
  }
}
