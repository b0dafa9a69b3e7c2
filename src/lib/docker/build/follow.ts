import type { Names } from "../../names";
import type { Paths } from "../../paths";
import { findBuild } from "./find-build";
import type { BuildProgress } from "./progress";
import { endBuild, watchBuild, type BuildPlace } from "./watch";

/**
 * The build of this image that runs now, whoever started it, as progress until its end, about five times a second. Ends
 * at once when none runs; leaving the loop leaves the build alone. `lastBuild` tells how it ended.
 *
 * @param signal ends it quietly; the build goes on
 * @throws TorbizError docker-not-answering when the build says nothing for too long
 * @example
 * for await (const { step, steps, percent } of followBuild({ paths, names, runtimeFiles })) show(step, steps, percent);
 * const end = lastBuild(paths, names);
 */
export async function* followBuild(place: BuildPlace, signal?: AbortSignal): AsyncGenerator<BuildProgress> {
  const build = await findBuild(place.paths, place.names);
  if (build) yield* watchBuild(place, build, signal);
}

/**
 * Cancels the build of this image, whoever started it; finished steps are kept.
 * @returns when it has ended; false when none runs
 */
export async function cancelBuild(paths: Paths, names: Names): Promise<boolean> {
  const build = await findBuild(paths, names);
  if (build) await endBuild(paths, names, build.pid);
  return build !== undefined;
}
