import { environment, getPreferenceValues } from "@raycast/api";
import { homedir } from "node:os";
import { join } from "node:path";
import type { DockerSurroundings } from "../lib/docker/endpoint";
import { chosenSocket } from "./chosen-socket";

/**
 * Where to look for the engine, and the files that ship with the extension. Apart from `extension-surroundings`, as the
 * menu bar must load little.
 */
export function dockerSurroundings(): DockerSurroundings & { runtimeFiles: string } {
  const { dockerHost } = getPreferenceValues<Preferences>();
  // Launchers other than Raycast have handed over other things than texts.
  const preferred = typeof dockerHost === "string" ? dockerHost.trim() : "";
  return {
    env: process.env,
    home: homedir(),
    platform: process.platform,
    host: preferred || chosenSocket(),
    runtimeFiles: join(environment.assetsPath, "runtime"),
  };
}
