import { Icon } from "@raycast/api";
import type { Progress } from "../../lib/progress";
import { STAGES, type SharingStatus } from "../../lib/sharing/status";
import { tinted } from "../status-look";
import type { Fact } from "./fact-row";

/** A start on its way: the status is read every five seconds, a start of this window tells at once. */
interface OnTheWay extends Pick<SharingStatus, "stage" | "blocks"> {
  /** What the start of this window said last. */
  heard?: Progress;
}

/** "Stage 5 of 7: Loading blocks 12/30" */
export function stageTitle({ stage, blocks, heard }: OnTheWay): string {
  const index = current({ stage, heard });
  const loaded = stage === "loading" && blocks ? ` ${blocks.loaded}/${blocks.total}` : "";
  const title = heard && index > indexOf(stage) ? heard.message : `${STAGES[index]?.title ?? ""}${loaded}`;
  return `Stage ${index + 1} of ${STAGES.length}: ${title}`;
}

/** The stages as a list to tick off. */
export function stageFacts(status: Pick<OnTheWay, "stage" | "heard">): Fact[] {
  const now = current(status);
  return STAGES.map(({ title }, index) => {
    if (index < now) return { title, text: "Done", icon: tinted(Icon.CheckCircle, "good") };
    if (index === now) return { title, text: "Now", icon: tinted(Icon.CircleProgress50, "busy") };
    return { title, icon: tinted(Icon.Circle, "quiet") };
  });
}

function current({ stage, heard }: Pick<OnTheWay, "stage" | "heard">): number {
  return Math.max(indexOf(stage), indexOf(heard?.stage));
}

/** A stage that nobody knows counts as the first. */
function indexOf(stage: string | null | undefined): number {
  return Math.max(
    0,
    STAGES.findIndex((known) => known.stage === stage),
  );
}
