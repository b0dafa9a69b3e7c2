import { readdirSync } from "node:fs";
import { join } from "node:path";
import { globsToMatcher } from "jest-util";
import { SUITES } from "../../../scripts/suites";

const ROOT = join(import.meta.dirname, "..", "..", "..");
const CONFIG = join(ROOT, "jest.config.mjs");
const { projects } = (
  (await import(CONFIG)) as { default: { projects: { displayName: string; testMatch: string[] }[] } }
).default;

it("runs each suite once, and each of Jest's projects as one of them", () => {
  expect(SUITES).toEqual([...new Set(SUITES)]);
  expect(SUITES).toEqual(expect.arrayContaining(projects.map(({ displayName }) => displayName)));
});

it("has each file of tests in one project, whatever its name is", () => {
  const matchers = projects.map(({ displayName, testMatch }) => ({
    displayName,
    matches: globsToMatcher(testMatch.map((glob) => glob.replace("<rootDir>", ROOT))),
  }));
  const files = readdirSync(join(ROOT, "test"), { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(?:test|spec)\.\w+$/.test(file) && !file.includes("node_modules"))
    .map((file) => join("test", file));
  expect(files.length).toBeGreaterThan(projects.length);
  const taken = files.map((file) => {
    const path = join(ROOT, file);
    return { file, by: matchers.filter(({ matches }) => matches(path)).map(({ displayName }) => displayName) };
  });
  expect(taken.filter(({ by }) => by.length !== 1)).toEqual([]);
});
