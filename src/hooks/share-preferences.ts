import { getPreferenceValues } from "@raycast/api";
import { readSharePreferences, type SharePreferences } from "../lib/sharing/preferences";

/**
 * What the user's preferences say of a share.
 * @throws TorbizError that names the preference which can't be used
 *
 * @example
 * await share(context, { ...sharePreferences(), onProgress });
 */
export function sharePreferences(): SharePreferences {
  return readSharePreferences(getPreferenceValues<Preferences>());
}
