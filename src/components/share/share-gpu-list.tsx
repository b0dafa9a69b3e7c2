import { Action, ActionPanel, Icon, List } from "@raycast/api";
import type { ReactNode } from "react";
import { useBuildJobs } from "../../hooks/use-build-jobs";
import { useModelArgument } from "../../hooks/use-model-argument";
import { useOverview } from "../../hooks/use-overview";
import { useShareJobs } from "../../hooks/use-share-jobs";
import { useStartDocker } from "../../hooks/use-start-docker";
import type { TorbizError } from "../../lib/errors";
import type { Overview } from "../../lib/sharing/overview";
import { tinted } from "../status-look";
import { BuildingScreen } from "./building-screen";
import { ChooseScreen } from "./choose-screen";
import type { Controls } from "./controls";
import { EndedScreen } from "./ended-screen";
import { FailedBuildRow } from "./failed-build-row";
import { FailureRow } from "./failure-row";
import { FirstSteps } from "./first-steps";
import { GateScreen } from "./gate-screen";
import { HelpActions } from "./help-actions";
import { LiveScreen } from "./live-screen";
import { StartingScreen } from "./starting-screen";

/**
 * Share GPU, from a computer without Docker to a share that runs. Always this one list, so that it never flickers; what
 * is in it follows what the last look saw.
 *
 * @param model the id of a model to share without asking
 */
export function ShareGpuList({ model }: { model?: string }) {
  const { overview, error, refresh, restart } = useOverview();
  const sharing = useShareJobs(refresh);
  const build = useBuildJobs(overview, refresh);
  const docker = useStartDocker();
  useModelArgument(model, overview, sharing.share);
  const controls: Controls = { refresh, restart, docker, build, sharing };
  const hasRows = overview !== undefined && overview.screen !== "gate" && overview.screen !== "foreign";
  const isBusy = sharing.isStopping || build.isStarting || (sharing.start !== undefined && !sharing.start.error);
  return (
    <List
      isLoading={(!overview && !error) || isBusy}
      isShowingDetail={hasRows}
      searchBarPlaceholder={overview?.screen === "choose" ? "Search models" : "Search"}
    >
      {overview ? (
        screenOf(overview, controls)
      ) : error ? (
        <FailureEmptyView error={error} onRetry={refresh} />
      ) : (
        <List.EmptyView icon={tinted(Icon.MagnifyingGlass, "quiet")} title="Looking for Docker…" />
      )}
    </List>
  );
}

function screenOf(overview: Overview, controls: Controls): ReactNode {
  const { start, share, clearStart } = controls.sharing;
  switch (overview.screen) {
    case "gate":
      return <GateScreen gate={overview} controls={controls} />;
    case "foreign":
      return <FailureEmptyView error={overview.error} onRetry={controls.refresh} />;
    case "building":
      return <BuildingScreen building={overview} controls={controls} />;
    case "first-time":
      return (
        <>
          {overview.failedBuild && <FailedBuildRow {...overview} failed={overview.failedBuild} controls={controls} />}
          <FirstSteps context={overview.context} controls={controls} />
        </>
      );
    case "choose":
      if (start && !start.error) return <StartingScreen context={overview.context} controls={controls} start={start} />;
      return (
        <>
          {start?.error && (
            <FailureRow
              {...overview}
              controls={controls}
              error={start.error}
              onRetry={() => share(overview.context, start.choice)}
              onClear={clearStart}
            />
          )}
          <ChooseScreen {...overview} controls={controls} />
        </>
      );
    case "live":
      if (overview.status.state !== "exited") return <LiveScreen live={overview} controls={controls} />;
      if (start && !start.error) return <StartingScreen context={overview.context} controls={controls} start={start} />;
      return <EndedScreen ended={overview} controls={controls} />;
  }
}

/** What happened and what to do next, in place of rows. */
function FailureEmptyView({ error, onRetry }: { error: TorbizError; onRetry: () => void }) {
  return (
    <List.EmptyView
      icon={tinted(Icon.Warning, "warning")}
      title={error.title}
      description={`${error.message} ${error.hint}`}
      actions={
        <ActionPanel>
          <Action title="Try Again" icon={Icon.RotateClockwise} onAction={onRetry} />
          <HelpActions onRefresh={onRetry} />
        </ActionPanel>
      }
    />
  );
}
