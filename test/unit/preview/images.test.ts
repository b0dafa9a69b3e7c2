import { readdirSync, readFileSync } from "node:fs";
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

test("the store's pictures have its size, and there are as many as it takes", () => {
  const names = readdirSync(join(root, "metadata")).sort();
  expect(names).toEqual(Array.from({ length: 6 }, (_, index) => `torbiz-${index + 1}.png`));
  for (const name of names) {
    expect(readPng(join(root, "metadata", name))).toMatchObject({ width: 2000, height: 1250 });
  }
});

test("the README shows pictures that are there", () => {
  const shown = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)];
  expect(shown.length).toBeGreaterThanOrEqual(2);
  const media = readdirSync(join(root, "media")).map((name) => `media/${name}`);
  for (const [, path] of shown) expect(media).toContain(path);
});
