import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveNames } from "../../../src/lib/names";
import { prepareHome, resolvePaths } from "../../../src/lib/paths";
import {
  lastAsked,
  lastChoice,
  lastShareAt,
  rememberAsked,
  rememberChoice,
} from "../../../src/lib/sharing/last-choice";

const home = mkdtempSync(join(tmpdir(), "torbiz-choice-"));
const where = { paths: resolvePaths({ TORBIZ_HOME: home }), names: resolveNames({}) };
const CHOICE = { model: "smollm2-135m-instruct", swarm: "private", blocks: 12 };

beforeAll(() => prepareHome(where.paths));
afterEach(() => {
  for (const name of readdirSync(where.paths.run)) rmSync(join(where.paths.run, name));
});
afterAll(() => rmSync(home, { recursive: true }));

test("nothing was chosen in the beginning", () => {
  expect(lastChoice(where)).toBeUndefined();
  expect(lastAsked(where)).toBeUndefined();
});

test("what was shared last is what is asked, and offered again", () => {
  rememberAsked(where, { model: CHOICE.model, swarm: "public" });
  rememberChoice(where, CHOICE);
  expect(lastChoice(where)).toEqual(CHOICE);
  expect(lastAsked(where)).toMatchObject({ swarm: "private" });
});

test("exact blocks are remembered, and nonsense in their place is not", () => {
  const exact = { ...CHOICE, blocks: { start: 12, end: 16 } };
  rememberChoice(where, exact);
  expect(lastChoice(where)).toEqual(exact);
  rememberChoice(where, { ...CHOICE, blocks: { start: 16, end: 12 } });
  expect(lastChoice(where)).toEqual({ model: CHOICE.model, swarm: CHOICE.swarm });
});

test("a port that was chosen is remembered, and nonsense in its place is not", () => {
  rememberChoice(where, { ...CHOICE, port: 31_400 });
  expect(lastChoice(where)).toEqual({ ...CHOICE, port: 31_400 });
  rememberChoice(where, { ...CHOICE, port: 80 });
  expect(lastChoice(where)).toEqual(CHOICE);
});

test("asking another swarm is no wish to share in it", () => {
  rememberChoice(where, CHOICE);
  rememberAsked(where, { model: CHOICE.model, swarm: "public" });
  expect(lastAsked(where)).toMatchObject({ swarm: "public" });
  expect(lastChoice(where)).toEqual(CHOICE);
});

test("asking is no sharing: the time of the last share stays", () => {
  expect(lastShareAt(where)).toBeUndefined();
  const before = new Date().toISOString();
  rememberChoice(where, CHOICE);
  const at = lastShareAt(where) ?? "";
  rememberAsked(where, { model: CHOICE.model, swarm: "public" });
  expect(lastShareAt(where)).toBe(at);
  expect(at >= before).toBe(true);
});

test("instances have choices of their own", () => {
  rememberChoice(where, CHOICE);
  expect(lastChoice({ ...where, names: resolveNames({ TORBIZ_INSTANCE: "two" }) })).toBeUndefined();
});

test.each(["", "null", "[]", '{"shared":', '{"shared":1,"asked":null}', '{"shared":{"model":1}}'])(
  "a damaged file costs only itself: %s",
  (content) => {
    rememberChoice(where, CHOICE);
    const [name = ""] = readdirSync(where.paths.run);
    writeFileSync(join(where.paths.run, name), content);
    expect(lastChoice(where)).toBeUndefined();
    expect(lastAsked(where)).toBeUndefined();
    rememberChoice(where, CHOICE);
    expect(lastChoice(where)).toEqual(CHOICE);
  },
);
