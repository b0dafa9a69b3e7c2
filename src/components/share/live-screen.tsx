import { List } from "@raycast/api";
import { useStats } from "../../hooks/use-stats";
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
  return (
    <>
      <List.Section title={modelTitle(status)}>
        {liveRows(live, { stats, heard: controls.sharing.start?.progress }).map((row) => (
          <FactRow key={row.id} {...row} actions={<LiveActions live={live} controls={controls} row={row.id} />} />
        ))}
      </List.Section>
      <ContributionSection context={context} containerId={containerId} onRefresh={controls.refresh} />
    </>
  );
}
