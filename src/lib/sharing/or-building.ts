import { currentBuild } from "../docker/build/lock";
import type { Names } from "../names";
import type { Paths } from "../paths";
import type { SharingStatus } from "./status";

/** The status, or that the image is being built: while it is, there is no container that could tell. Reads one small file. */
export function orBuilding(status: SharingStatus, paths: Paths, names: Names): SharingStatus {
  const build = status.state === "absent" ? currentBuild(paths, names) : undefined;
  if (!build) return status;
  return {
    ...status,
    state: "building",
    since: build.startedAt,
    message: `The image is being built. Log: ${build.log}`,
  };
}
