import fc from "fast-check";
import { BAR_MARKS, blockBar, gapsOf, missingText } from "../../../src/lib/sharing/block-bar";

const { own: OWN, others: OTHERS, missing: MISSING } = BAR_MARKS;
const counts = fc.array(fc.nat(3), { minLength: 1, maxLength: 200 });
const part = (blocks: number) =>
  fc
    .tuple(fc.nat(blocks - 1), fc.nat(blocks))
    .map(([start, length]) => ({ start, end: Math.min(start + length, blocks) }));
const swarm = counts.chain((online) => fc.tuple(fc.constant(online), fc.option(part(online.length))));

it("draws a mark for each block", () => {
  expect(blockBar([1, 1, 2, 1, 0, 0, 1], { start: 0, end: 3 })).toBe("███▒··▒");
  expect(blockBar([0, 0], null)).toBe("··");
});

it("shows a gap in a mark for several blocks, and its own part before others'", () => {
  expect(blockBar([1, 1, 1, 0, 1, 1], { start: 0, end: 1 }, 3)).toBe("█·▒");
});

it("has one mark a block where there is room, and never more than there is room for", () => {
  fc.assert(
    fc.property(swarm, fc.double({ min: 0, max: 250, noNaN: true }), ([online, own], room) => {
      expect([...blockBar(online, own)]).toHaveLength(online.length);
      expect([...blockBar(online, own, room)]).toHaveLength(Math.max(1, Math.min(online.length, Math.floor(room))));
    }),
  );
});

it("has as many marks of each kind as there are such blocks", () => {
  fc.assert(
    fc.property(swarm, ([online, own]) => {
      const marks = [...blockBar(online, own)];
      const isOwn = (block: number) => own !== null && own.start <= block && block < own.end;
      const number = (mark: string) => marks.filter((each) => each === mark).length;
      expect(number(MISSING)).toBe(online.filter((count) => count === 0).length);
      expect(number(OWN)).toBe(online.filter((count, block) => count > 0 && isOwn(block)).length);
      expect(number(OTHERS)).toBe(online.filter((count, block) => count > 0 && !isOwn(block)).length);
    }),
  );
});

it("says missing exactly where a block of the mark is", () => {
  fc.assert(
    fc.property(swarm, fc.integer({ min: 1, max: 100 }), ([online, own], room) => {
      const bar = [...blockBar(online, own, room)];
      online.forEach((count, block) => {
        if (count === 0) expect(bar[bar.findIndex((_, index) => block < lastOf(index))]).toBe(MISSING);
      });
      if (!online.includes(0)) expect(bar).not.toContain(MISSING);

      function lastOf(index: number): number {
        return Math.floor(((index + 1) * online.length) / bar.length);
      }
    }),
  );
});

it("finds gaps that cover the missing blocks and no others", () => {
  fc.assert(
    fc.property(counts, (online) => {
      const gaps = gapsOf(online);
      const covered = online.map((_, block) => gaps.filter(({ start, end }) => start <= block && block < end).length);
      expect(covered).toEqual(online.map((count) => (count === 0 ? 1 : 0)));
      gaps.slice(1).forEach(({ start }, index) => expect(start).toBeGreaterThan(gaps[index]?.end ?? Infinity));
    }),
  );
});

it.each([
  [[], undefined],
  [[[4, 5]], "Block 4 is missing."],
  [[[12, 16]], "Blocks 12 to 15 are missing."],
  [
    [
      [0, 1],
      [4, 6],
      [20, 22],
    ],
    "Blocks 0, 4 to 5 and 20 to 21 are missing.",
  ],
] as [[number, number][], string | undefined][])("says in words that %j are missing", (gaps, text) => {
  expect(missingText(gaps.map(([start, end]) => ({ start, end })))).toBe(text);
});
