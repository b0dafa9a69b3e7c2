import { Icon, List } from "@raycast/api";
import type { ReactNode } from "react";
import { useBuildJobs } from "../../hooks/use-build-jobs";
import { useModelArgument } from "../../hooks/use-model-argument";
import { useOverview } from "../../hooks/use-overview";
import { useShareJobs, type ShareJobs } from "../../hooks/use-share-jobs";
import { useStartDocker } from "../../hooks/use-start-docker";
import { isInvite } from "../../lib/sharing/invite";
import type { Overview } from "../../lib/sharing/overview";
import { FailureEmptyView } from "../failure-empty-view";
import { tinted } from "../status-look";
import { BuildingScreen } from "./building-screen";
import { ChooseScreen } from "./choose-screen";
import type { Controls } from "./controls";
import { EndedScreen } from "./ended-screen";
import { FailedBuildRow } from "./failed-build-row";
import { FailureRow } from "./failure-row";
import { FirstSteps } from "./first-steps";
import { GateScreen } from "./gate-screen";
import { LiveScreen } from "./live-screen";
import { StartingScreen } from "./starting-screen";
import { useInviteAtOnce } from "./use-invite-at-once";
import { useLogAtOnce } from "./use-log-at-once";

interface ShareGpuListProps {
  /** What to share without asking: the id of a model; or an invite, whose swarm is looked at first. */
  wanted?: string;
  /** Opens the log over the list. */
  isLogWanted?: boolean;
}

/**
 * Share GPU, from a computer without Docker to a share that runs. Always this one list, so that it never flickers; what
 * is in it follows what the last look saw.
 */
export function ShareGpuList({ wanted, isLogWanted = false }: ShareGpuListProps) {
  const { overview, error, notice, refresh, restart } = useOverview();
  const sharing = useShareJobs(refresh);
  const build = useBuildJobs(overview, refresh);
  const docker = useStartDocker(overview?.screen === "gate" ? overview.problem : undefined);
  const invite = wanted !== undefined && isInvite(wanted) ? wanted : undefined;
  const wish = useModelArgument(invite ? undefined : wanted, overview, sharing.share);
  useInviteAtOnce(invite, overview, sharing);
  useLogAtOnce(isLogWanted, overview);
  const controls: Controls = { refresh, restart, docker, build, sharing, wish };
  const hasRows = overview !== undefined && overview.screen !== "gate" && overview.screen !== "foreign";
  const isBusy = sharing.isStopping || build.isBuilding || (sharing.start !== undefined && !sharing.start.error);
  return (
    <List
      isLoading={(!overview && !error && !notice) || isBusy}
      isShowingDetail={hasRows}
      searchBarPlaceholder={placeholderOf(overview, sharing)}
    >
      {overview ? (
        screenOf(overview, controls)
      ) : error ? (
        <FailureEmptyView error={error} onRetry={refresh} />
      ) : (
        <List.EmptyView icon={tinted(Icon.MagnifyingGlass, "quiet")} title="Looking for Docker…" description={notice} />
      )}
    </List>
  );
}

/** What there is to be found in the list. */
function placeholderOf(overview: Overview | undefined, { start }: ShareJobs): string {
  switch (overview?.screen) {
    case "first-time":
    case "building":
      return "Search steps";
    case "preparing":
      return "Search details";
    case "choose":
    case "live": {
      const isShared = overview.screen === "live" && overview.status.state !== "exited";
      return isShared || (start && !start.error) ? "Search details" : "Search models";
    }
    default:
      return "Search models";
  }
}

function screenOf(overview: Overview, controls: Controls): ReactNode {
  const { start, clearStart } = controls.sharing;
  switch (overview.screen) {
    case "gate":
      return <GateScreen gate={overview} controls={controls} />;
    case "foreign":
      return <FailureEmptyView error={overview.error} onRetry={controls.refresh} />;
    case "building":
      return <BuildingScreen key={overview.build.pid} building={overview} controls={controls} />;
    case "preparing":
      return <StartingScreen context={overview.context} controls={controls} start={start?.error ? undefined : start} />;
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
              again={start.choice}
              onClear={clearStart}
            />
          )}
          {overview.failedBuild && <FailedBuildRow {...overview} failed={overview.failedBuild} controls={controls} />}
          <ChooseScreen {...overview} controls={controls} />
        </>
      );
    case "live":
      if (overview.status.state !== "exited") return <LiveScreen live={overview} controls={controls} />;
      if (start && !start.error) return <StartingScreen context={overview.context} controls={controls} start={start} />;
      return <EndedScreen ended={overview} controls={controls} />;
  }
}
