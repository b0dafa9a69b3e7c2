import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ROOT } from "../e2e/torbiz";

/** "2026-11-28: Docker Engine 20.10.24+dfsg1, ...": when it was recorded, and of what versions. */
const RECORDED = /^20\d\d-\d\d-\d\d: .*\d\.\d/;

const fixtures = ["test", join("python", "tests")].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => basename(dirname(path)) === "fixtures")
    .map((path) => join(folder, path)),
);

it("are those of engines, of each builder, of Petals and of the starter model", () => {
  expect(fixtures.map((file) => basename(file))).toEqual(
    expect.arrayContaining([
      "starter-truth.json",
      "engine-20.10.24.json",
      "engine-26.1.5.json",
      "engine-26.1.5-containerd.json",
      "share.log",
      "classic.tsv",
      "pip-failed-buildx-26.log",
    ]),
  );
});

it.each(fixtures)("%s says of what versions it was recorded", (file) => {
  const text = readFileSync(join(ROOT, file), "utf8");
  const said = file.endsWith(".json")
    ? (JSON.parse(text) as { recorded: unknown }).recorded
    : /^# Recorded (.*)\n/.exec(text)?.[1];
  expect(said).toMatch(RECORDED);
});
