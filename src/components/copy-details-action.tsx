import { Action, Icon } from "@raycast/api";
import { redactHere } from "../hooks/redact-here";
import type { TorbizError } from "../lib/errors";
import { failureDetails } from "../lib/failure-details";

/** Copies all that is known of a failure, as it may be shown to others. */
export function CopyDetailsAction({ error }: { error: TorbizError }) {
  return (
    <Action.CopyToClipboard
      title="Copy Details"
      icon={Icon.CopyClipboard}
      content={failureDetails(error, redactHere())}
    />
  );
}
