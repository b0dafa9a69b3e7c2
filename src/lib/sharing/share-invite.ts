import type { EngineContext } from "../context";
import { TorbizError } from "../errors";
import { knownModels } from "../hub/known-models";
import { findModel } from "../models";
import { createInvite } from "./invite";
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
  return createInvite(status, findModel(status.model, knownModels(paths)), parseSwarmText(status.swarm ?? "private"));
}
