import { Icon } from "@raycast/api";
import type { Progress } from "../../lib/progress";
import { downloadText } from "../../lib/sharing/download-text";
import { stagesIn, type SharingStatus } from "../../lib/sharing/status";
import { tinted } from "../status-look";
import type { Fact } from "./fact-row";

/** A start on its way: the status is read every five seconds, a start of this window tells at once. */
interface OnTheWay extends Pick<SharingStatus, "stage" | "blocks" | "swarm" | "download"> {
  /** What the start of this window said last. */
  heard?: Progress;
}

/** "Stage 5 of 6: Loading blocks 12/30", "Stage 5 of 6: Downloading model.safetensors (34%, 0.7 of 2.2 GB)" */
export function stageTitle({ stage, blocks, swarm, download, heard }: OnTheWay): string {
  const stages = stagesIn(swarm);
  const index = current(stages, { stage, heard });
  if (heard && index === stages.length) return heard.message;
  const loaded = stage === "loading" && blocks ? ` ${blocks.loaded}/${blocks.total}` : "";
  const told = stage === "downloading" && download ? downloadText(download) : `${stages[index]?.title ?? ""}${loaded}`;
  const isNews = heard && (index > indexOf(stages, stage) || (heard.stage === "downloading" && stage !== "loading"));
  const title = isNews ? heard.message : told;
  return `Stage ${index + 1} of ${stages.length}: ${title}`;
}

/** The stages as a list to tick off. */
export function stageFacts(status: Pick<OnTheWay, "stage" | "swarm" | "heard">): Fact[] {
  const stages = stagesIn(status.swarm);
  const now = current(stages, status);
  return stages.map(({ title }, index) => {
    if (index < now) return { title, text: "Done", icon: tinted(Icon.CheckCircle, "good") };
    if (index === now) return { title, text: "Now", icon: tinted(Icon.CircleProgress50, "busy") };
    return { title, icon: tinted(Icon.Circle, "quiet") };
  });
}

type Stages = ReturnType<typeof stagesIn>;

/** Behind the last one when it is heard to be online, which its status doesn't tell yet. */
function current(stages: Stages, { stage, heard }: Pick<OnTheWay, "stage" | "heard">): number {
  if (heard?.stage === "online") return stages.length;
  return Math.max(indexOf(stages, stage), indexOf(stages, heard?.stage));
}

/** A download is a part of loading. A stage that nobody knows counts as the first. */
function indexOf(stages: Stages, stage: string | null | undefined): number {
  const step = stage === "downloading" ? "loading" : stage;
  return Math.max(
    0,
    stages.findIndex((known) => known.stage === step),
  );
}
