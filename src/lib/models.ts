import { TorbizError } from "./errors";
import { blockBytes, cacheBytes, dhtPrefixOf, weightBytes, type ModelConfig } from "./model-config";

/** Where a model's files come from. */
export type ModelSource =
  /** Prepared in the home folder, without a model hub: `torbiz.starter`. */
  | { kind: "starter" }
  /** Fetched by the seeder into its cache volume, block by block. */
  | {
      kind: "hub";
      /** "owner/name" */
      repository: string;
      /** A commit, or the name of a branch where no commit is known. */
      revision: string;
    };

/** A language model that can be shared and asked. */
export interface Model {
  /** Names the model's folder in the home folder: kebab-case; `owner--name` for one that a person named by its repository. */
  id: string;
  title: string;
  source: ModelSource;
  config: ModelConfig;
  /** Transformer blocks: what peers divide among themselves. */
  blocks: number;
  /** Memory that one block's weights take in the seeder, in bytes, at float32. */
  blockBytes: number;
  /** Memory that one block's attention cache takes when it is full, in bytes. */
  cacheBytes: number;
  /** What is downloaded for all its blocks, in bytes; 0 for the starter, which comes with the image. */
  diskBytes: number;
  /** The key under which peers announce and look for its blocks: peers with another one never meet. */
  dhtPrefix: string;
  /** Its name as SPDX or the model's page has it; "unknown" where the page names none. */
  license: string;
  /** Whether the hub gives it only to accounts that were granted access: it takes a token. */
  gated: boolean;
  /** One line for people who choose. */
  note: string;
}

/** What is shared and asked unless told otherwise. */
export const defaultModel: Model = sized({
  id: "smollm2-135m-instruct",
  title: "SmolLM2 135M Instruct",
  source: { kind: "starter" },
  config: {
    model_type: "llama",
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    attention_bias: false,
    vocab_size: 49152,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
  },
  diskBytes: 0,
  dhtPrefix: "smollm2-135m-instruct-hf",
  license: "Apache-2.0",
  gated: false,
  note: "Small and quick to try: comes with Torbiz, needs no account.",
});

/** The catalogue, in the order in which people are shown it. */
export const MODELS: readonly Model[] = [defaultModel];

/** Adds what follows from a model's config. */
function sized(model: Omit<Model, "blocks" | "blockBytes" | "cacheBytes">): Model {
  const { config } = model;
  return { ...model, blocks: config.num_hidden_layers, blockBytes: blockBytes(config), cacheBytes: cacheBytes(config) };
}

type HubModel = Pick<Model, "id" | "title" | "config" | "license" | "gated" | "note"> &
  Omit<Extract<ModelSource, { kind: "hub" }>, "kind"> & {
    /** Where the sizes of the files are known; else those of the weights. */
    diskBytes?: number;
  };

/** A model of the hub with all that follows from its repository and its config. */
export function onHub({ repository, revision, diskBytes, ...model }: HubModel): Model {
  const { config } = model;
  return sized({
    ...model,
    source: { kind: "hub", repository, revision },
    diskBytes: diskBytes ?? weightBytes(config),
    dhtPrefix: dhtPrefixOf(config.model_type, repository),
  });
}

/**
 * The model that a person names by its id or its repository, in any case.
 *
 * @param known the catalogue, or `knownModels` where a person's own count, too
 * @throws TorbizError model-unknown with the known ids, and the one that may have been meant
 *
 * @example
 * findModel("SmolLM2-135M-Instruct").blocks; // 30
 * findModel("owner/Name", knownModels(paths)).id; // "owner--name", once it was looked up
 */
export function findModel(name: string, known: readonly Model[] = MODELS): Model {
  const wanted = name.trim().toLowerCase();
  const found = known.find((model) => model.id === wanted || repositoryOf(model)?.toLowerCase() === wanted);
  if (found) return found;
  const meant = known.find((model) => isClose(wanted, model.id));
  const ids = known.map((model) => model.id);
  throw new TorbizError("model-unknown", `Torbiz doesn't know the model "${name}".`, {
    hint: `${meant ? `Did you mean ${meant.id}? ` : ""}It knows: ${ids.join(", ")}.`,
    details: { known: ids, ...(meant && { meant: meant.id }) },
  });
}

/** "owner/name" of a model of the hub. */
export function repositoryOf({ source }: Model): string | undefined {
  return source.kind === "hub" ? source.repository : undefined;
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
