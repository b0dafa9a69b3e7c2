import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Paths } from "../../paths";
import { readHistory } from "./history";
import type { RunningBuild } from "./lock";
import { BuildProgressParser } from "./progress";

/** A parser for the log of a build that runs. */
export function openParser(paths: Paths, runtimeFiles: string, { startedAt }: RunningBuild): BuildProgressParser {
  return new BuildProgressParser({
    dockerfile: readFileSync(join(runtimeFiles, "docker", "Dockerfile.macos"), "utf8"),
    history: readHistory(paths),
    ranForMs: Date.now() - Date.parse(startedAt),
  });
}
