import { getPreferenceValues } from "@raycast/api";
import { homedir } from "node:os";
import type { DockerSurroundings } from "../lib/docker/endpoint";

/** Where to look for the engine. Apart from `extension-surroundings`, as the menu bar must load little. */
export function dockerSurroundings(): DockerSurroundings {
  const { dockerHost } = getPreferenceValues<Preferences>();
  return { env: process.env, home: homedir(), platform: process.platform, host: dockerHost?.trim() || undefined };
}
