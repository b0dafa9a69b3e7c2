import type { Model } from "../lib/models";
import type { BlockChoice } from "../lib/sharing/blocks";
import { parseSwarmText } from "../lib/sharing/swarm";
import type { ShareChoice } from "./use-share-jobs";

/** What was chosen once, as labels and files keep it. */
interface Kept {
  model: string | null;
  swarm: string | null;
  blocks?: BlockChoice;
  lan?: true | string;
  port?: number;
}

/** The same to choose again; undefined where this Torbiz can't share it, or it is damaged. */
export function choiceOf(kept: Kept, models: readonly Model[]): ShareChoice | undefined {
  const { model: id, swarm, blocks, lan, port } = kept;
  const model = models.find((known) => known.id === id);
  if (!model || swarm === null) return undefined;
  try {
    return {
      model,
      swarm: parseSwarmText(swarm),
      ...(blocks !== undefined && { blocks }),
      ...(lan !== undefined && { lan }),
      // Invites that were given name it.
      ...(port !== undefined && { port }),
    };
  } catch {
    return undefined;
  }
}
