import type { Paths } from "../paths";
import { TorbizError } from "../errors";

/** A language model that this computer answers with by itself: one GGUF file. */
export interface LocalModel {
  /** Kebab-case, names its folder in the home folder; for a file of the user's own its absolute path. */
  id: string;
  title: string;
  /** On the model hub, "owner/name". */
  repo?: string;
  /** Commit of the repository, so that the file is always the same. */
  revision?: string;
  /** The file's name; for a file of the user's own its absolute path. */
  file: string;
  /** Size of the file. */
  bytes: number;
  /** Memory that an answer takes: the weights, the attention cache of a usual context, and what llama.cpp computes in. */
  memoryBytes: number;
  /** The most tokens it was trained to hold; null where only the file knows. */
  context: number | null;
  /** SPDX id, or the licence's name. */
  license: string | null;
  /** One line for people who choose. */
  note: string;
  source: "starter" | "hub" | "file";
}

/** The models that are offered, the smallest first. */
export const LOCAL_MODELS: readonly LocalModel[] = [];

/**
 * The model that a person names: an id in any case, or the absolute path of a GGUF file.
 * @throws TorbizError model-unknown
 */
export async function findLocalModel(text: string, paths: Pick<Paths, "models">): Promise<LocalModel> {
  return Promise.reject(new TorbizError("model-unknown", `${text} in ${paths.models}`));
}

/** The one model to offer for a computer with so much memory. */
export function recommendedModel(memoryBytes: number): LocalModel | undefined {
  return LOCAL_MODELS.findLast((model) => model.memoryBytes <= memoryBytes);
}
