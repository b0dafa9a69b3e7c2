import { Color, Icon, type Image } from "@raycast/api";
import type { SharingStatus } from "../lib/sharing/status";

interface Look {
  word: string;
  icon: Image.ImageLike;
}

/** What a color means. Never without a word beside it. */
export const PALETTE = {
  good: Color.Green,
  busy: Color.Yellow,
  warning: Color.Orange,
  bad: Color.Red,
  quiet: Color.SecondaryText,
} as const;

/** An icon in the color of what it means. */
export function tinted(source: Icon, meaning: keyof typeof PALETTE): Image {
  return { source, tintColor: PALETTE[meaning] };
}

const look = (word: string, source: Icon, meaning: keyof typeof PALETTE): Look => ({
  word,
  icon: tinted(source, meaning),
});

/** The word and the icon for each state of sharing. */
export const STATUS_LOOK: Record<SharingStatus["state"], Look> = {
  absent: look("Not Sharing", Icon.Circle, "quiet"),
  building: look("Building Image", Icon.Hammer, "busy"),
  starting: look("Starting", Icon.CircleProgress50, "busy"),
  online: look("Sharing", Icon.CircleFilled, "good"),
  finishing: look("Finishing", Icon.CircleProgress75, "busy"),
  stopping: look("Stopping", Icon.CircleProgress25, "busy"),
  paused: look("Paused", Icon.PauseFilled, "warning"),
  exited: look("Ended", Icon.XMarkCircle, "bad"),
  foreign: look("Name Taken", Icon.Warning, "warning"),
  unknown: look("Unknown", Icon.QuestionMarkCircle, "quiet"),
};

/** The same for one status: an end that was asked for is nothing to worry about. */
export function lookOf({ state, exitCode }: Pick<SharingStatus, "state" | "exitCode">): Look {
  const known = STATUS_LOOK[state];
  return state === "exited" && exitCode === 0 ? { ...known, icon: STATUS_LOOK.absent.icon } : known;
}
