import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { openEngine } from "../../../src/lib/context";
import { keepLogs } from "../../../src/lib/sharing/kept-logs";
import { runLogs } from "../../../src/cli/logs";
import { healthy } from "../docker/scripted-engine";
import { LABELS, scriptedShare, type ScriptedShare } from "../sharing/scripted-share";
import { recordedSession, toldSession } from "./session";

let share: ScriptedShare;

const at = (second: number, part = 0) => `2026-01-31T12:00:${String(second).padStart(2, "0")}.00000000${part}Z`;
const WORDS = [
  "INFO torbiz.seeder: started",
  "WARN petals.server: slow",
  "  belongs to it",
  "INFO torbiz.seeder: token hf_0123456789abcdef",
  "ERROR torbiz.seeder: [unexpected] broken",
  "Traceback (most recent call last):",
];

beforeEach(async () => {
  share = await scriptedShare();
  share.container = {
    State: { Status: "running", Running: true, ExitCode: 0, Error: "" },
    Config: { Image: "a:1", Labels: LABELS },
  };
  // As our programs write them: with a time of their own before the level.
  share.log = WORDS.map((words, index) => `${at(index)} ${/^[A-Z]+ /.test(words) ? `${at(index)} ` : ""}${words}`);
});

afterEach(() => share.close());

async function logs(flags: Parameters<typeof runLogs>[1]): Promise<string[]> {
  const session = recordedSession(share.surroundings);
  await runLogs(session, flags);
  return session.events.filter(({ event }) => event === "log").map(({ text }) => String(text).replace(/^\S+Z /, ""));
}

test("shows the log, and no token of it", async () => {
  expect(await logs({})).toEqual(WORDS.map((words) => words.replace("hf_0123456789abcdef", "[token]")));
});

test("a level brings what is at least so bad, and the lines that belong to it", async () => {
  expect(await logs({ level: "warning" })).toEqual([WORDS[1], WORDS[2], WORDS[4], WORDS[5]]);
  expect(await logs({ level: "error" })).toEqual(WORDS.slice(4));
  expect(await logs({ level: "warning", lines: 1 })).toEqual(WORDS.slice(5));
});

test("followed or not, the last of them are the last that are wanted", async () => {
  for (const follow of [false, true]) {
    expect(await logs({ level: "warning", lines: 3, follow })).toEqual([WORDS[2], WORDS[4], WORDS[5]]);
    expect(await logs({ level: "warning", lines: 9, follow })).toEqual([WORDS[1], WORDS[2], WORDS[4], WORDS[5]]);
  }
});

test("a time leaves out what was before, in a log that was kept, too", async () => {
  const { paths, names } = share.surroundings;
  writeFileSync(join(paths.logs, `${names.container}-20260131T120000Z.log`), `${share.log.join("\n")}\n`);
  share.container = undefined;
  expect(await logs({ since: at(4) })).toEqual(WORDS.slice(4));
  expect(await logs({ since: "1m" })).toEqual([]);
  await expect(logs({ since: "soon" })).rejects.toMatchObject({ code: "usage" });
});

test("the engine is asked for no more than what is wanted", async () => {
  await logs({ since: at(4) });
  const asked = share.engine.requests.find((request) => request.includes("/logs?")) ?? "";
  expect(asked).toContain(`since=${Date.parse(at(4)) / 1_000}.`);
  expect(asked).not.toContain("tail=");
});

test("is exported for others: whole, private, without tokens and the home folder, and over no other file", async () => {
  const { home } = share.surroundings;
  share.log.push(`${at(7)} a path: ${home}/models`);
  const file = join(home, "log.txt");
  const session = toldSession(share.surroundings);
  await runLogs(session, { export: file });
  expect(session.told()).toBe(`Wrote 7 lines to ${file}.\n`);
  const written = readFileSync(file, "utf8");
  expect(written.split("\n")).toHaveLength(8);
  expect(written).toContain("a path: ~/models");
  expect(written).not.toContain("hf_0123456789abcdef");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  await expect(runLogs(session, { export: file })).rejects.toMatchObject({ code: "usage" });
});

test.each(["/containers/abc/logs", "/_ping"])("Ctrl-C while %s is waited for leaves no file", async (path) => {
  const file = join(share.surroundings.home, "log.txt");
  const session = recordedSession(share.surroundings);
  share.others[path] = (request, response) => {
    session.interrupt();
    if (path === "/_ping") healthy()(request, response);
  };
  await expect(runLogs(session, { export: file })).rejects.toMatchObject({ code: "interrupted" });
  expect(existsSync(file)).toBe(false);
});

test("a file's name that can't be used is told before the engine is asked", async () => {
  const { home } = share.surroundings;
  writeFileSync(join(home, "file"), "");
  mkdirSync(join(home, "folder"));
  for (const [name, message] of [
    ["file", "is there already."],
    ["folder", "is there already."],
    ["file/log.txt", "can't be written."],
    [`${"long".repeat(100)}.txt`, "can't be written."],
    ["none/log.txt", "There is no folder for"],
  ] as const) {
    const failure = await runLogs(recordedSession(share.surroundings), { export: join(home, name) }).catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({
      ...{ code: "usage", message: expect.stringContaining(message) as string, hint: "Name another file." },
    });
  }
  expect(share.engine.requests).toEqual([]);
});

test("is kept without tokens and the home folder when its container goes", async () => {
  const { home } = share.surroundings;
  share.log.push(`${at(7)} a path: ${home}/models`);
  share.container = { State: { Status: "exited", ExitCode: 0, FinishedAt: at(9) }, Config: { Labels: LABELS } };
  const context = await openEngine(share.surroundings);
  const container = await context.engine.inspect("abc");
  if (!container) throw new Error("There is no container.");
  const { path = "", lines = [] } = (await keepLogs(context, container)) ?? {};
  const kept = readFileSync(path, "utf8");
  expect(kept).toContain("token [token]\n");
  expect(kept).toContain("a path: ~/models\n");
  // Why it ended is read from what it said.
  expect(lines.at(-1)?.text).toBe(`a path: ${home}/models`);
});

test("is followed through an engine that goes away: no line is missing, none comes twice", async () => {
  const frame = (line: string, stream = 2) => {
    const payload = Buffer.from(`${line}\n`);
    const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
    header.writeUInt32BE(payload.length, 4);
    return Buffer.concat([header, payload]);
  };
  // Three of one time: a cut falls between them.
  const all = [at(1), at(2), at(3), at(3), at(3), at(4), at(5)].map((time, index) => `${time} line ${index}`);
  const cut = (response: ServerResponse, lines: readonly string[], rest = "") => {
    response.writeHead(200);
    response.write(Buffer.concat([...lines.map((line) => frame(line)), Buffer.from(rest)]));
    setTimeout(() => response.destroy(), 50);
  };
  const since = (url = "") => Number(new URL(url, "http://engine").searchParams.get("since") ?? 0);
  let readings = 0;
  share.others["/containers/abc/logs"] = ({ url }, response) => {
    readings += 1;
    const lines = all.filter((line) => Date.parse(line.slice(0, 30)) / 1_000 >= Math.floor(since(url)));
    if (readings === 1) return cut(response, lines.slice(0, 4));
    // In the middle of a frame's head.
    if (readings === 2) return cut(response, lines.slice(0, -1), "\x02\0\0");
    return void response.end(Buffer.concat(lines.map((line) => frame(line))));
  };
  const session = recordedSession(share.surroundings);
  await runLogs(session, { follow: true });
  const told = session.events
    .filter(({ event }) => event === "log")
    .map(({ time, text }) => `${String(time)} ${String(text)}`);
  expect(told).toEqual(all);
  expect(session.events.filter(({ event }) => event === "note")).toHaveLength(2);
});
