import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openEngine, type EngineContext } from "../../../src/lib/context";
import { packFile } from "../../../src/lib/docker/tar";
import {
  contributionCsv,
  contributionTotals,
  keepContribution,
  readContribution,
} from "../../../src/lib/sharing/contribution";
import { scriptedShare, type ScriptedShare } from "./scripted-share";

let share: ScriptedShare;
let context: EngineContext;

beforeEach(async () => {
  share = await scriptedShare();
  context = await openEngine(share.surroundings);
});

afterEach(() => share.close());

/** The volume has this file; undefined: it has none. */
function inVolume(content: string | undefined): void {
  share.others["/containers/abc/archive"] = (_, response) =>
    void (content === undefined
      ? response.writeHead(404).end('{"message":"Could not find the file"}')
      : response.end(packFile("contribution.json", content)));
}

function day(tokens: number, changes: object = {}): object {
  return { sessions: 1, tokens, onlineSeconds: 3_600, blockSeconds: 7_200, ...changes };
}

const copy = (id: string, days: object) => {
  inVolume(JSON.stringify({ id, days }));
  return keepContribution(context, "abc");
};

test("nothing was given before the first share, and a container without the file adds nothing", async () => {
  expect(readContribution(context)).toEqual({});
  inVolume(undefined);
  await keepContribution(context, "abc");
  expect(readContribution(context)).toEqual({});
});

test("days of one volume only grow, and those of different volumes are added up", async () => {
  await copy("one", { "2026-01-31": day(40), "2026-01-30": day(7) });
  await copy("one", { "2026-01-31": day(45) });
  await copy("one", { "2026-01-31": day(41) }); // an older copy
  expect(Object.entries(readContribution(context)).map(([name, { tokens }]) => [name, tokens])).toEqual([
    ["2026-01-30", 7],
    ["2026-01-31", 45],
  ]);
  await copy("two", { "2026-01-31": day(5) });
  expect(readContribution(context)["2026-01-31"]).toEqual({
    sessions: 2,
    tokens: 50,
    onlineSeconds: 7_200,
    blockSeconds: 14_400,
  });
});

test.each([
  "",
  "{",
  "[]",
  "{}",
  '{"id":1,"days":{}}',
  '{"id":"a","days":7}',
  '{"id":"a","days":{"x":{},"2026-01-31":7}}',
])("a damaged file in the volume takes nothing away: %j", async (content) => {
  await copy("one", { "2026-01-31": day(40) });
  inVolume(content);
  await keepContribution(context, "abc");
  expect(readContribution(context)["2026-01-31"]?.tokens).toBe(40);
});

test("a damaged copy is set aside, and made again from the volume", async () => {
  const { home } = share.surroundings.paths;
  writeFileSync(join(home, "contribution.json"), "{torn");
  expect(readContribution(context)).toEqual({});
  expect(readFileSync(join(home, "contribution.json.damaged"), "utf8")).toBe("{torn");
  await copy("one", { "2026-01-31": day(40) });
  expect(readContribution(context)["2026-01-31"]?.tokens).toBe(40);
  expect(readdirSync(home).filter((name) => name.startsWith("contribution"))).toEqual([
    "contribution.json",
    "contribution.json.damaged",
  ]);
});

test("today, the last seven days and all are told apart, in UTC", async () => {
  await copy("one", { "2026-01-25": day(1), "2026-01-24": day(10), "2026-01-31": day(100), "2026-02-01": day(1000) });
  const totals = contributionTotals(readContribution(context), new Date("2026-01-31T23:59:59Z"));
  expect(totals.all.tokens).toBe(1111);
  expect(totals.week.tokens).toBe(1101);
  // A clock that was set back must not hide what was served "tomorrow".
  expect(totals.today.tokens).toBe(1100);
});

test("it is a table for other programs", async () => {
  await copy("one", { "2026-01-31": day(40, { onlineSeconds: 5_400 }), "2026-01-30": day(7, { sessions: 0 }) });
  expect(contributionCsv(readContribution(context))).toBe(
    "day,sessions,tokens,hours_online,block_hours\r\n2026-01-30,0,7,1.00,2.00\r\n2026-01-31,1,40,1.50,2.00\r\n",
  );
});
