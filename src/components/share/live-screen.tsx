import { List } from "@raycast/api";
import { useStats } from "../../hooks/use-stats";
import { inviteTo } from "../../lib/sharing/share-invite";
import { modelTitle } from "../status-text";
import { ContributionSection } from "./contribution-section";
import type { Controls } from "./controls";
import { FactRow } from "./fact-row";
import { LiveActions } from "./live-actions";
import { liveRows, type Live } from "./live-rows";

/** A share with its container: starting, online, or on its way to an end. */
export function LiveScreen({ live, controls }: { live: Live; controls: Controls }) {
  const { context, status, containerId } = live;
  const stats = useStats(context, containerId);
  const invite = inviteOf(live);
  return (
    <>
      <List.Section title={modelTitle(status)}>
        {liveRows(live, { stats, heard: controls.sharing.start?.progress, invite }).map((row) => (
          <FactRow
            key={row.id}
            {...row}
            actions={<LiveActions live={live} controls={controls} row={row.id} invite={invite} />}
          />
        ))}
      </List.Section>
      <ContributionSection context={context} containerId={containerId} onRefresh={controls.refresh} />
    </>
  );
}

/** Undefined where nobody can be invited: then the rows tell what it is open to. */
function inviteOf({ context, status }: Live): string | undefined {
  try {
    return inviteTo(context, status);
  } catch {
    return undefined;
  }
}
