import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runLogs } from "../../../src/cli/logs";
import { openEngine } from "../../../src/lib/context";
import { redactor } from "../../../src/lib/redact";
import { keepLogs } from "../../../src/lib/sharing/kept-logs";
import { levelOf } from "../../../src/lib/sharing/log-lines";
import { toldLast } from "../../../src/lib/sharing/stop";
import { LABELS, scriptedShare, type ScriptedShare } from "../sharing/scripted-share";
import { recordedSession } from "./session";

/** What Petals, hivemind and the seeder really wrote (sharing/record.ts), from a start to an end. */
const [, ...lines] = readFileSync(join(import.meta.dirname, "..", "sharing", "fixtures", "share.log"), "utf8")
  .trimEnd()
  .split("\n");
const texts = lines.map((line) => line.slice(line.indexOf(" ") + 1));
/** When the engine took each line, in whole milliseconds. */
const times = lines.map((line) => Date.parse(line.slice(0, line.indexOf(" "))));
/** Where the warnings are of sessions that Petals refused. */
const WARNINGS = indexesOf(/Z WARN hivemind\.p2p\.p2p_daemon: Handler failed with the exception:$/);
/** Where their tracebacks end. */
const ENDS = indexesOf(/^petals\.server\.memory_cache\.AllocationFailed: Could not allocate /);
/** For each line whether it is of such a warning or its traceback. */
const refused = texts.map((_, index) => WARNINGS.some((first, at) => first <= index && index <= Number(ENDS[at])));

function indexesOf(pattern: RegExp): number[] {
  return texts.flatMap((text, index) => (pattern.test(text) ? [index] : []));
}

let share: ScriptedShare;

beforeEach(async () => {
  share = await scriptedShare();
  share.container = { State: { Status: "running", Running: true }, Config: { Image: "a:1", Labels: LABELS } };
  share.log = lines;
});

afterEach(() => share.close());

/** As whoever runs this test is shown it: the name of a user is hidden, and may be a word of any log. */
function shown(isWanted: (index: number) => boolean = () => true): string[] {
  return texts.filter((_, index) => isWanted(index)).map(redactor(share.surroundings));
}

async function logs(flags: Parameters<typeof runLogs>[1]): Promise<string[]> {
  const session = recordedSession(share.surroundings);
  await runLogs(session, flags);
  return session.events.filter(({ event }) => event === "log").map(({ text }) => String(text));
}

test("no word of it is taken for a secret", () => {
  expect(texts.map(redactor({ env: {}, home: "/Users/ada" }, "ada"))).toEqual(texts);
});

test("is shown whole", async () => {
  expect(await logs({})).toEqual(shown());
});

test("each line has its level, and a traceback has none", () => {
  // One after the other, and each with its end: else the recording isn't what this file takes it for.
  expect(WARNINGS.length).toBeGreaterThan(1);
  expect(WARNINGS.flatMap((first, at) => [first, ENDS[at]])).toEqual([...WARNINGS, ...ENDS].sort((a, b) => a - b));
  const expected = texts.map((_, index) =>
    WARNINGS.includes(index) ? "warning" : refused[index] ? undefined : "info",
  );
  expect(texts.map(levelOf)).toEqual(expected);
});

test("its warnings come with their tracebacks, and there are no errors", async () => {
  expect(await logs({ level: "warning" })).toEqual(shown((index) => refused[index] === true));
  expect(await logs({ level: "error" })).toEqual([]);
});

test("begins in the middle of a second where that is wanted", async () => {
  // With one of the warnings, and a millisecond later without it.
  const then = Number(times[Number(WARNINGS[1])]);
  for (const from of [then, then + 1]) {
    const since = new Date(from).toISOString();
    const isLater = (index: number) => Number(times[index]) >= from;
    expect(await logs({ since })).toEqual(shown(isLater));
    expect(await logs({ since, level: "warning" })).toEqual(
      shown((index) => isLater(index) && refused[index] === true),
    );
  }
});

test("is kept whole, and tells that peers were told", async () => {
  const context = await openEngine(share.surroundings);
  const container = await context.engine.inspect("abc");
  if (!container) throw new Error("There is no container.");
  const kept = await keepLogs(context, container);
  expect(readFileSync(String(kept?.path), "utf8")).toBe(`${lines.join("\n")}\n`);
  expect(toldLast(kept?.lines ?? [])).toBe("OFFLINE");
  expect(toldLast(kept?.lines.slice(0, indexesOf(/: Announced OFFLINE: /)[0]) ?? [])).toBe("ONLINE");
});
