import { countBlocks, rangeText, type BlockRange } from "./blocks";

/** By whom a block is served. Readable without colours, and in any fixed-width font. */
export const BAR_MARKS = { own: "█", others: "▒", missing: "·" } as const;

type Mark = keyof typeof BAR_MARKS;

/**
 * The blocks of a model as a bar, one mark a block, or a mark for several where there is no room. A gap is never hidden:
 * a mark for several blocks says "missing" when one of them is.
 *
 * @param online how many online servers each block has
 * @param own what this computer serves of them
 * @param room for so many marks; at least 1
 *
 * @example
 * blockBar([1, 1, 2, 0], { start: 0, end: 2 }); // "██▒·"
 */
export function blockBar(online: readonly number[], own: BlockRange | null, room = Infinity): string {
  const width = Math.min(online.length, Math.max(1, Math.floor(room)));
  return Array.from({ length: width }, (_, index) => {
    const from = Math.floor((index * online.length) / width);
    const to = Math.floor(((index + 1) * online.length) / width);
    const marks = online.slice(from, to).map((count, offset) => markOf(count, from + offset, own));
    return BAR_MARKS[marks.includes("missing") ? "missing" : marks.includes("own") ? "own" : "others"];
  }).join("");
}

function markOf(online: number, block: number, own: BlockRange | null): Mark {
  if (online === 0) return "missing";
  return own && own.start <= block && block < own.end ? "own" : "others";
}

/** The runs of blocks that no online server has. */
export function gapsOf(online: readonly number[]): BlockRange[] {
  const gaps: BlockRange[] = [];
  online.forEach((count, block) => {
    if (count > 0) return;
    const last = gaps.at(-1);
    if (last?.end === block) last.end = block + 1;
    else gaps.push({ start: block, end: block + 1 });
  });
  return gaps;
}

/** "Blocks 12 to 15 and 20 are missing."; undefined where none is. */
export function missingText(missing: readonly BlockRange[]): string | undefined {
  const [first, ...more] = missing;
  if (!first) return undefined;
  const single = more.length === 0 && first.end - first.start === 1;
  const parts = missing.map(rangeText);
  const last = parts.pop();
  const list = parts.length > 0 ? `${parts.join(", ")} and ${last}` : last;
  return single ? `Block ${list} is missing.` : `Blocks ${list} are missing.`;
}

/** "This computer helps most with 4 blocks: 12 to 15." */
export function helpText(helper: "This computer" | "Another computer", suggestion: BlockRange): string {
  const count = countBlocks(suggestion);
  return `${helper} helps most with ${count} ${count === 1 ? "block" : "blocks"}: ${rangeText(suggestion)}.`;
}
