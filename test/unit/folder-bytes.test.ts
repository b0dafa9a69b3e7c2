import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { folderBytes } from "../../src/lib/folder-bytes";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "torbiz-bytes-"));
});

// Not by Node.js, which can't reach what the second test makes.
afterEach(() => execFileSync("rm", ["-rf", folder]));

test("a file counts once, wherever links lead", () => {
  mkdirSync(join(folder, "a"));
  writeFileSync(join(folder, "a", "file"), Buffer.alloc(5));
  symlinkSync("a", join(folder, "folder-link"));
  symlinkSync("nowhere", join(folder, "broken-link"));
  expect([folderBytes(folder), folderBytes(join(folder, "a", "file")), folderBytes(join(folder, "none"))]).toEqual([
    5, 5, 0,
  ]);
});

test("what can't be read doesn't hide the rest", () => {
  writeFileSync(join(folder, "file"), Buffer.alloc(5));
  const before = process.cwd();
  process.chdir(folder);
  try {
    // Deeper than a path can be long.
    for (let depth = 0; depth < 20; depth++) {
      const name = "d".repeat(250);
      mkdirSync(name);
      process.chdir(name);
    }
  } finally {
    process.chdir(before);
  }
  expect(folderBytes(folder)).toBe(5);
});
