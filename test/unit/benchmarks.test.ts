import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const docs = join(process.cwd(), "docs");
const reports = readdirSync(docs).filter((name) => name.endsWith("-benchmark.json"));

/** Every figure of a report with a limit beside it, such as `seconds` and `limitSeconds`. */
function limited(value: unknown, path = ""): { path: string; figure: number; limit: number }[] {
  if (typeof value !== "object" || value === null) return [];
  const fields = value as Record<string, unknown>;
  return Object.entries(fields).flatMap(([name, field]) => {
    const what = /^limit([A-Z]\w*)$/.exec(name)?.[1] ?? /^(\w+)LimitBytes$/.exec(name)?.[1];
    if (what === undefined) return limited(field, `${path}${name}.`);
    const figure = fields[name.startsWith("limit") ? `${what[0]?.toLowerCase()}${what.slice(1)}` : `${what}Bytes`];
    return [{ path: `${path}${name}`, figure: Number(figure), limit: Number(field) }];
  });
}

it.each([
  ["chain-benchmark.json", 4],
  ["menu-bar-benchmark.json", 1],
])("the recorded run keeps its limits: %s", (name, limits) => {
  expect(reports).toContain(name);
  const found = limited(JSON.parse(readFileSync(join(docs, name), "utf8")));
  expect(found).toHaveLength(limits);
  expect(found.filter(({ figure, limit }) => !(figure <= limit))).toEqual([]);
});
