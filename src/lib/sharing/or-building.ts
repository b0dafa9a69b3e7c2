import type { Surroundings } from "../context";
import { lastBuild } from "../docker/build/last-build";
import { peekBuild } from "../docker/build/peek-build";
import { lastShareAt } from "./last-choice";
import type { SharingStatus } from "./status";

/**
 * The status, or that the image is being built: while it is, nothing else can be told. Where nothing is shared or was since,
 * it says how the last build ended. Reads a few small files.
 */
export function orBuilding(
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
  const last = status.state === "absent" ? lastBuild(paths, names) : undefined;
  // Whoever shared since knows how it ended.
  if (!last || last.at < (lastShareAt(where) ?? "")) return status;
  const { outcome, at, error } = last;
  return { ...status, lastBuild: { outcome, at, message: error?.message ?? null } };
}
