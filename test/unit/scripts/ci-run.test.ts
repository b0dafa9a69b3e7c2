import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "torbiz-ci-"));
  mkdirSync(join(root, ".ci"));
  copyFileSync(".ci/run", join(root, ".ci", "run"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Runs .ci/run in a checkout of its own, with this npm. */
function ciRun(npm: string): { status: number | null; lines: string[] } {
  writeFileSync(join(root, "npm"), `#!/bin/sh\n${npm}\n`);
  chmodSync(join(root, "npm"), 0o755);
  const env = { ...process.env, PATH: `${root}:${process.env.PATH}` };
  const { status, stdout } = spawnSync(join(root, ".ci", "run"), { env, encoding: "utf8" });
  return { status, lines: stdout.trim().split("\n") };
}

it("ends with the closing line although the packages can't be installed", () => {
  const { status, lines } = ciRun("[ $1 = ci ] && exit 7; echo tested");
  expect(lines).toEqual(["0 passed, 1 failed"]);
  expect(status).toBe(1);
});

it("leaves the closing line and the exit code to the tests", () => {
  const { status, lines } = ciRun('[ $1 = ci ] && exit 0; echo "2 passed, 3 failed"; exit 1');
  expect(lines).toEqual(["2 passed, 3 failed"]);
  expect(status).toBe(1);
});
