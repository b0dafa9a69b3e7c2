import { Action } from "@raycast/api";
import type { TorbizError } from "../lib/errors";

/** Opens the page that helps with a failure; nothing where there is none. */
export function ErrorLinkAction({ error }: { error?: TorbizError }) {
  const { title, url } = error?.action ?? {};
  return title && url ? <Action.OpenInBrowser title={title} url={url} /> : null;
}
