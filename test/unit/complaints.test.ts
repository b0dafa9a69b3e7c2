import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isTest, sectionsOf } from "./named-tests";

const text = readFileSync(join(import.meta.dirname, "..", "..", "docs", "complaints.md"), "utf8");

/** The complaints, each with the tests that hold its answer. */
const complaints = sectionsOf("complaints.md");

test("there are complaints of Docker, of missing programs and of the menu bar", () => {
  expect(text.match(/^## .+$/gm)).toEqual(["## Docker", "## Programs that are not found", "## The menu bar"]);
  for (const { title } of complaints) expect(title).toMatch(/ \(#\d+(, #\d+)*\)$/);
});

test.each(complaints)("$title: is held by tests that are there, or says why it isn't answered", ({ text, tests }) => {
  if (tests.length === 0) expect(text).toMatch(/^Not offered\./m);
  expect(tests.filter((named) => !isTest(named))).toEqual([]);
});
