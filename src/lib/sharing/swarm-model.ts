import type { EngineContext } from "../context";
import { TorbizError } from "../errors";
import type { LookUpOptions } from "../hub/look-up";
import { resolveModel } from "../hub/resolve-model";
import { defaultModel, type Model } from "../models";
import type { Swarm } from "./swarm";

/**
 * The model that is shared in a swarm: the one that is named, else the invite's, else the starter.
 *
 * @throws TorbizError swarm-invalid where the invite is to another one's swarm; as `resolveModel`
 */
export async function modelIn(
  context: EngineContext,
  swarm: Swarm,
  name: string | undefined,
  { token, signal }: Pick<LookUpOptions, "token" | "signal">,
): Promise<Model> {
  const invite = swarm.kind === "join" ? swarm.invite : undefined;
  const model = await resolveModel(context, name ?? invite?.model ?? defaultModel.id, { token, signal });
  if (invite && invite.dhtPrefix !== model.dhtPrefix) {
    throw new TorbizError("swarm-invalid", `This invite is to a swarm of ${invite.model}, not of ${model.id}.`);
  }
  return model;
}
