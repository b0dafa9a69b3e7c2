import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { defaultModel } from "../../../src/lib/models";
import { fitOf, RUNTIME_BYTES } from "../../../src/lib/sharing/fit";

const BLOCK = defaultModel.blockBytes + defaultModel.cacheBytes;

test.each([
  ["all fit", RUNTIME_BYTES + 30 * BLOCK, 30, "All 30 blocks fit: they take about 2.0 GB of 2.0 GB of memory."],
  ["one byte less", RUNTIME_BYTES + 30 * BLOCK - 1, 29, "29 of 30 blocks fit into 2.0 GB of memory: all 30 take about"],
  ["one fits", RUNTIME_BYTES + BLOCK, 1, "1 of 30 blocks fit"],
  ["none fits", 1_000_000_000, 0, "Not even one block fits into 1.0 GB of memory: it takes about 1.2 GB."],
])("%s", (_, memoryBytes, blocks, words) => {
  const fit = fitOf(defaultModel, { memoryBytes });
  expect(fit).toMatchObject({ blocks, all: blocks === 30 });
  expect(fit.reason).toContain(words);
});

test("the arithmetic is the seeder's", () => {
  const memory = readFileSync(resolve("python/torbiz/memory.py"), "utf8");
  expect(Number(/^RUNTIME_BYTES = ([\d_]+)$/m.exec(memory)?.[1]?.replaceAll("_", ""))).toBe(RUNTIME_BYTES);
  expect(memory).toContain("free = memory_bytes - RUNTIME_BYTES");
  expect(memory).toContain("max(0, min(model_blocks, free // (block_bytes + cache_bytes)))");
});

test("a block's cache is as large as the seeder makes it", () => {
  const seeder = readFileSync(resolve("python/torbiz/seeder.py"), "utf8");
  const tokens = Number(/^ATTN_CACHE_TOKENS = (\d+)$/m.exec(seeder)?.[1]);
  expect(seeder).toContain("cache_values = 2 * config.hidden_size * ATTN_CACHE_TOKENS // config.num_key_value_groups");
  expect(seeder).toContain('torch_dtype="float32"');
  // SmolLM2 135M: hidden size 576, 9 heads that share 3 keys and values, feed-forward size 1536; 4 bytes a value.
  expect(defaultModel.cacheBytes).toBe(Math.floor((2 * 576 * tokens) / 3) * 4);
  const parameters = 2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536 + 2 * 576;
  expect(defaultModel.blockBytes).toBe(Math.round(parameters * 4 * 1.01)); // Petals adds 1 % for descriptions
});
