import { Icon } from "@raycast/api";
import { STAGES, type SharingStatus } from "../../lib/sharing/status";
import { tinted } from "../status-look";
import type { Fact } from "./fact-row";

/** Those before peers can use it. */
const ON_THE_WAY = STAGES.filter(({ stage }) => stage !== "online");

/** "Stage 5 of 6: Loading blocks 12/30" */
export function stageTitle({ stage, blocks }: Pick<SharingStatus, "stage" | "blocks">): string {
  const index = indexOf(stage);
  const { title = "Starting" } = ON_THE_WAY[index] ?? {};
  const loaded = stage === "loading" && blocks ? ` ${blocks.loaded}/${blocks.total}` : "";
  return `Stage ${index + 1} of ${ON_THE_WAY.length}: ${title}${loaded}`;
}

/** The stages as a list to tick off. */
export function stageFacts({ stage }: Pick<SharingStatus, "stage">): Fact[] {
  const current = indexOf(stage);
  return ON_THE_WAY.map(({ title }, index) => {
    if (index < current) return { title, text: "Done", icon: tinted(Icon.CheckCircle, "good") };
    if (index === current) return { title, text: "Now", icon: tinted(Icon.CircleProgress50, "busy") };
    return { title, icon: tinted(Icon.Circle, "quiet") };
  });
}

/** A stage that nobody knows counts as the first. */
function indexOf(stage: string | null): number {
  return Math.max(
    0,
    ON_THE_WAY.findIndex((known) => known.stage === stage),
  );
}
