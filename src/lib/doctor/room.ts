import { buildRoom, buildRoomText } from "../docker/build/build-room";
import type { EngineFacts } from "../docker/preflight";
import { sizeText } from "../units";
import type { Verdict } from "./finding";

/** For the image with the steps it is made by (3 GB), both environments (2 GB), and a model of that size. */
const COMFORTABLE_BYTES = 8e9;
/** With less not even a log can be counted on. */
const LEAST_BYTES = 1e9;

/**
 * What there is to say of free space.
 *
 * @param where "on Docker's disk"
 * @param engine where the image would be built there
 */
export function roomVerdict(
  freeBytes: number,
  where: string,
  hints: Pick<Verdict, "hint" | "cliHint">,
  engine?: Pick<EngineFacts, "containerdStore">,
): Verdict {
  const detail = `${sizeText(freeBytes)} are free ${where}.`;
  if (freeBytes >= COMFORTABLE_BYTES) return { state: "ok", detail };
  const state = freeBytes < LEAST_BYTES ? "problem" : "warning";
  const isTight = engine && freeBytes < buildRoom(engine).most;
  const build = isTight ? ` Building the image from nothing takes ${buildRoomText(engine)}.` : "";
  return {
    state,
    detail: `${detail}${build} Everything that Torbiz makes takes about ${sizeText(COMFORTABLE_BYTES)}.`,
    ...hints,
  };
}
