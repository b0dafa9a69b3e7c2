import { randomUUID } from "node:crypto";
import { chmodSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname } from "node:path";
import { resolvePaths, type Paths } from "../../src/lib/paths";
import { socketPath } from "../../src/lib/socket-path";

let long: Paths;
let folder: string;

beforeEach(() => {
  long = resolvePaths({ TORBIZ_HOME: `/${"long".repeat(40)}${randomUUID()}` });
  folder = dirname(socketPath(long, "s"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

test("a socket lies in the run folder where its path is short enough", () => {
  expect(socketPath(resolvePaths({ TORBIZ_HOME: "/short" }), "s")).toBe("/short/run/s");
});

test("else in a private temp folder, the same each time", () => {
  expect(dirname(folder)).toBe(tmpdir());
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(dirname(socketPath(long, "s"))).toBe(folder);
});

test.each([
  ["open to others", () => chmodSync(folder, 0o755)],
  [
    "a link",
    () => {
      rmSync(folder, { recursive: true });
      symlinkSync(homedir(), folder);
    },
  ],
  [
    "a file",
    () => {
      rmSync(folder, { recursive: true });
      writeFileSync(folder, "", { mode: 0o700 });
    },
  ],
])("a temp folder that is %s is refused by name", (_what, spoil) => {
  spoil();
  expect(() => socketPath(long, "s")).toThrow(
    expect.objectContaining({ code: "home-not-writable", message: expect.stringContaining(folder) }),
  );
});
