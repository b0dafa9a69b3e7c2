import { readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..", "..");

/** Width and height of a PNG file, and whether it can be transparent: its IHDR chunk, always the first. */
function readPng(path: string) {
  const head = readFileSync(path).subarray(0, 26);
  expect(head.subarray(0, 8)).toEqual(Buffer.from("\x89PNG\r\n\x1a\n", "latin1"));
  expect(head.toString("latin1", 12, 16)).toBe("IHDR");
  return { width: head.readUInt32BE(16), height: head.readUInt32BE(20), transparent: head[25] === 6 };
}

test("the icon has the size that Raycast wants, and round corners on any ground", () => {
  expect(readPng(join(root, "assets", "icon.png"))).toEqual({ width: 512, height: 512, transparent: true });
});
