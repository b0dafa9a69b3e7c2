import { isTest, sectionsOf } from "./named-tests";

/** What can go wrong, each with the tests that show what happens then. */
const faults = sectionsOf("faults.md");

test("no fault is left out or told twice", () => {
  const numbers = faults.map(({ title }) => Number(/^(\d+)\. /.exec(title)?.[1])).toSorted((a, b) => a - b);
  expect(numbers).toEqual(Array.from({ length: 38 }, (_, index) => index + 1));
});

test.each(faults)("$title: is shown by tests that are there", ({ tests }) => {
  expect(tests.length).toBeGreaterThan(0);
  expect(tests.filter((named) => !isTest(named))).toEqual([]);
});
