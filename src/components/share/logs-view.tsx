import { Action, ActionPanel, Clipboard, Icon, Keyboard, List, showHUD, type Image } from "@raycast/api";
import { useState } from "react";
import { exportLog } from "../../hooks/export-log";
import { lineText, useLog, type LogEntry, type LogSource } from "../../hooks/use-log";
import { CopyDetailsAction } from "../copy-details-action";
import { FailureEmptyView } from "../failure-empty-view";
import { tinted } from "../status-look";
import { clockText } from "../time-text";
import { titleCase } from "../title-case";
import { failureText } from "./failure-text";
import { SHORTCUTS } from "./shortcuts";
import { codeBlock } from "./words";

const FILTERS = {
  all: () => true,
  events: ({ kind }: LogEntry) => kind === "event",
  problems: ({ level }: LogEntry) => level === "warning" || level === "error",
};

type Filter = keyof typeof FILTERS;

/** With which our programs begin their lines; the row has the engine's. */
const OWN_TIME = /^\d{4}-\d\d-\d\dT\S+Z /;

interface LogsViewProps {
  title: string;
  source: LogSource;
}

/** A log as it is written, newest line first. The list's own search finds in it. */
export function LogsView({ title, source: given }: LogsViewProps) {
  const [source] = useState(given);
  const { entries, isLoading, error, retry } = useLog(source);
  const [filter, setFilter] = useState<Filter>("all");
  const [isShowingLine, setShowingLine] = useState(false);
  const shown = entries.filter(FILTERS[filter]);
  return (
    <List
      isLoading={isLoading}
      isShowingDetail={isShowingLine && shown.length > 0}
      navigationTitle={title}
      searchBarPlaceholder="Search log"
      searchBarAccessory={
        <List.Dropdown tooltip="Filter Lines" onChange={(value) => setFilter(value as Filter)}>
          <List.Dropdown.Item title="All" value="all" icon={Icon.List} />
          <List.Dropdown.Item title="Events" value="events" icon={Icon.Bolt} />
          <List.Dropdown.Item title="Warnings and Errors" value="problems" icon={Icon.Warning} />
        </List.Dropdown>
      }
    >
      {error && entries.length > 0 && (
        <List.Item
          id="broken-off"
          icon={tinted(Icon.Warning, "warning")}
          title={`The Log Stops Here: ${titleCase(error.title)}`}
          subtitle="It goes on by itself."
          detail={<List.Item.Detail markdown={failureText(error)} />}
          actions={
            <ActionPanel>
              <Action title="Try Again" icon={Icon.RotateClockwise} onAction={retry} />
              <CopyDetailsAction error={error} />
            </ActionPanel>
          }
        />
      )}
      {error ? (
        <FailureEmptyView error={error} onRetry={retry} />
      ) : (
        !isLoading && <List.EmptyView icon={Icon.List} title="No Lines" description="New ones show up by themselves." />
      )}
      {shown.map((entry) => (
        <List.Item
          key={entry.id}
          id={entry.id}
          icon={iconOf(entry)}
          title={entry.text.replace(OWN_TIME, "")}
          accessories={isShowingLine || !entry.time ? [] : [{ text: clockText(entry.time), tooltip: entry.time }]}
          detail={<List.Item.Detail markdown={[entry.time, codeBlock(entry.text)].filter(Boolean).join("\n\n")} />}
          actions={
            <ActionPanel>
              <Action.CopyToClipboard title="Copy Line" content={entry.text} />
              <Action
                title="Copy Shown Lines"
                icon={Icon.CopyClipboard}
                shortcut={{ modifiers: ["cmd", "shift"], key: "a" }}
                onAction={() => copyLines(shown)}
              />
              <Action
                title="Export Log"
                icon={Icon.Download}
                shortcut={Keyboard.Shortcut.Common.Save}
                onAction={() => exportLog(source)}
              />
              <Action
                title={isShowingLine ? "Hide Full Line" : "Show Full Line"}
                icon={Icon.Sidebar}
                shortcut={SHORTCUTS.details}
                onAction={() => setShowingLine((is) => !is)}
              />
            </ActionPanel>
          }
        />
      ))}
    </List>
  );
}

/** Not by `Action.CopyToClipboard`: each row would carry the whole log. */
async function copyLines(shown: readonly LogEntry[]): Promise<void> {
  await Clipboard.copy(shown.toReversed().map(lineText).join("\n"));
  await showHUD(shown.length === 1 ? "Copied 1 Line" : `Copied ${shown.length} Lines`);
}

function iconOf({ kind, level }: LogEntry): Image.ImageLike {
  if (level === "error") return tinted(Icon.XMarkCircle, "bad");
  if (level === "warning") return tinted(Icon.Warning, "warning");
  return kind === "event" ? tinted(Icon.Bolt, "busy") : tinted(Icon.Minus, "quiet");
}
