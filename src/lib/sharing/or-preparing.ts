import type { Surroundings } from "../context";
import { lastBuild } from "../docker/build/last-build";
import { peekBuild } from "../docker/build/peek-build";
import { lockHolder } from "../process-lock";
import { wasSharedSince } from "./last-choice";
import type { SharingStatus } from "./status";
import { shareLock } from "./stop-request";

/**
 * The status, or what is under way before there is a container that could tell: the image is being built, or a share is
 * being prepared. Where nothing is, and nothing was shared since, it says how the last build ended. Reads a few small files.
 */
export function orPreparing(
  status: SharingStatus,
  where: Pick<Surroundings, "paths" | "names" | "runtimeFiles">,
): SharingStatus {
  const { paths, names, runtimeFiles } = where;
  if (status.state !== "absent" && status.state !== "exited") return status;
  const peek = peekBuild(paths, names, runtimeFiles);
  if (peek) {
    const { build, step, steps, percent, secondsLeft, title } = peek;
    return {
      ...status,
      state: "building",
      since: build.startedAt,
      message: `Building ${step}/${steps}: ${title}`,
      build: { step, steps, percent, secondsLeft },
    };
  }
  if (status.state === "exited") return status;
  if (lockHolder(shareLock(where))) {
    return { ...status, state: "starting", stage: "starting", message: "What it needs is being prepared." };
  }
  const last = lastBuild(paths, names);
  // Whoever shared since knows how it ended.
  if (!last || wasSharedSince(where, last.at)) return status;
  const { outcome, at, error } = last;
  return { ...status, lastBuild: { outcome, at, message: error?.message ?? null } };
}
