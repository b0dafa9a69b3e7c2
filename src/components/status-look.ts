import { Color, Icon, type Image } from "@raycast/api";
import type { SharingStatus } from "../lib/sharing/status";

interface Look {
  word: string;
  icon: Image.ImageLike;
}

const look = (word: string, source: Icon, tintColor: Color): Look => ({ word, icon: { source, tintColor } });

/** The word and the icon for each state of sharing. The only place where states meet colors. */
export const STATUS_LOOK: Record<SharingStatus["state"], Look> = {
  absent: look("Not Sharing", Icon.Circle, Color.SecondaryText),
  building: look("Building Image", Icon.Hammer, Color.Yellow),
  starting: look("Starting", Icon.CircleProgress50, Color.Yellow),
  online: look("Sharing", Icon.CircleFilled, Color.Green),
  finishing: look("Finishing", Icon.CircleProgress75, Color.Yellow),
  stopping: look("Stopping", Icon.CircleProgress25, Color.Yellow),
  exited: look("Ended", Icon.XMarkCircle, Color.Red),
  foreign: look("Name Taken", Icon.Warning, Color.Orange),
  unknown: look("Unknown", Icon.QuestionMarkCircle, Color.SecondaryText),
};
