import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packFile, unpackFile } from "../../../src/lib/docker/tar";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "torbiz-tar-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

test.each(["", "300", "x".repeat(512), "ä".repeat(700)])("tar itself reads what is packed (%#)", (content) => {
  const archive = join(folder, "a.tar");
  writeFileSync(archive, packFile("finish-seconds", content));
  execFileSync("tar", ["-xf", archive, "-C", folder]);
  expect(readFileSync(join(folder, "finish-seconds"), "utf8")).toBe(content);
  expect(statSync(join(folder, "finish-seconds")).mode & 0o777).toBe(0o644);
  expect(unpackFile(packFile("finish-seconds", content)).toString()).toBe(content);
});

test.each(["ustar", "gnu", "pax"])("what tar packs in its %s format is read", (format) => {
  const name = "contribution-".padEnd(99, "x"); // long names have headers of their own in some formats
  writeFileSync(join(folder, name), "content".repeat(200));
  const archive = execFileSync("tar", ["-C", folder, `--format=${format}`, "-cf", "-", name]);
  expect(unpackFile(archive).toString()).toBe("content".repeat(200));
});

test.each([
  ["nothing", Buffer.alloc(0)],
  ["an archive of nothing", Buffer.alloc(1024)],
  ["another format", Buffer.from("<html>".repeat(200))],
  ["a file that is cut off", packFile("a", "x".repeat(2000)).subarray(0, 1024)],
])("%s is no file", (_what, archive) => {
  expect(() => unpackFile(archive)).toThrow("isn't in the format");
});
