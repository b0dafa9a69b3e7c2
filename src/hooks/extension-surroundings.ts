import { environment, getPreferenceValues } from "@raycast/api";
import { join } from "node:path";
import { openSurroundings, type Surroundings } from "../lib/context";
import { findRuntimeFiles } from "../lib/runtime-files";
import { dockerSurroundings } from "./docker-surroundings";

/**
 * The surroundings of a command: the user's preferences, and the files that ship with the extension.
 * @throws TorbizError home-not-writable, instance-invalid
 */
export function extensionSurroundings(): Surroundings {
  const { pythonPath } = getPreferenceValues<Preferences>();
  const python = pythonPath?.trim();
  return openSurroundings({
    env: python ? { ...process.env, TORBIZ_PYTHON: python } : process.env,
    host: dockerSurroundings().host,
    runtimeFiles: findRuntimeFiles([join(environment.assetsPath, "runtime")]),
  });
}
