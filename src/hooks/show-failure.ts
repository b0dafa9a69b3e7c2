import { Clipboard, open, openExtensionPreferences, showToast, Toast } from "@raycast/api";
import { plainText } from "../components/plain-text";
import { titleCase } from "../components/title-case";
import { toTorbizError, type TorbizError } from "../lib/errors";
import { failureDetails, redactFailure } from "../lib/failure-details";
import { redactHere } from "./redact-here";

/**
 * Says in a toast what happened, and offers the action that helps. Raycast's own toast of a failure would offer to publish its
 * stack, which names the user's folders.
 */
export async function showFailure(failure: unknown): Promise<void> {
  const redact = redactHere();
  const error = redactFailure(toTorbizError(failure), redact);
  const copy = { title: "Copy Details", onAction: () => Clipboard.copy(failureDetails(error, redact)) };
  const help = helpFor(error);
  await showToast({
    style: Toast.Style.Failure,
    title: titleCase(error.title),
    message: plainText(`${error.message} ${error.hint}`),
    primaryAction: help ?? copy,
    secondaryAction: help && copy,
  });
}

function helpFor({ action, details }: TorbizError): Toast.ActionOptions | undefined {
  if (details?.preference) return { title: "Open Preferences", onAction: () => openExtensionPreferences() };
  const { title, url } = action ?? {};
  return title && url ? { title, onAction: () => open(url) } : undefined;
}
