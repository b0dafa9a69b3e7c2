import { TorbizError } from "./errors";

/** A language model that can be shared and asked. */
export interface Model {
  /** Kebab-case; names the model's folder in the home folder. */
  id: string;
  title: string;
  /** Transformer blocks: what peers divide among themselves. */
  blocks: number;
  /** Memory that one block's weights take in the seeder, in bytes: Petals' `get_block_size(config, "memory", float32)`. */
  blockBytes: number;
  /** Memory that one block's attention cache takes when it is full, in bytes: `plan_blocks` in python/torbiz/seeder.py. */
  cacheBytes: number;
  /** The key under which peers announce and look for its blocks: peers with another one never meet. */
  dhtPrefix: string;
  /** One line for people who choose. */
  note: string;
}

/** What is shared and asked unless told otherwise. */
export const defaultModel: Model = {
  id: "smollm2-135m-instruct",
  title: "SmolLM2 135M Instruct",
  blocks: 30,
  blockBytes: 14_301_988,
  cacheBytes: 12_582_912,
  dhtPrefix: "smollm2-135m-instruct-hf",
  note: "Small and quick to try: comes with Torbiz, needs no account.",
};

/** All of them. */
export const MODELS: readonly Model[] = [defaultModel];

/**
 * The model that a person names, in any case.
 * @throws TorbizError model-unknown with the known ids, and the one that may have been meant
 *
 * @example
 * findModel("SmolLM2-135M-Instruct").blocks; // 30
 */
export function findModel(name: string): Model {
  const wanted = name.trim().toLowerCase();
  const found = MODELS.find((model) => model.id === wanted);
  if (found) return found;
  const meant = MODELS.find((model) => isClose(wanted, model.id));
  const ids = MODELS.map((model) => model.id).join(", ");
  throw new TorbizError("model-unknown", `Torbiz doesn't know the model "${name}".`, {
    hint: `${meant ? `Did you mean ${meant.id}? ` : ""}It knows: ${ids}.`,
    details: { known: MODELS.map((model) => model.id), ...(meant && { meant: meant.id }) },
  });
}

/** Whether `wanted` is a part of `known`, or a slip of the keyboard away from its beginning ("tinylama", "smolm2-135m"). */
export function isClose(wanted: string, known: string): boolean {
  if (wanted.length < 3) return false;
  return known.includes(wanted) || distanceToStart(wanted, known) <= Math.max(1, Math.floor(wanted.length / 4));
}

/** The fewest insertions, deletions and replacements that make `text` some beginning of `known` (Levenshtein). */
function distanceToStart(text: string, known: string): number {
  let row = Array.from({ length: known.length + 1 }, (_, index) => index);
  for (const [index, char] of [...text].entries()) {
    const next = [index + 1];
    for (let column = 1; column <= known.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (known[column - 1] === char ? 0 : 1);
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return Math.min(...row);
}
