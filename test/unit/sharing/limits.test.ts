import { parseAmount, parseBytes, resourceLimits } from "../../../src/lib/sharing/limits";

const FACTS = { cpus: 8, memoryBytes: 8_000_000_000 };

test("the computer keeps a quarter of its processors and memory, and no less than one processor is used", () => {
  expect(resourceLimits(FACTS)).toEqual({ memoryBytes: 6_000_000_000, nanoCpus: 6_000_000_000, threads: 6 });
  expect(resourceLimits({ cpus: 1, memoryBytes: 2_000_000_000 })).toMatchObject({
    nanoCpus: 1_000_000_000,
    threads: 1,
  });
  expect(resourceLimits({ cpus: 2, memoryBytes: 8e9 }, { cpus: { fraction: 0.25 } })).toMatchObject({ nanoCpus: 1e9 });
});

test("parts and numbers are taken as they are asked for", () => {
  expect(resourceLimits(FACTS, { cpus: { absolute: 1.5 }, memory: { fraction: 0.5 }, diskBytes: 50e9 })).toEqual({
    memoryBytes: 4_000_000_000,
    nanoCpus: 1_500_000_000,
    threads: 2,
  });
  expect(resourceLimits(FACTS, { cpus: { fraction: 1 }, memory: { fraction: 1 } })).toEqual({
    memoryBytes: 8_000_000_000,
    nanoCpus: 8_000_000_000,
    threads: 8,
  });
});

test.each([
  ["more processors than there are", { cpus: { absolute: 9 } }, "9 processors were asked for, but Docker has 8."],
  ["next to no processor", { cpus: { absolute: 0.1 } }, "0.1 processors are too few"],
  [
    "more memory than there is",
    { memory: { absolute: 9e9 } },
    "9.0 GB of memory were asked for, but Docker has 8.0 GB.",
  ],
  ["less memory than the server takes", { memory: { absolute: 5e8 } }, "0.5 GB of memory are too little"],
  ["a disk without room for a file", { diskBytes: 5 }, "0.0 GB of disk are too little"],
])("is refused: %s", (_, request, words) => {
  expect(() => resourceLimits(FACTS, request)).toThrow(
    expect.objectContaining({ code: "limit-invalid", message: expect.stringContaining(words) as unknown }),
  );
});

test.each([
  ["75%", "processors", { fraction: 0.75 }],
  [" 100 % ", "bytes", { fraction: 1 }],
  ["2", "processors", { absolute: 2 }],
  ["1.5", "processors", { absolute: 1.5 }],
  ["6g", "bytes", { absolute: 6e9 }],
  ["6 GB", "bytes", { absolute: 6e9 }],
  ["1.5GiB", "bytes", { absolute: 1.5 * 1024 ** 3 }],
  ["512m", "bytes", { absolute: 512e6 }],
  ["6000000000", "bytes", { absolute: 6e9 }],
] as const)("%j of %s is %j", (text, unit, amount) => {
  expect(parseAmount(text, unit)).toEqual(amount);
});

test.each([
  ["", "bytes"],
  ["0", "processors"],
  ["0%", "bytes"],
  ["101%", "bytes"],
  ["-1", "processors"],
  ["2g", "processors"],
  ["6 apples", "bytes"],
  ["6ib", "bytes"],
  ["half", "bytes"],
] as const)("%j is no amount of %s", (text, unit) => {
  expect(() => parseAmount(text, unit)).toThrow(expect.objectContaining({ code: "limit-invalid" }));
});

test("an amount of disk is no part of anything", () => {
  expect(parseBytes("20g")).toBe(20e9);
  expect(() => parseBytes("50%")).toThrow(expect.objectContaining({ code: "limit-invalid" }));
});
