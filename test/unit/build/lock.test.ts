import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildFiles, currentBuild } from "../../../src/lib/docker/build/lock";
import { resolveNames } from "../../../src/lib/names";
import { resolvePaths } from "../../../src/lib/paths";

const home = mkdtempSync(join(tmpdir(), "torbiz-lock-"));
const paths = resolvePaths({ TORBIZ_HOME: home });
const names = resolveNames({ TORBIZ_INSTANCE: "unit" });
const { lock, log } = buildFiles(paths, names);
mkdirSync(paths.run, { recursive: true });
afterAll(() => rmSync(home, { recursive: true }));

const write = (value: unknown) => writeFileSync(lock, typeof value === "string" ? value : JSON.stringify(value));
const note = (pid: number, startedAt = new Date().toISOString()) => ({ pid, startedAt, log, tag: names.image });

describe("currentBuild", () => {
  it("is a living process's", () => {
    const child = spawn("sleep", ["60"]);
    try {
      write(note(child.pid as number));
      expect(currentBuild(paths, names)).toMatchObject({ pid: child.pid, log, tag: "torbiz-petals-macos:unit" });
    } finally {
      child.kill();
    }
  });

  it("is none when its process is dead", () => {
    write(note(spawnSync("true").pid));
    expect(currentBuild(paths, names)).toBeUndefined();
  });

  it("is none when the computer was started since, whoever has the number now", () => {
    write(note(process.pid, "2001-01-01T00:00:00Z"));
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
