import { sizeText } from "../units";
import type { Verdict } from "./finding";

/** For the image with the steps it is made by (3 GB), both environments (2 GB), and a model of that size. */
const COMFORTABLE_BYTES = 8e9;
/** With less not even a log can be counted on. */
const LEAST_BYTES = 1e9;

/** What there is to say of free space. @param where "on Docker's disk" */
export function roomVerdict(freeBytes: number, where: string, hints: Pick<Verdict, "hint" | "cliHint">): Verdict {
  const detail = `${sizeText(freeBytes)} are free ${where}.`;
  if (freeBytes >= COMFORTABLE_BYTES) return { state: "ok", detail };
  const state = freeBytes < LEAST_BYTES ? "problem" : "warning";
  return {
    state,
    detail: `${detail} Everything that Torbiz makes takes about ${sizeText(COMFORTABLE_BYTES)}.`,
    ...hints,
  };
}
