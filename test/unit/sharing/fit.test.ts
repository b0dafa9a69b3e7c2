import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { defaultModel } from "../../../src/lib/models";
import { fitOf, RUNTIME_BYTES } from "../../../src/lib/sharing/fit";

const BLOCK = defaultModel.blockBytes + defaultModel.cacheBytes;

test.each([
  [
    "all fit",
    RUNTIME_BYTES + 30 * BLOCK,
    30,
    "All 30 blocks fit: 0.4 GB + 0.4 GB cache + 1.2 GB for the server, of 2.0 GB that sharing may use. Docker has 3.8 GB.",
  ],
  ["one byte less", RUNTIME_BYTES + 30 * BLOCK - 1, 29, "Docker has 3.8 GB. All 30 take 2.0 GB."],
  ["one fits", RUNTIME_BYTES + BLOCK, 1, "1 of 30 blocks fit: 0.0 GB + 0.0 GB cache"],
  [
    "none fits",
    1_000_000_000,
    0,
    "Not even one block fits: it takes 1.2 GB of 1.0 GB that sharing may use. Docker has 3.8 GB.",
  ],
])("%s", (_, memoryBytes, blocks, words) => {
  const fit = fitOf(defaultModel, { memoryBytes }, { memoryBytes: 3.8e9 });
  const { blockBytes, cacheBytes } = defaultModel;
  expect(fit).toMatchObject({
    ...{ blocks, all: blocks === 30 },
    ...{ weightBytes: blocks * blockBytes, cacheBytes: blocks * cacheBytes },
  });
  expect(fit.reason).toContain(words);
});

test("the arithmetic is the seeder's", () => {
  const memory = readFileSync(resolve("python/torbiz/memory.py"), "utf8");
  expect(Number(/^RUNTIME_BYTES = ([\d_]+)$/m.exec(memory)?.[1]?.replaceAll("_", ""))).toBe(RUNTIME_BYTES);
  expect(memory).toContain("free = memory_bytes - RUNTIME_BYTES");
  expect(memory).toContain("max(0, min(model_blocks, free // (block_bytes + cache_bytes)))");
});
