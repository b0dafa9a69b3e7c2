import { openEngine } from "../../../src/lib/context";
import { atLeast, followLog, levelOf, type FollowedLine, type Level } from "../../../src/lib/sharing/log-lines";
import { LABELS, scriptedShare, type ScriptedShare } from "./scripted-share";

let share: ScriptedShare;

beforeEach(async () => {
  share = await scriptedShare();
  share.container = { State: { Status: "running", Running: true }, Config: { Labels: LABELS } };
});

afterEach(() => share.close());

function event(action: string, second: number, attributes: object = {}): object {
  const timeNano = Date.parse("2026-01-31T12:00:00Z") * 1e6 + second * 1e9;
  return { Type: "container", Action: action, timeNano, Actor: { ID: "abc", Attributes: attributes } };
}

async function followed(signal?: AbortSignal): Promise<FollowedLine[]> {
  const lines: FollowedLine[] = [];
  for await (const line of followLog(await openEngine(share.surroundings), "abc", signal)) lines.push(line);
  return lines;
}

test("what the container says and what happens to it come in the order of time, and end with it", async () => {
  share.log = [
    "2026-01-31T12:00:01.500000000Z 2026-01-31T12:00:01.400Z INFO torbiz.seeder: Starting",
    "2026-01-31T12:00:03.500000000Z 2026-01-31T12:00:03.400Z WARNING petals: slow",
  ];
  share.events = [
    event("start", 1),
    event("health_status: healthy", 2),
    event("exec_start: cat", 2.5),
    event("oom", 4),
    event("die", 5, { exitCode: "137" }),
  ];
  expect((await followed()).map(({ kind, level, text }) => `${kind} ${level}: ${text}`)).toEqual([
    "event info: The container was started.",
    "log info: 2026-01-31T12:00:01.400Z INFO torbiz.seeder: Starting",
    "event info: The server reports its state.",
    "log warning: 2026-01-31T12:00:03.400Z WARNING petals: slow",
    "event error: The container reached its limit of memory.",
    "event error: The container was killed: out of memory.",
  ]);
});

test.each([
  [
    [event("kill", 1, { signal: "2" }), event("die", 2, { exitCode: "0" })],
    ["asked to stop", "as it was asked to"],
  ],
  [
    [event("kill", 1, { signal: "9" }), event("die", 2, { exitCode: "137" })],
    ["was killed", "exit code 137"],
  ],
  [
    [event("pause", 1), event("unpause", 2)],
    ["was paused", "was resumed"],
  ],
  [[event("health_status: unhealthy", 1)], ["no longer reports"]],
  [[event("die", 1, { exitCode: "0" })], ["by itself"]],
])("events are told in words: %j", async (events, words) => {
  share.events = events;
  const texts = (await followed()).map(({ text }) => text);
  expect(texts).toEqual(words.map((part) => expect.stringContaining(part) as unknown));
});

test.each([
  ["DEBUG", "info"],
  ["INFO", "info"],
  ["WARN", "warning"],
  ["WARNING", "warning"],
  ["ERROR", "error"],
  ["CRITICAL", "error"],
])("a line of level %s is of level %s", (written, level) => {
  expect(levelOf(`2026-01-31T12:00:00.000Z ${written} petals.server: words`)).toBe(level);
});

test("a line of each level begins anew: what has none belongs to the one before", () => {
  const lines = ["INFO a: all is well", "CRITICAL a: broken", "Traceback", "DEBUG a: more", "  of it"];
  const shown = (least: Level) => {
    const isShown = atLeast(least);
    return lines.filter((line) => isShown({ text: /^[A-Z]+ /.test(line) ? `2026-01-31T12:00:00.000Z ${line}` : line }));
  };
  expect(shown("error")).toEqual(lines.slice(1, 3));
  expect(shown("warning")).toEqual(lines.slice(1, 3));
  expect(shown("info")).toEqual(lines);
});

test("the signal ends it quietly, and a container that is gone has nothing to say", async () => {
  expect(await followed(AbortSignal.abort())).toEqual([]);
  share.container = undefined;
  expect(await followed()).toEqual([]);
});

test("an engine that goes away is told of", async () => {
  share.others["/containers/abc/logs"] = (_, response) => void response.writeHead(500).end('{"message":"bad day"}');
  await expect(followed()).rejects.toMatchObject({ message: expect.stringContaining("bad day") as unknown });
});
