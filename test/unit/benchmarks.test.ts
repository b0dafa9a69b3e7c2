import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { limitedFigures, UNKNOWN_CAUSE } from "../../scripts/bench/limited-figures";

const docs = join(process.cwd(), "docs");
const reports = readdirSync(docs).filter((name) => name.endsWith("-benchmark.json"));

interface Missed {
  path: string;
  cause: string;
}

it.each([
  ["chain-benchmark.json", 4],
  ["menu-bar-benchmark.json", 1],
  ["ask-benchmark.json", 13],
])("the recorded run keeps its limits, or says why one is passed: %s", (name, limits) => {
  expect(reports).toContain(name);
  const report = JSON.parse(readFileSync(join(docs, name), "utf8")) as { missed?: Missed[] };
  const { missed = [], ...figures } = report;
  const found = limitedFigures(figures);
  expect(found).toHaveLength(limits);
  const passed = found.filter(({ figure, limit }) => !(figure <= limit));
  expect(passed.map(({ path }) => path)).toEqual(missed.map(({ path }) => path));
  // The page breaks its lines where they are full.
  const page = readFileSync(join(docs, "benchmarks.md"), "utf8").replace(/\s+/g, " ");
  for (const { cause } of missed) {
    expect(cause).not.toBe(UNKNOWN_CAUSE);
    expect(page).toContain(cause);
  }
});
