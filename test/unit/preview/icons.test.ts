import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { raycastIcon } from "../../../scripts/preview/icons";

const root = join(import.meta.dirname, "..", "..", "..");

/** Raycast's `Icon`: names to values. The package has types only, so they are read from there. */
function raycastIcons(): Map<string, string> {
  const manifest = createRequire(import.meta.url).resolve("@raycast/api/package.json");
  const types = readFileSync(join(dirname(manifest), "types", "index.d.ts"), "utf8");
  const [, members = ""] = /export declare enum Icon \{([^}]*)\}/.exec(types) ?? [];
  return new Map([...members.matchAll(/(\w+) = "([^"]+)"/g)].map(([, name = "", value = ""]) => [name, value]));
}

/** The icons that the commands name: `Icon.Play`. */
function usedIcons(): string[] {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.tsx?$/.test(name),
  );
  const names = files.flatMap((file) =>
    [...readFileSync(join(root, "src", file), "utf8").matchAll(/\bIcon\.(\w+)/g)].map(([, name = ""]) => name),
  );
  return [...new Set(names)].sort();
}

test("each icon that a command shows has a picture", () => {
  const icons = raycastIcons();
  expect(icons.size).toBeGreaterThan(400);
  const used = usedIcons();
  expect(used.length).toBeGreaterThan(10);
  const missing = used.filter((name) => !raycastIcon(icons.get(name) ?? ""));
  expect(missing).toEqual([]);
});

test("an icon without a picture is told apart", () => {
  expect(raycastIcon("no-such-thing-16")).toBeUndefined();
});

test("a filled icon is filled, its outline is not", () => {
  expect(raycastIcon("circle-filled-16")?.text).toContain('fill="currentColor"');
  expect(raycastIcon("circle-16")?.text).not.toContain('fill="currentColor"');
});

test("a progress icon shows its share of the circle", () => {
  const dash = (value: string) => /stroke-dasharray="([\d.]+) ([\d.]+)"/.exec(raycastIcon(value)?.text ?? "");
  const [, quarter, whole] = dash("circle-progress-25-16") ?? [];
  expect(Number(quarter) / Number(whole)).toBeCloseTo(0.25);
  const [, full, same] = dash("circle-progress-100-16") ?? [];
  expect(full).toBe(same);
});
