import { Action, ActionPanel, Clipboard, Icon, Keyboard, List, showHUD, type Image } from "@raycast/api";
import { useState } from "react";
import { exportLog } from "../../hooks/export-log";
import { useLog, type LogEntry, type LogSource } from "../../hooks/use-log";
import { plainText } from "../plain-text";
import { tinted } from "../status-look";
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
  const [source] = useState(() => given);
  const { entries, isLoading, error } = useLog(source);
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
      {error ? (
        <List.EmptyView
          icon={tinted(Icon.Warning, "warning")}
          title="The Log Can't Be Read"
          description={plainText(`${error.message} ${error.hint}`)}
        />
      ) : (
        !isLoading && <List.EmptyView icon={Icon.List} title="No Lines" description="New ones show up by themselves." />
      )}
      {shown.map((entry) => (
        <List.Item
          key={entry.id}
          id={entry.id}
          icon={iconOf(entry)}
          title={entry.text.replace(OWN_TIME, "")}
          accessories={isShowingLine || !entry.time ? [] : [{ text: clock(entry.time), tooltip: entry.time }]}
          detail={<List.Item.Detail markdown={[entry.time, codeBlock(entry.text)].filter(Boolean).join("\n\n")} />}
          actions={
            <ActionPanel>
              <Action.CopyToClipboard title="Copy Line" content={entry.text} />
              <Action
                title="Copy All"
                icon={Icon.CopyClipboard}
                shortcut={{ modifiers: ["cmd", "shift"], key: "a" }}
                onAction={() => copyAll(entries)}
              />
              <Action
                title="Export Log"
                icon={Icon.Download}
                shortcut={Keyboard.Shortcut.Common.Save}
                onAction={() => exportLog(textOf(entries))}
              />
              <Action
                title={isShowingLine ? "Hide Whole Line" : "Show Whole Line"}
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
async function copyAll(entries: readonly LogEntry[]): Promise<void> {
  await Clipboard.copy(textOf(entries).join("\n"));
  await showHUD("Copied the Log");
}

/** Oldest first, as files have it. */
function textOf(entries: readonly LogEntry[]): string[] {
  return entries.toReversed().map(({ time, text }) => (time ? `${time} ${text}` : text));
}

function iconOf({ kind, level }: LogEntry): Image.ImageLike {
  if (level === "error") return tinted(Icon.XMarkCircle, "bad");
  if (level === "warning") return tinted(Icon.Warning, "warning");
  return kind === "event" ? tinted(Icon.Bolt, "busy") : tinted(Icon.Minus, "quiet");
}

function clock(iso: string): string {
  return new Date(iso).toLocaleTimeString("en-US", { hour12: false });
}
