import { TorbizError } from "./errors";
import { blockBytes, blockFileBytes, cacheBytes, dhtPrefixOf, weightBytes, type ModelConfig } from "./model-config";

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
  /** What one block's weights take in the files, in bytes, at the precision that these have. */
  blockFileBytes: number;
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

/**
 * The catalogue, in the order in which people are shown it: models of the families that the pinned Petals has blocks for,
 * whose weights are there as safetensors. Sizes are those of the `config.json` of each repository; a commit is named
 * where a public record of it was found, and "main" elsewhere, which is pinned when the model is looked up first.
 */
export const MODELS: readonly Model[] = [
  defaultModel,
  onHub({
    id: "tinyllama-1.1b-chat",
    title: "TinyLlama 1.1B Chat",
    repository: "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    revision: "fe8a4ea1ffedaf415f4da2f062534de366a451e6",
    config: {
      model_type: "llama",
      hidden_size: 2048,
      intermediate_size: 5632,
      num_hidden_layers: 22,
      num_attention_heads: 32,
      num_key_value_heads: 4,
      attention_bias: false,
      vocab_size: 32000,
      tie_word_embeddings: false,
      torch_dtype: "bfloat16",
    },
    diskBytes: 2_200_119_864,
    license: "Apache-2.0",
    gated: false,
    note: "The smallest chat model worth sharing: one computer can serve all of it.",
  }),
  onHub({
    id: "llama-2-7b-chat",
    title: "Llama 2 7B Chat",
    repository: "meta-llama/Llama-2-7b-chat-hf",
    revision: "f5db02db724555f92da89c216ac04704f23d4590",
    config: {
      model_type: "llama",
      hidden_size: 4096,
      intermediate_size: 11008,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 32,
      attention_bias: false,
      vocab_size: 32000,
      tie_word_embeddings: false,
      torch_dtype: "float16",
    },
    license: "Llama 2 Community License",
    gated: true,
    note: "A good small chat model: it takes several computers.",
  }),
  onHub({
    id: "llama-3-8b-instruct",
    title: "Llama 3 8B Instruct",
    repository: "meta-llama/Meta-Llama-3-8B-Instruct",
    revision: "8afb486c1db24fe5011ec46dfbe5b5dccdb575c2",
    config: {
      model_type: "llama",
      hidden_size: 4096,
      intermediate_size: 14336,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      attention_bias: false,
      vocab_size: 128256,
      tie_word_embeddings: false,
      torch_dtype: "bfloat16",
    },
    license: "Llama 3 Community License",
    gated: true,
    note: "Better than Llama 2 at the same size. Llama 3.1 and later are newer than Petals.",
  }),
  onHub({
    id: "stablebeluga2-70b",
    title: "Stable Beluga 2 70B",
    repository: "petals-team/StableBeluga2",
    revision: "0cc4f70850bd875ea75658d3ceced8ee23a85bda",
    config: {
      model_type: "llama",
      hidden_size: 8192,
      intermediate_size: 28672,
      num_hidden_layers: 80,
      num_attention_heads: 64,
      num_key_value_heads: 8,
      attention_bias: false,
      vocab_size: 32000,
      tie_word_embeddings: false,
      torch_dtype: "bfloat16",
    },
    license: "Stable Beluga Non-Commercial Community License",
    gated: false,
    note: "Petals' own choice for its public network: each block is a file of its own.",
  }),
  onHub({
    id: "llama-2-70b-chat",
    title: "Llama 2 70B Chat",
    repository: "meta-llama/Llama-2-70b-chat-hf",
    revision: "e9149a12809580e8602995856f8098ce973d1080",
    config: {
      model_type: "llama",
      hidden_size: 8192,
      intermediate_size: 28672,
      num_hidden_layers: 80,
      num_attention_heads: 64,
      num_key_value_heads: 8,
      attention_bias: false,
      vocab_size: 32000,
      tie_word_embeddings: false,
      torch_dtype: "float16",
    },
    license: "Llama 2 Community License",
    gated: true,
    note: "A large chat model: it takes many computers.",
  }),
  onHub({
    id: "bloom-176b",
    title: "BLOOM 176B",
    repository: "bigscience/bloom",
    revision: "main",
    config: {
      model_type: "bloom",
      hidden_size: 14336,
      num_hidden_layers: 70,
      num_attention_heads: 112,
      vocab_size: 250880,
      tie_word_embeddings: true,
      torch_dtype: "bfloat16",
    },
    license: "BigScience BLOOM RAIL 1.0",
    gated: false,
    note: "Goes on with texts in 46 languages; it was not taught to chat.",
  }),
  onHub({
    id: "falcon-180b-chat",
    title: "Falcon 180B Chat",
    repository: "tiiuae/falcon-180B-chat",
    revision: "main",
    config: {
      model_type: "falcon",
      hidden_size: 14848,
      num_hidden_layers: 80,
      num_attention_heads: 232,
      num_kv_heads: 8,
      new_decoder_architecture: true,
      multi_query: true,
      parallel_attn: true,
      bias: false,
      alibi: false,
      vocab_size: 65024,
      tie_word_embeddings: false,
      torch_dtype: "bfloat16",
    },
    license: "Falcon 180B TII License",
    gated: true,
    note: "The largest chat model that Petals can serve.",
  }),
];

/** Adds what follows from a model's config. */
function sized(model: Omit<Model, "blocks" | "blockBytes" | "blockFileBytes" | "cacheBytes">): Model {
  const { config } = model;
  return {
    ...model,
    blocks: config.num_hidden_layers,
    blockBytes: blockBytes(config),
    blockFileBytes: blockFileBytes(config),
    cacheBytes: cacheBytes(config),
  };
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
