import { TorbizError } from "./errors";

/**
 * What of a model's `config.json` says how large it is, by the names that it has there. The families are those that the
 * pinned Petals (2.2.0.post1) has blocks for, read as its transformers (4.34.1) does.
 */
export type ModelConfig = LlamaConfig | FalconConfig | BloomConfig;

interface CommonConfig {
  hidden_size: number;
  /** Blocks. */
  num_hidden_layers: number;
  num_attention_heads: number;
  vocab_size: number;
  /** Whether the last layer uses the embedding's weights again. */
  tie_word_embeddings: boolean;
  /** Of the files' numbers. */
  torch_dtype: Precision;
}

export interface LlamaConfig extends CommonConfig {
  model_type: "llama";
  intermediate_size: number;
  num_key_value_heads: number;
  attention_bias: boolean;
}

export interface FalconConfig extends CommonConfig {
  model_type: "falcon";
  num_kv_heads: number;
  new_decoder_architecture: boolean;
  multi_query: boolean;
  parallel_attn: boolean;
  bias: boolean;
  alibi: boolean;
}

export interface BloomConfig extends CommonConfig {
  model_type: "bloom";
}

type Precision = keyof typeof BYTES_PER_VALUE;

const BYTES_PER_VALUE = { float32: 4, float16: 2, bfloat16: 2 } as const;

/**
 * What a seeder computes with, whatever the files hold: processors are slow with less. One with AVX512-BF16 takes three
 * times as long for a token at bfloat16 (PyTorch 2.13).
 */
export const SERVED_PRECISION: Precision = "float32";

/** What Petals adds for descriptions of tensors: the `eps` of its `get_block_size`. */
const DESCRIPTIONS = 1.01;

/** Tokens of attention cache a block, for all sessions together: `ATTN_CACHE_TOKENS` in python/torbiz/seeder.py. */
export const ATTN_CACHE_TOKENS = 8192;

/** Weights of one block in memory, in bytes: Petals' `get_block_size(config, "memory", dtype=torch.float32)`. */
export function blockBytes(config: ModelConfig): number {
  return Math.round(blockParameters(config) * BYTES_PER_VALUE[SERVED_PRECISION] * DESCRIPTIONS);
}

/** Weights of one block in the files, in bytes. */
export function blockFileBytes(config: ModelConfig): number {
  return blockParameters(config) * BYTES_PER_VALUE[config.torch_dtype];
}

/** Attention cache of one block when it is full, in bytes: `plan_blocks` in python/torbiz/seeder.py. */
export function cacheBytes(config: ModelConfig): number {
  const values = Math.floor((2 * config.hidden_size * ATTN_CACHE_TOKENS) / keyValueGroups(config));
  return values * BYTES_PER_VALUE[SERVED_PRECISION];
}

/** All weights in the files, in bytes, but for the files' headers. */
export function weightBytes(config: ModelConfig): number {
  const { hidden_size: hidden, num_hidden_layers: layers, vocab_size: words, tie_word_embeddings: tied } = config;
  // Falcon and BLOOM have biases in their last norm, BLOOM also a norm after its embedding.
  const norms = { llama: 1, falcon: 2, bloom: 4 }[config.model_type] * hidden;
  const values = layers * blockParameters(config) + words * hidden * (tied ? 1 : 2) + norms;
  return values * BYTES_PER_VALUE[config.torch_dtype];
}

/** Numbers in one block: those of the layers in transformers' modeling_llama.py, modeling_falcon.py, modeling_bloom.py. */
function blockParameters(config: ModelConfig): number {
  const { hidden_size: hidden } = config;
  const head = hidden / config.num_attention_heads;
  switch (config.model_type) {
    case "llama": {
      const keysAndValues = 2 * config.num_key_value_heads * head;
      const attention = 2 * hidden * hidden + hidden * keysAndValues;
      const biases = config.attention_bias ? 2 * hidden + keysAndValues : 0;
      return attention + biases + 3 * hidden * config.intermediate_size + 2 * hidden;
    }
    case "falcon": {
      const keysAndValues = config.new_decoder_architecture
        ? 2 * config.num_kv_heads * head
        : config.multi_query
          ? 2 * head
          : 2 * hidden;
      const queries = hidden + keysAndValues;
      const biases = config.bias ? queries + 6 * hidden : 0;
      const norms = config.new_decoder_architecture || !config.parallel_attn ? 2 : 1;
      return hidden * queries + 9 * hidden * hidden + biases + norms * 2 * hidden;
    }
    case "bloom":
      return 12 * hidden * hidden + 13 * hidden;
  }
}

/** Heads that share one key and value: `num_key_value_groups` of Petals' configs. */
function keyValueGroups(config: ModelConfig): number {
  switch (config.model_type) {
    case "llama":
      return Math.floor(config.num_attention_heads / config.num_key_value_heads);
    case "falcon":
      if (config.new_decoder_architecture) return Math.floor(config.num_attention_heads / config.num_kv_heads);
      return config.multi_query ? config.num_attention_heads : 1;
    case "bloom":
      return 1;
  }
}

/**
 * The name of a model's blocks in the DHT as Petals' own servers and clients derive it from a repository, so that they
 * meet ours: the `from_pretrained` of its configs.
 *
 * @example
 * dhtPrefixOf("llama", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"); // "TinyLlama-1-1B-Chat-v1-0-hf"
 */
export function dhtPrefixOf(family: ModelConfig["model_type"], repository: string): string {
  const dashed = repository.replaceAll(".", "-");
  const name = dashed.split("/").at(-1) ?? dashed;
  switch (family) {
    case "llama":
      return name.endsWith("-hf") ? name : `${name}-hf`;
    case "falcon":
      return name;
    case "bloom":
      return `${dashed}-petals`;
  }
}

/**
 * Reads a `config.json`, and refuses what the pinned Petals and its transformers would refuse, or would load wrongly.
 *
 * @param name of the model, for the sentence
 * @throws TorbizError model-unsupported with the reason
 */
export function readConfig(json: unknown, name: string): ModelConfig {
  const fields = (typeof json === "object" && json !== null ? json : {}) as Readonly<Record<string, unknown>>;
  const unsupported = (why: string): TorbizError =>
    new TorbizError("model-unsupported", `${name} can't be shared: ${why}.`, { details: { model: name } });

  const number = (...names: string[]): number => {
    const value = names.map((each) => fields[each]).find((each) => each !== undefined && each !== null);
    if (typeof value === "number" && Number.isInteger(value) && value > 0) return value;
    throw unsupported(`its config has no usable ${names[0]}`);
  };
  const numberOr = (name: string, otherwise: number): number => (fields[name] == null ? otherwise : number(name));
  const flag = (name: string, otherwise: boolean): boolean =>
    fields[name] == null ? otherwise : fields[name] === true;

  const { model_type: family, quantization_config: quantization } = fields;
  if (family !== "llama" && family !== "falcon" && family !== "bloom") {
    const kind =
      typeof family === "string" ? `it is of the kind "${family}"` : "its config doesn't say of what kind it is";
    throw unsupported(`${kind}, and Petals serves llama, falcon and bloom`);
  }
  if (quantization != null) throw unsupported("its files are quantized, and Petals reads only whole weights");
  const precision = fields.torch_dtype ?? fields.dtype;
  const common: CommonConfig = {
    hidden_size: number("hidden_size", "n_embed"),
    num_hidden_layers: number("num_hidden_layers", "n_layer"),
    num_attention_heads: number("num_attention_heads", "n_head"),
    vocab_size: number("vocab_size"),
    // What the family's class takes where the file says nothing.
    tie_word_embeddings: flag("tie_word_embeddings", family !== "llama"),
    torch_dtype: precision === "float16" || precision === "bfloat16" ? precision : "float32",
  };
  const { hidden_size: hidden, num_attention_heads: heads } = common;
  if (hidden % heads !== 0 || numberOr("head_dim", hidden / heads) !== hidden / heads) {
    throw unsupported("its attention heads have a size that Petals can't use");
  }
  if (!isReadableRope(family, fields.rope_scaling)) {
    throw unsupported("it stretches its context (rope_scaling) in a way that is newer than Petals");
  }
  switch (family) {
    case "bloom":
      return { model_type: family, ...common };
    case "llama": {
      if (flag("mlp_bias", false)) throw unsupported("its layers have biases (mlp_bias), which Petals doesn't know");
      return {
        ...{ model_type: family, ...common },
        intermediate_size: number("intermediate_size"),
        num_key_value_heads: numberOr("num_key_value_heads", heads),
        attention_bias: flag("attention_bias", false),
      };
    }
    case "falcon": {
      const layers = { ffn_hidden_size: 4 * hidden, num_ln_in_parallel_attn: 2 };
      const newer = Object.entries(layers).find(([name, usual]) => numberOr(name, usual) !== usual);
      if (newer) throw unsupported(`its layers are newer than Petals (${newer[0]})`);
      return {
        ...{ model_type: family, ...common },
        num_kv_heads: numberOr("num_kv_heads", heads),
        new_decoder_architecture: flag("new_decoder_architecture", false),
        multi_query: flag("multi_query", true),
        parallel_attn: flag("parallel_attn", true),
        bias: flag("bias", false),
        alibi: flag("alibi", false),
      };
    }
  }
}

/** Whether transformers 4.34.1 takes it: `_rope_scaling_validation` of its configs, which refuses all of Falcon's. */
function isReadableRope(family: ModelConfig["model_type"], scaling: unknown): boolean {
  if (scaling == null || family === "bloom") return true;
  if (family === "falcon" || typeof scaling !== "object" || Object.keys(scaling).length !== 2) return false;
  const { type, factor } = scaling as Record<string, unknown>;
  return (type === "linear" || type === "dynamic") && typeof factor === "number" && factor > 1;
}
