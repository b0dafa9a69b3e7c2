import type { EngineFacts } from "../docker/preflight";
import type { Model } from "../models";
import type { Limits } from "./limits";

/** What the seeder needs besides blocks, in bytes: `RUNTIME_BYTES` in python/torbiz/memory.py. */
export const RUNTIME_BYTES = 1_200_000_000;

/** How much of a model a share can serve. */
export interface Fit {
  /** Blocks that fit into the memory, 0 to all of the model's. */
  blocks: number;
  all: boolean;
  /** Memory of their weights, in bytes. */
  weightBytes: number;
  /** Memory of their attention cache when it is full, in bytes. */
  cacheBytes: number;
  /** Why, in sentences. */
  reason: string;
}

/**
 * How many of a model's blocks fit, by the arithmetic of the seeder (`blocks_that_fit` in python/torbiz/memory.py).
 *
 * @param limits what sharing may use
 * @param facts what the engine has: on a Mac that is its virtual machine's, not the Mac's
 *
 * @example
 * fitOf(findModel("tinyllama-1.1b-chat"), limits, facts).reason;
 * // "8 of 22 blocks fit: 1.4 GB + 0.1 GB cache + 1.2 GB for the server, of 2.9 GB that sharing may use. Docker has 3.8 GB.
 * // All 22 take 5.5 GB."
 */
export function fitOf(
  model: Model,
  { memoryBytes }: Pick<Limits, "memoryBytes">,
  facts: Pick<EngineFacts, "memoryBytes">,
): Fit {
  const block = model.blockBytes + model.cacheBytes;
  const blocks = Math.max(0, Math.min(model.blocks, Math.floor((memoryBytes - RUNTIME_BYTES) / block)));
  const all = blocks === model.blocks;
  const [weightBytes, cacheBytes] = [blocks * model.blockBytes, blocks * model.cacheBytes];
  const needs = (count: number) => gigabytes(RUNTIME_BYTES + count * block);
  const has = `of ${gigabytes(memoryBytes)} that sharing may use. Docker has ${gigabytes(facts.memoryBytes)}.`;
  const which = all ? `All ${blocks} blocks fit` : `${blocks} of ${model.blocks} blocks fit`;
  const parts = `${gigabytes(weightBytes)} + ${gigabytes(cacheBytes)} cache + ${gigabytes(RUNTIME_BYTES)} for the server`;
  const reason =
    blocks === 0
      ? `Not even one block fits: it takes ${needs(1)} ${has}`
      : `${which}: ${parts}, ${has}${all ? "" : ` All ${model.blocks} take ${needs(model.blocks)}.`}`;
  return { blocks, all, weightBytes, cacheBytes, reason };
}

/** "1.2 GB" */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
