import { lastRecord } from "../../src/lib/json";

it.each<[string, string[], Record<string, unknown> | undefined]>([
  ["the last line", ['{"a":1}', '{"a":2}'], { a: 2 }],
  ["before what a library says on stderr", ["loading", '{"a":1}', "UserWarning: soon gone", "42"], { a: 1 }],
  ["nowhere", ["loading", "[", "null"], undefined],
  ["nowhere in nothing", [], undefined],
])("a container's answer is found: %s", (_where, lines, answer) => {
  expect(lastRecord(lines)).toEqual(answer);
});
