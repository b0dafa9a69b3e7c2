import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ATTN_CACHE_TOKENS, dhtPrefixOf, readConfig, weightBytes } from "../../src/lib/model-config";
import { findModel } from "../../src/lib/models";
import { CONFIG } from "./hub/scripted-hub";

const FALCON = { ...CONFIG, model_type: "falcon", num_kv_heads: 2, new_decoder_architecture: true };

function refusal(change: object, base: object = CONFIG): string {
  try {
    readConfig({ ...base, ...change }, "owner/name");
    return "";
  } catch (error) {
    expect(error).toMatchObject({ code: "model-unsupported" });
    return (error as Error).message;
  }
}

describe("a config.json", () => {
  it.each([
    ["llama", CONFIG],
    ["falcon", FALCON],
    ["bloom", { model_type: "bloom", n_embed: 64, n_layer: 4, n_head: 4, vocab_size: 1000 }],
  ])("of %s is read", (family, config) => {
    expect(readConfig(config, "owner/name")).toMatchObject({
      ...{ model_type: family, hidden_size: 64, num_hidden_layers: 4, num_attention_heads: 4, vocab_size: 1000 },
      tie_word_embeddings: family !== "llama",
    });
  });

  it("may leave out what its family's class knows", () => {
    const old = { ...CONFIG, num_key_value_heads: undefined, torch_dtype: undefined };
    expect(readConfig(old, "x/y")).toMatchObject({ num_key_value_heads: 4, torch_dtype: "float32" });
    expect(readConfig({ ...old, dtype: "float16" }, "x/y")).toMatchObject({ torch_dtype: "float16" });
  });

  it("may be read again from what was kept of it", () => {
    for (const config of [CONFIG, FALCON]) {
      const once = readConfig(config, "x/y");
      expect(readConfig(JSON.parse(JSON.stringify(once)), "x/y")).toEqual(once);
    }
  });

  it.each([
    [{ model_type: "qwen2" }, 'owner/name can\'t be shared: it is of the kind "qwen2", and Petals serves llama'],
    [{ model_type: undefined }, "doesn't say of what kind it is"],
    [{ hidden_size: "64" }, "no usable hidden_size"],
    [{ num_hidden_layers: 0 }, "no usable num_hidden_layers"],
    [{ intermediate_size: 1.5 }, "no usable intermediate_size"],
    [{ hidden_size: 66 }, "attention heads"],
    [{ head_dim: 32 }, "attention heads"],
    [{ quantization_config: { bits: 4 } }, "quantized"],
    [{ mlp_bias: true }, "mlp_bias"],
    [{ rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 } }, "rope_scaling"],
    [{ rope_scaling: { type: "yarn", factor: 2 } }, "rope_scaling"],
    [{ rope_scaling: { type: "linear", factor: 1 } }, "rope_scaling"],
  ])("is refused with %j", (change, words) => {
    expect(refusal(change)).toContain(words);
  });

  it.each([
    { ffn_hidden_size: 512 },
    { num_ln_in_parallel_attn: 1 },
    { rope_scaling: { type: "linear", factor: 2.5 } },
  ])("of falcon is refused with %j", (change) => {
    expect(refusal(change, FALCON)).toMatch(/newer than Petals/);
  });

  it("is no config where it is no object", () => {
    for (const odd of [null, 3, "config", []]) expect(() => readConfig(odd, "x/y")).toThrow("of what kind");
  });

  it("stretches its context as transformers 4.34 can", () => {
    for (const type of ["linear", "dynamic"]) expect(refusal({ rope_scaling: { type, factor: 2.5 } })).toBe("");
  });
});

test("the weights are as large as the files that hold them", () => {
  const { config, diskBytes } = findModel("tinyllama-1.1b-chat");
  expect(Math.abs(weightBytes(config) - diskBytes)).toBeLessThan(100_000);
});

test("a block's cache has as many tokens as the seeder makes room for", () => {
  const seeder = readFileSync(resolve("python/torbiz/seeder.py"), "utf8");
  expect(Number(/^ATTN_CACHE_TOKENS = (\d+)$/m.exec(seeder)?.[1])).toBe(ATTN_CACHE_TOKENS);
});

test.each([
  ["llama", "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "TinyLlama-1-1B-Chat-v1-0-hf"],
  ["llama", "meta-llama/Llama-2-7b-chat-hf", "Llama-2-7b-chat-hf"],
  ["falcon", "tiiuae/falcon-180B-chat", "falcon-180B-chat"],
  ["bloom", "bigscience/bloom-7b1.x", "bigscience/bloom-7b1-x-petals"],
] as const)("peers find the blocks of %s %s under %s", (family, repository, prefix) => {
  expect(dhtPrefixOf(family, repository)).toBe(prefix);
});
