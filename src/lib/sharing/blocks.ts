import { TorbizError } from "../errors";

/** Blocks of a model from `start` to before `end`, counted from 0. */
export interface BlockRange {
  start: number;
  end: number;
}

/** What to serve: so many blocks, wherever the swarm needs them most, or exactly these. */
export type BlockChoice = number | BlockRange;

/**
 * Reads a choice of blocks as people write it, and as the seeder takes it: "4", or "12:16" for the blocks 12 to 15.
 * @throws TorbizError blocks-invalid
 */
export function parseBlocks(text: string): BlockChoice {
  const [, start, end] = /^(?:(\d+):)?(\d+)$/.exec(text.trim()) ?? [];
  const choice = start === undefined ? Number(end) : { start: Number(start), end: Number(end) };
  if (isBlockChoice(choice)) return choice;
  throw new TorbizError("blocks-invalid", `"${text}" is neither a number of blocks nor a range such as 12:16.`);
}

/** "4" or "12:16": what `parseBlocks` reads. */
export function formatBlocks(choice: BlockChoice): string {
  return typeof choice === "number" ? String(choice) : `${choice.start}:${choice.end}`;
}

/** How many blocks are chosen. */
export function countBlocks(choice: BlockChoice): number {
  return typeof choice === "number" ? choice : choice.end - choice.start;
}

/** Tells a choice that makes sense from anything else. */
export function isBlockChoice(value: unknown): value is BlockChoice {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 1;
  if (typeof value !== "object" || value === null) return false;
  const { start, end } = value as Record<string, unknown>;
  return Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= Number(start) && Number(start) < Number(end);
}

/** "12 to 15", or "12" for one. */
export function rangeText({ start, end }: BlockRange): string {
  return end - start === 1 ? String(start) : `${start} to ${end - 1}`;
}
