import { Action, Icon, List } from "@raycast/api";
import { exportFile } from "../../hooks/export-file";
import { useContribution } from "../../hooks/use-contribution";
import type { EngineContext } from "../../lib/context";
import { contributionCsv, contributionTotals, type ContributedDay } from "../../lib/sharing/contribution";
import { durationText } from "../time-text";
import { FactRow } from "./fact-row";
import { HelpActions } from "./help-actions";
import { count } from "./words";

interface ContributionSectionProps {
  context: EngineContext;
  /** Of the share that runs. */
  containerId?: string;
  onRefresh: () => void;
}

/** What this computer gave so far; nothing before the first share. */
export function ContributionSection({ context, containerId, onRefresh }: ContributionSectionProps) {
  const days = useContribution(context, containerId);
  if (Object.keys(days).length === 0) return null;
  const { today, week, all } = contributionTotals(days);
  const csv = () =>
    exportFile([contributionCsv(days)], {
      name: "torbiz-contribution",
      extension: ".csv",
      done: "Contribution Exported",
    });
  const row = (id: string, title: string, sum: ContributedDay) => (
    <FactRow
      id={id}
      title={title}
      subtitle={count(sum.tokens, "token")}
      icon={Icon.BarChart}
      markdown="What this computer served to others. A day is one of UTC."
      facts={[
        { title: "Sessions", text: sum.sessions.toLocaleString("en-US") },
        { title: "Tokens Served", text: sum.tokens.toLocaleString("en-US") },
        { title: "Time Online", text: durationText(sum.onlineSeconds * 1_000) },
        { title: "Block Hours", text: (sum.blockSeconds / 3_600).toFixed(1) },
      ]}
      actions={
        <>
          <Action title="Export as CSV" icon={Icon.Download} onAction={csv} />
          <HelpActions onRefresh={onRefresh} />
        </>
      }
    />
  );
  return (
    <List.Section title="Contribution">
      {row("contribution-today", "Today", today)}
      {row("contribution-week", "Last 7 Days", week)}
      {row("contribution-all", "All Time", all)}
    </List.Section>
  );
}
