import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findBuild } from "../../../src/lib/docker/build/find-build";
import { buildFiles, currentBuild, SILENT_MS } from "../../../src/lib/docker/build/lock";
import { resolveNames } from "../../../src/lib/names";
import { resolvePaths } from "../../../src/lib/paths";

const home = mkdtempSync(join(tmpdir(), "torbiz-lock-"));
const paths = resolvePaths({ TORBIZ_HOME: home });
const names = resolveNames({ TORBIZ_INSTANCE: "unit" });
const { lock, log } = buildFiles(paths, names);
mkdirSync(paths.run, { recursive: true });
mkdirSync(paths.logs, { recursive: true });
afterAll(() => rmSync(home, { recursive: true }));

const write = (value: unknown) => writeFileSync(lock, typeof value === "string" ? value : JSON.stringify(value));
const note = (pid?: number) => ({ pid, startedAt: new Date().toISOString(), log, tag: names.image });

describe("currentBuild", () => {
  it("is a living process's", () => {
    const child = spawn("sleep", ["60"]);
    try {
      write(note(child.pid));
      expect(currentBuild(paths, names)).toMatchObject({ pid: child.pid, log, tag: "torbiz-petals-macos:unit" });
    } finally {
      child.kill();
    }
  });

  it("is none when its process is dead", () => {
    write(note(spawnSync("true").pid));
    expect(currentBuild(paths, names)).toBeUndefined();
  });

  it("is none when neither lock nor log has been written for long, whoever has the number now", () => {
    const longAgo = new Date(Date.now() - SILENT_MS - 1_000);
    write(note(process.pid));
    utimesSync(lock, longAgo, longAgo);
    expect(currentBuild(paths, names)).toBeUndefined();
    writeFileSync(log, "torbiz: step image\n");
    expect(currentBuild(paths, names)).toMatchObject({ pid: process.pid });
    utimesSync(log, longAgo, longAgo);
    expect(currentBuild(paths, names)).toBeUndefined();
  });

  it.each(["", "{", "null", "[]", '{"pid":"1"}', '{"pid":-1,"startedAt":"x","log":"x","tag":"x"}'])(
    "is none for %p",
    (text) => {
      write(text);
      expect(currentBuild(paths, names)).toBeUndefined();
    },
  );
});

describe.each(["linux", "darwin"] as const)("findBuild on %s", (platform) => {
  // A Mac has no /proc; ps, which it asks, is everywhere that these tests run.
  if (platform === "linux" && process.platform !== "linux") return;

  it("knows a build by its command line, and no other program that has its number", async () => {
    const path = `/a/${"long/".repeat(40)}build-docker-macos.sh`;
    const build = spawn("bash", ["-c", `exec -a ${path} sleep 60`]);
    process.env.COLUMNS = "79"; // what a Mac's ps goes by without being told
    const stranger = spawn("sleep", ["60"]);
    try {
      write(note(build.pid));
      while (!(await findBuild(paths, names, platform))) await sleep(50);
      write(note(stranger.pid));
      expect(await findBuild(paths, names, platform)).toBeUndefined();
      write(note(spawnSync("true").pid));
      expect(await findBuild(paths, names, platform)).toBeUndefined();
    } finally {
      delete process.env.COLUMNS;
      build.kill();
      stranger.kill();
    }
  });
});
