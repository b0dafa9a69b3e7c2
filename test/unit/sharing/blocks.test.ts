import fc from "fast-check";
import { countBlocks, formatBlocks, parseBlocks, rangeText } from "../../../src/lib/sharing/blocks";

it.each([
  ["4", 4, "4", 4],
  [" 12:16 ", { start: 12, end: 16 }, "12:16", 4],
  ["0:1", { start: 0, end: 1 }, "0:1", 1],
])("reads %j", (text, choice, written, count) => {
  expect(parseBlocks(text)).toEqual(choice);
  expect(formatBlocks(choice)).toBe(written);
  expect(countBlocks(choice)).toBe(count);
});

it.each(["", "0", "-1", "1.5", "x", "4:4", "5:4", "-1:3", ":3", "3:", "1:2:3", "99999999999999999999"])(
  "refuses %j",
  (text) => {
    expect(() => parseBlocks(text)).toThrow(expect.objectContaining({ code: "blocks-invalid" }));
  },
);

it("reads what it writes", () => {
  const count = fc.integer({ min: 1, max: 1_000 });
  const range = fc.tuple(fc.nat(1_000), count).map(([start, length]) => ({ start, end: start + length }));
  fc.assert(
    fc.property(fc.oneof(count, range), (choice) => {
      expect(parseBlocks(formatBlocks(choice))).toEqual(choice);
    }),
  );
});

it("says a range in words, by its last block", () => {
  expect(rangeText({ start: 12, end: 16 })).toBe("12 to 15");
  expect(rangeText({ start: 12, end: 13 })).toBe("12");
});
