import { Action, Icon } from "@raycast/api";
import type { LogSource } from "../../hooks/use-log";
import { LogsView } from "./logs-view";
import { SHORTCUTS } from "./shortcuts";

interface ViewLogActionProps {
  /** Of the view that opens. */
  title: string;
  source: LogSource;
}

/** Opens a log over the screen that is there. */
export function ViewLogAction({ title, source }: ViewLogActionProps) {
  return (
    <Action.Push
      title="View Log"
      icon={Icon.List}
      shortcut={SHORTCUTS.log}
      target={<LogsView title={title} source={source} />}
    />
  );
}
