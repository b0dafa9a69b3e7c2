import { getPreferenceValues } from "@raycast/api";
import { openSurroundings, type Surroundings } from "../lib/context";
import { findRuntimeFiles } from "../lib/runtime-files";
import { dockerSurroundings } from "./docker-surroundings";

/**
 * The surroundings of a command: the user's preferences, and the files that ship with the extension.
 * @throws TorbizError home-not-writable, instance-invalid
 */
export function extensionSurroundings(): Surroundings {
  const { pythonPath } = getPreferenceValues<Preferences>();
  const { env, host, runtimeFiles } = dockerSurroundings();
  const python = pythonPath?.trim();
  return openSurroundings({
    env: python ? { ...env, TORBIZ_PYTHON: python } : env,
    host,
    runtimeFiles: findRuntimeFiles([runtimeFiles]),
  });
}
