import { findModel } from "../lib/models";
import type { SharingStatus } from "../lib/sharing/status";

/** The blocks in words: "Blocks 0 to 29", or how many of them are loaded. Undefined while nobody knows. */
export function blocksText({ blocks }: SharingStatus): string | undefined {
  if (!blocks) return undefined;
  const { loaded, total, start, end } = blocks;
  return loaded < total ? `${loaded} of ${total} blocks loaded` : `Blocks ${start} to ${end - 1}`;
}

/** The people being served in words. */
export function sessionsText({ sessions }: SharingStatus): string {
  return sessions === 1 ? "1 session" : `${sessions} sessions`;
}

/**
 * The title of a share's model; where it isn't in the catalogue its repository, of which its id is made. Reads no file: the
 * menu bar shows it, too.
 */
export function modelTitle({ model }: Pick<SharingStatus, "model">): string {
  try {
    return findModel(model ?? "").title;
  } catch {
    return model?.replace("--", "/") ?? "A Model";
  }
}
