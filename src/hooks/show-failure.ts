import { open } from "@raycast/api";
import { showFailureToast } from "@raycast/utils";
import { toTorbizError } from "../lib/errors";

/** Says in a toast what happened and what to do next. */
export async function showFailure(failure: unknown): Promise<void> {
  const error = toTorbizError(failure);
  const { title, url } = error.action ?? {};
  await showFailureToast(error, {
    title: error.title,
    message: `${error.message} ${error.hint}`,
    ...(title && url ? { primaryAction: { title, onAction: () => open(url) } } : {}),
  });
}
