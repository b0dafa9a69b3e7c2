import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..");
const text = readFileSync(join(root, "docs", "complaints.md"), "utf8");

/** The complaints, each with the tests that hold its answer. */
const complaints = text
  .split(/^### /m)
  .slice(1)
  .map((part) => ({
    title: part.split("\n")[0] ?? "",
    part,
    tests: [...part.matchAll(/^- `([^`]+)` › "(.+)"$/gm)].map(([, file = "", name = ""]) => ({ file, name })),
  }));

test("there are complaints of Docker, of missing programs and of the menu bar", () => {
  expect(text.match(/^## .+$/gm)).toEqual(["## Docker", "## Programs that are not found", "## The menu bar"]);
  for (const { title } of complaints) expect(title).toMatch(/ \(#\d+(, #\d+)*\)$/);
});

test.each(complaints)("$title: is held by tests that are there, or says why it isn't answered", ({ part, tests }) => {
  if (tests.length === 0) expect(part).toMatch(/^Not offered\./m);
  for (const { file, name } of tests) {
    expect(existsSync(join(root, file))).toBe(true);
    expect(readFileSync(join(root, file), "utf8")).toContain(`"${name}"`);
  }
});
