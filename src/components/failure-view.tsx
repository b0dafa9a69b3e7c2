import { Action, ActionPanel, Icon, List } from "@raycast/api";
import type { TorbizError } from "../lib/errors";

/** What happened and what to do next, in place of a list's items. Goes inside a `List`, so that the container stays the same. */
export function FailureView({ error, onRetry }: { error: TorbizError; onRetry: () => void }) {
  const { action } = error;
  return (
    <List.EmptyView
      icon={Icon.Warning}
      title={error.title}
      description={`${error.message} ${error.hint}`}
      actions={
        <ActionPanel>
          {action?.url && <Action.OpenInBrowser title={action.title} url={action.url} />}
          {action?.command && (
            <Action.CopyToClipboard title={`Copy Command: ${action.title}`} content={action.command} />
          )}
          <Action title="Try Again" icon={Icon.ArrowClockwise} onAction={onRetry} />
        </ActionPanel>
      }
    />
  );
}
