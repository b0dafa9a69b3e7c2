import { open, openExtensionPreferences, type Toast } from "@raycast/api";
import { showFailureToast } from "@raycast/utils";
import { plainText } from "../components/plain-text";
import { titleCase } from "../components/title-case";
import { toTorbizError, type TorbizError } from "../lib/errors";

/** Says in a toast what happened, and offers the action that helps. */
export async function showFailure(failure: unknown): Promise<void> {
  const error = toTorbizError(failure);
  await showFailureToast(error, {
    title: titleCase(error.title),
    message: plainText(`${error.message} ${error.hint}`),
    primaryAction: helpFor(error),
  });
}

function helpFor({ action, details }: TorbizError): Toast.ActionOptions | undefined {
  if (details?.preference) return { title: "Open Preferences", onAction: () => openExtensionPreferences() };
  const { title, url } = action ?? {};
  return title && url ? { title, onAction: () => open(url) } : undefined;
}
