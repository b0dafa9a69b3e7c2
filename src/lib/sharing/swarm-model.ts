import type { EngineContext } from "../context";
import { TorbizError } from "../errors";
import type { LookUpOptions } from "../hub/look-up";
import { commitOf, idOfName, isCommit } from "../hub/known-models";
import { resolveModel } from "../hub/resolve-model";
import { defaultModel, MODELS, type Model } from "../models";
import type { Swarm } from "./swarm";

/**
 * The model that is shared in a swarm: the one that is named, else the invite's, else the starter. One of the hub is that
 * of the invite's commit, whatever this computer knows: blocks of two commits make no model.
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
  const wanted = name ?? invite?.model ?? defaultModel.id;
  const isInvited = invite && idOfName(wanted) === idOfName(invite.model);
  const commit = isInvited && invite.revision && isCommit(invite.revision) ? invite.revision : undefined;
  const model = await resolveModel(context, wanted, { commit, token, signal });
  if (invite && invite.dhtPrefix !== model.dhtPrefix) {
    throw new TorbizError("swarm-invalid", `This invite is to a swarm of ${invite.model}, not of ${model.id}.`);
  }
  const own = MODELS.find(({ id }) => id === model.id);
  const pinned = own && commitOf(own); // it goes before all that is remembered
  if (commit && pinned && pinned !== commit) {
    throw new TorbizError(
      "swarm-invalid",
      `This invite is to another version of ${model.title} than Torbiz has here.`,
      {
        hint: "Use the same version of Torbiz on both computers.",
      },
    );
  }
  return model;
}
