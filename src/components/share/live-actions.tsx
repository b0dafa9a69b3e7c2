import { Action, ActionPanel, Icon, confirmAlert } from "@raycast/api";
import { shareLog } from "../../hooks/log-sources";
import { CachedModelsAction } from "./cached-models";
import type { Controls } from "./controls";
import { HelpActions } from "./help-actions";
import { ImageActions } from "./image-actions";
import { InviteActions } from "./invite-actions";
import type { Live } from "./live-rows";
import { modelTitle } from "../status-text";
import { SHORTCUTS } from "./shortcuts";
import { StopActions } from "./stop-actions";
import { SwarmMapView } from "./swarm-map-view";
import { ViewLogAction } from "./view-log-action";

interface LiveActionsProps {
  live: Live;
  controls: Controls;
  /** The row that is selected. */
  row: string;
  /** To its swarm, where others can join that. */
  invite?: string;
}

/** What can be done with a share that runs. Enter never stops it: the key that started it may be pressed twice. */
export function LiveActions({ live, controls, row, invite }: LiveActionsProps) {
  const { context, containerId, image, status } = live;
  const { sharing, refresh } = controls;
  const changeModel = async () => {
    const confirmed = await confirmAlert({
      title: "Stop and Choose Another Model?",
      message: "Peers are told, then the share ends.",
      primaryAction: { title: "Stop Sharing" },
    });
    if (confirmed) await sharing.stop(context);
  };
  const copy = status.peerId && (
    <ActionPanel.Section>
      {invite !== undefined && <InviteActions invite={invite} />}
      <Action.CopyToClipboard title="Copy Peer ID" content={status.peerId} shortcut={SHORTCUTS.copy} />
      <Action.CopyToClipboard title="Copy Addresses" content={status.addresses.join("\n")} />
    </ActionPanel.Section>
  );
  return (
    <>
      {row === "peer" && copy}
      <ActionPanel.Section>
        <ViewLogAction title="Log" source={shareLog(context, containerId)} />
        {status.state === "online" && (
          <Action title="Finish and Stop" icon={Icon.Flag} onAction={() => sharing.finish(context)} />
        )}
        <StopActions context={context} sharing={sharing} isFinishing={status.state === "finishing"} />
        {status.state === "online" && (
          <Action.Push
            title="Show Swarm Map"
            icon={Icon.Map}
            target={<SwarmMapView context={context} model={{ title: modelTitle(status) }} invite={invite} />}
          />
        )}
        <Action title="Change Model…" icon={Icon.Switch} onAction={changeModel} />
        <CachedModelsAction context={context} />
      </ActionPanel.Section>
      {row !== "peer" && copy}
      <ImageActions context={context} image={image} controls={controls} container="running" />
      <HelpActions onRefresh={refresh} />
    </>
  );
}
