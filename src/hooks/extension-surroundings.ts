import { environment, getPreferenceValues } from "@raycast/api";
import { join } from "node:path";
import { openSurroundings, type Surroundings } from "../lib/context";
import { findRuntimeFiles } from "../lib/runtime-files";

/**
 * The surroundings of a command: the user's preferences, and the files that ship with the extension.
 * @throws TorbizError home-not-writable, instance-invalid
 */
export function extensionSurroundings(): Surroundings {
  const { dockerHost, pythonPath } = getPreferenceValues<Preferences>();
  const python = pythonPath?.trim();
  return openSurroundings({
    env: python ? { ...process.env, TORBIZ_PYTHON: python } : process.env,
    host: dockerHost?.trim(),
    runtimeFiles: findRuntimeFiles([join(environment.assetsPath, "runtime")]),
  });
}
