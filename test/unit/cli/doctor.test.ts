import { existsSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { execa } from "execa";
import { runDoctor } from "../../../src/cli/doctor";
import { CHECKS } from "../../../src/lib/doctor/doctor";
import type { Progress } from "../../../src/lib/progress";
import { scriptedShare, type ScriptedShare } from "../sharing/scripted-share";
import { recordedSession, toldSession } from "./session";

let share: ScriptedShare;

beforeEach(async () => {
  share = await scriptedShare();
  share.others["/containers/json"] = (_, response) => void response.end("[]");
});

afterEach(() => share.close());

test("people get a line each, the hint under what isn't well, and the questions at the end", async () => {
  share.others["/_ping"] = (_, response) => void response.writeHead(503).end();
  const session = toldSession(share.surroundings);
  expect(await runDoctor(session, {})).toBe(1);
  const lines = session.told().split("\n");
  expect(lines[0]).toMatch(/^✖ Docker {2,}Docker at unix:.+ is not ready yet \(it answers 503\)\.$/);
  expect(lines[1]?.trim()).toBe("Wait a moment and try again.");
  expect(lines.find((line) => line.startsWith("? Memory"))).toMatch(/It takes Docker to tell\.$/);
  expect(lines.find((line) => line.startsWith("✔ Disk") || line.startsWith("! Disk"))).toBeDefined();
  const asked = lines.indexOf("Does setup complete without errors?");
  expect(lines.slice(asked - 1, asked + 2)).toEqual([
    "",
    "Does setup complete without errors?",
    expect.stringMatching(/^ {2}No\. Docker at/),
  ]);
  expect(lines.filter((line) => line.endsWith("?"))).toHaveLength(5);
});

test("scripts get the same as fields, and a result that says whether it is well", async () => {
  const session = recordedSession(share.surroundings);
  expect(await runDoctor(session, {})).toBe(0);
  const last = session.events.at(-1) as { event: string; ok: boolean; findings: Record<string, unknown>[] };
  expect(last).toMatchObject({ event: "result", ok: true });
  expect(last.findings.find(({ id }) => id === "image")).toEqual({
    ...{ id: "image", title: "Image", state: "warning", detail: "It isn't built yet." },
    ...{ hint: "The first share builds it.", repair: "Build Image" },
  });
});

test("a report is never written over a file", async () => {
  const file = join(share.surroundings.home, "report.json");
  expect(await runDoctor(recordedSession(share.surroundings), { bundle: file })).toBe(0);
  expect(existsSync(file)).toBe(true);
  writeFileSync(file, "mine");
  const asked = share.engine.requests.length;
  await expect(runDoctor(recordedSession(share.surroundings), { bundle: file })).rejects.toMatchObject({
    code: "usage",
  });
  // Nobody waits for looks and repairs first.
  expect(share.engine.requests).toHaveLength(asked);
});

test.each([false, true])("Ctrl-C ends it without a report and without a result, repair: %s", async (repair) => {
  const bundle = join(share.surroundings.home, "report.json");
  const session = recordedSession(share.surroundings);
  let left = CHECKS.length;
  // When all is looked at, so that nothing goes on after the test.
  const progress = ({ message }: Progress) => {
    if (message.startsWith("Looked at") && --left === 0) session.interrupt();
  };
  session.output = { ...session.output, progress };
  await expect(runDoctor(session, { repair, bundle })).rejects.toMatchObject({ code: "interrupted" });
  expect(existsSync(bundle)).toBe(false);
  expect(session.events).toEqual([]);
});

test("a terminal gets the words of an unexpected failure without the home folder", async () => {
  const { home, paths } = share.surroundings;
  symlinkSync("loop", join(home, "loop"));
  const args = [resolve("bin/torbiz.mjs"), "doctor", "--json", "--bundle", join(home, "loop", "report.json")];
  const env = {
    HOME: home,
    TORBIZ_HOME: paths.home,
    DOCKER_HOST: `unix://${join(home, "none.sock")}`,
    NODE_OPTIONS: "",
  };
  const { stdout, exitCode } = await execa(process.execPath, args, { env, reject: false });
  expect(exitCode).toBe(1);
  expect(JSON.parse(stdout.split("\n").at(-1) ?? "")).toMatchObject({
    ...{ event: "error", code: "unexpected" },
    message: "ELOOP: too many symbolic links encountered, lstat '~/loop/report.json'",
  });
});
