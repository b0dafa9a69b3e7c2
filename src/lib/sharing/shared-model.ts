import { knownModels } from "../hub/known-models";
import { defaultModel, findModel, type Model } from "../models";
import type { Paths } from "../paths";
import type { SharingStatus } from "./status";

/**
 * The model that a share serves, at the commit that its container was started with: this computer may have come to know
 * another one since.
 *
 * @throws TorbizError model-unknown
 */
export function sharedModel(
  paths: Pick<Paths, "home">,
  { model, revision }: Pick<SharingStatus, "model" | "revision">,
): Model {
  const known = findModel(model ?? defaultModel.id, knownModels(paths));
  if (known.source.kind !== "hub" || revision === null) return known;
  return { ...known, source: { ...known.source, revision } };
}
