import { TorbizError } from "../errors";
import { findModel, onHub, type Model } from "../models";
import type { Paths } from "../paths";
import type { WebSurroundings } from "../web";
import { commitOf, factsOf, isOf, isRepository, knownModels, rememberModel, type HubFacts } from "./known-models";
import { lookUp, type LookUpOptions } from "./look-up";

export interface ResolveOptions extends Pick<LookUpOptions, "token" | "signal"> {
  /** The commit that others have. Where this computer knows the model at another one, that stays remembered. */
  commit?: string;
}

/**
 * The model that a person names, checked: one of the hub that wasn't named on this computer before is looked up there.
 * One that is known here is taken for the same at the commit that others have, where the hub can't be asked for that.
 *
 * @throws TorbizError model-unknown, model-gated, model-unsupported, hub-unreachable, interrupted
 *
 * @example
 * const model = await resolveModel(surroundings, "owner/name", { token, signal });
 */
export async function resolveModel(
  surroundings: WebSurroundings & { paths: Pick<Paths, "home"> },
  name: string,
  { commit, ...options }: ResolveOptions = {},
): Promise<Model> {
  const { paths } = surroundings;
  const typed = name.trim();
  const known = knownModels(paths);
  const isNew = isRepository(typed) && !known.some((model) => isOf(model, typed));
  const model = isNew ? undefined : findModel(typed, known);
  if (model?.source.kind === "starter") return model;
  const { repository, revision: usual } = model?.source ?? { repository: typed, revision: undefined };
  const revision = commit ?? usual;
  if (model && usual === revision && factsOf(paths, repository)?.revision === revision) return model;
  const isOther = model && commitOf(model) && usual !== revision ? model : undefined;
  let facts: HubFacts;
  try {
    facts = await lookUp({ repository, revision, surroundings, ...options });
  } catch (error) {
    // A swarm of a network without internet: the model's form is known, and a seeder has the files of that commit or says
    // which it lacks.
    const isUnreachable = error instanceof TorbizError && error.code === "hub-unreachable";
    if (!isOther || !commit || !isUnreachable) throw error;
    facts = { ...isOther, repository, revision: commit };
  }
  if (isOther) return onHub({ ...isOther, ...facts });
  rememberModel(paths, facts);
  return findModel(facts.repository, knownModels(paths));
}

/**
 * The same where nothing is to be shared: the hub is asked only for a repository that was never named on this computer, or
 * for another commit than it has here.
 *
 * @throws TorbizError as `resolveModel`
 */
export async function nameModel(
  surroundings: WebSurroundings & { paths: Pick<Paths, "home"> },
  name: string,
  options: ResolveOptions = {},
): Promise<Model> {
  const typed = name.trim();
  const known = knownModels(surroundings.paths);
  if (isRepository(typed) && !known.some((model) => isOf(model, typed))) {
    return resolveModel(surroundings, typed, options);
  }
  const model = findModel(typed, known);
  const isOther = options.commit !== undefined && options.commit !== commitOf(model);
  return isOther ? resolveModel(surroundings, typed, options) : model;
}
