import { Action, Alert, Icon, confirmAlert } from "@raycast/api";
import type { ShareJobs } from "../../hooks/use-share-jobs";
import type { EngineContext } from "../../lib/context";
import { SHORTCUTS } from "./shortcuts";

interface StopActionsProps {
  context: EngineContext;
  sharing: ShareJobs;
  /** Peers know already that it ends. */
  isFinishing?: boolean;
}

/** The two ways to end a share, or a start. */
export function StopActions({ context, sharing, isFinishing = false }: StopActionsProps) {
  const stopNow = async () => {
    const confirmed = await confirmAlert({
      title: "Stop Now?",
      message: isFinishing ? "Answers on their way break off." : "Peers are not told, and sessions break off.",
      primaryAction: { title: "Stop Now", style: Alert.ActionStyle.Destructive },
    });
    if (confirmed) await sharing.stop(context, { now: true });
  };
  return (
    <>
      <Action title="Stop Sharing" icon={Icon.Stop} shortcut={SHORTCUTS.stop} onAction={() => sharing.stop(context)} />
      <Action
        title="Stop Now"
        icon={Icon.XMarkCircle}
        style={Action.Style.Destructive}
        shortcut={SHORTCUTS.stopNow}
        onAction={stopNow}
      />
    </>
  );
}
