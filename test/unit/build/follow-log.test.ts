import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { followBuildLog, type BuildLine, type SilenceLimits } from "../../../src/lib/docker/build/follow-log";

const folder = mkdtempSync(join(tmpdir(), "torbiz-follow-"));
const log = join(folder, "build.log");
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => rmSync(log, { force: true }));

function follow(isRunning: () => boolean, limits?: SilenceLimits) {
  const lines: BuildLine[] = [];
  const end = (async () => {
    for await (const news of followBuildLog({ log, pid: 7, isRunning, limits })) lines.push(...news);
  })();
  return { lines, end };
}

describe("followBuildLog", () => {
  it("waits until the log is this build's, and ends at its last line", async () => {
    writeFileSync(log, "torbiz: build pid=6 tag=x\nold\ntorbiz: done image=x\n");
    const { lines, end } = follow(() => true);
    await sleep(500);
    expect(lines).toEqual([]);
    writeFileSync(log, "torbiz: build pid=7 tag=x\nStep 1/");
    while (lines.length < 1) await sleep(20);
    appendFileSync(log, "30 : FROM x\n");
    while (lines.length < 2) await sleep(20);
    appendFileSync(log, "torbiz: done image=x\nnot read any more\n");
    await end;
    expect(lines.map(({ text }) => text)).toEqual([
      "torbiz: build pid=7 tag=x",
      "Step 1/30 : FROM x",
      "torbiz: done image=x",
    ]);
    expect(lines.map(({ live }) => live)).toEqual([false, true, true]);
  });

  it("reads what a build that has gone has left, letters across two reads included", async () => {
    const long = `${"ä".repeat(40_000)}`;
    writeFileSync(log, `torbiz: build pid=7 tag=x\n${long}\nend\n`);
    const { lines, end } = follow(() => false);
    await end;
    expect(lines.map(({ text }) => text)).toEqual(["torbiz: build pid=7 tag=x", long, "end"]);
  });

  it.each([
    ["has not begun to write", "torbiz: build pid=6 tag=x\n", { first: 300, later: 60_000 }],
    ["says nothing any more", "torbiz: build pid=7 tag=x\nStep 1/30 : FROM x\n", { first: 60_000, later: 300 }],
  ])("gives up on a build that %s", async (_, text, limits) => {
    writeFileSync(log, text);
    const { end } = follow(() => true, limits);
    await expect(end).rejects.toMatchObject({ code: "docker-not-answering", message: expect.stringContaining(log) });
  });

  it("ends without a line when the build has gone without a log", async () => {
    const { lines, end } = follow(() => false);
    await end;
    expect(lines).toEqual([]);
  });
});
