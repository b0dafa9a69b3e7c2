import { getPreferenceValues } from "@raycast/api";
import { homedir } from "node:os";
import type { DockerSurroundings } from "../lib/docker/endpoint";
import { chosenSocket } from "./chosen-socket";

/** Where to look for the engine. Apart from `extension-surroundings`, as the menu bar must load little. */
export function dockerSurroundings(): DockerSurroundings {
  const { dockerHost } = getPreferenceValues<Preferences>();
  // Launchers other than Raycast have handed over other things than texts.
  const preferred = typeof dockerHost === "string" ? dockerHost.trim() : "";
  return { env: process.env, home: homedir(), platform: process.platform, host: preferred || chosenSocket() };
}
