import type { EngineContext } from "../context";
import { TorbizError } from "../errors";
import { createInvite } from "./invite";
import { sharedModel } from "./shared-model";
import { readStatus, type SharingStatus } from "./status";
import { parseSwarmText } from "./swarm";

/**
 * The invite to the swarm of the share that runs, from what the engine tells of it.
 *
 * @throws TorbizError not-sharing, invite-unavailable, model-unknown
 *
 * @example
 * const invite = await shareInvite(await openEngine(surroundings));
 */
export async function shareInvite(context: Pick<EngineContext, "engine" | "names" | "paths">): Promise<string> {
  const { engine, names } = context;
  return inviteTo(context, readStatus(await engine.inspect(names.container)));
}

/** The same from a status that is known. */
export function inviteTo({ paths }: Pick<EngineContext, "paths">, status: SharingStatus): string {
  if (status.model === null) throw new TorbizError("not-sharing", "Nothing is online to invite others to.");
  return createInvite(status, sharedModel(paths, status), parseSwarmText(status.swarm ?? "private"));
}
