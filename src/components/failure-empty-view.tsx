import { Action, ActionPanel, Icon, List } from "@raycast/api";
import { redactHere } from "../hooks/redact-here";
import type { TorbizError } from "../lib/errors";
import { redactFailure } from "../lib/failure-details";
import { CopyDetailsAction } from "./copy-details-action";
import { plainText } from "./plain-text";
import { OpenGuideAction, OpenPreferencesAction, RunDoctorAction } from "./share/help-actions";
import { SHORTCUTS } from "./share/shortcuts";
import { tinted } from "./status-look";
import { titleCase } from "./title-case";

/** What happened and what to do next, in place of rows. */
export function FailureEmptyView({ error, onRetry }: { error: TorbizError; onRetry: () => void }) {
  const { message, hint } = redactFailure(error, redactHere());
  return (
    <List.EmptyView
      icon={tinted(Icon.Warning, "warning")}
      title={titleCase(error.title)}
      description={plainText(`${message} ${hint}`)}
      actions={
        <ActionPanel>
          <Action title="Try Again" icon={Icon.RotateClockwise} shortcut={SHORTCUTS.refresh} onAction={onRetry} />
          <RunDoctorAction />
          <CopyDetailsAction error={error} />
          <OpenGuideAction />
          <OpenPreferencesAction />
        </ActionPanel>
      }
    />
  );
}
