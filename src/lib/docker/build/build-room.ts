import { sizeText } from "../../units";
import type { EngineFacts } from "../preflight";

type Store = Pick<EngineFacts, "containerdStore">;

/**
 * How much of Docker's disk building the image from nothing takes, in bytes: at least, and at most for a while. Which of
 * the two is the builder's affair where images aren't in containerd's store: the classic one copies each layer when its
 * step has ended. The Dockerfile and the build script refuse less than the least; a test holds the numbers together.
 */
export function buildRoom({ containerdStore }: Store): { least: number; most: number } {
  return containerdStore ? { least: 4.3e9, most: 4.3e9 } : { least: 2.5e9, most: 3.7e9 };
}

/** The same for people: "2.5 GB to 3.7 GB". */
export function buildRoomText(store: Store): string {
  const { least, most } = buildRoom(store);
  return [...new Set([least, most].map(sizeText))].join(" to ");
}
