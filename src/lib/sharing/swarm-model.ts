import { TorbizError } from "../errors";
import { commitOf, idOfName, isCommit } from "../hub/known-models";
import { resolveModel, type ResolveOptions } from "../hub/resolve-model";
import { defaultModel, MODELS, type Model } from "../models";
import type { Swarm } from "./swarm";

export interface ModelInOptions extends Omit<ResolveOptions, "commit"> {
  /** `nameModel` where nothing is to be shared. */
  find?: typeof resolveModel;
}

/**
 * The model that is shared or asked in a swarm: the one that is named, else the invite's, else the starter. One of the hub
 * is that of the invite's commit, whatever this computer knows: parts of two commits make no model.
 *
 * @throws TorbizError swarm-invalid where the invite is to another one's swarm; as `resolveModel`
 */
export async function modelIn(
  surroundings: Parameters<typeof resolveModel>[0],
  swarm: Swarm,
  name: string | undefined,
  { find = resolveModel, token, signal }: ModelInOptions,
): Promise<Model> {
  const invite = swarm.kind === "join" ? swarm.invite : undefined;
  const isInvited = invite && (name === undefined || idOfName(name) === idOfName(invite.model));
  // An id is no use where the model was never named; the invite has its repository.
  const wanted = isInvited ? invite.model : (name ?? defaultModel.id);
  const commit = isInvited && invite.revision && isCommit(invite.revision) ? invite.revision : undefined;
  const model = await find(surroundings, wanted, { commit, token, signal });
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
