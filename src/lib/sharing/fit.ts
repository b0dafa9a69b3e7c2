import type { Model } from "../models";
import type { Limits } from "./limits";

/** What the seeder needs besides blocks, in bytes: `RUNTIME_BYTES` in python/torbiz/memory.py. */
export const RUNTIME_BYTES = 1_200_000_000;

/** How much of a model a share can serve. */
export interface Fit {
  /** Blocks that fit into the memory, 0 to all of the model's. */
  blocks: number;
  all: boolean;
  /** Why, in a sentence. */
  reason: string;
}

/**
 * How many of a model's blocks fit, by the arithmetic of the seeder (`blocks_that_fit` in python/torbiz/memory.py).
 *
 * @example
 * fitOf(defaultModel, resourceLimits(facts)).reason; // "All 30 blocks fit: they take about 2.0 GB of 6.0 GB of memory."
 */
export function fitOf(model: Model, { memoryBytes }: Pick<Limits, "memoryBytes">): Fit {
  const block = model.blockBytes + model.cacheBytes;
  const blocks = Math.max(0, Math.min(model.blocks, Math.floor((memoryBytes - RUNTIME_BYTES) / block)));
  const needs = (count: number) => gigabytes(RUNTIME_BYTES + count * block);
  const has = `${gigabytes(memoryBytes)} of memory`;
  if (blocks === model.blocks) {
    return { blocks, all: true, reason: `All ${blocks} blocks fit: they take about ${needs(blocks)} of ${has}.` };
  }
  const rest = `all ${model.blocks} take about ${needs(model.blocks)}.`;
  if (blocks > 0) {
    return { blocks, all: false, reason: `${blocks} of ${model.blocks} blocks fit into ${has}: ${rest}` };
  }
  return { blocks, all: false, reason: `Not even one block fits into ${has}: it takes about ${needs(1)}.` };
}

/** "1.2 GB" */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
