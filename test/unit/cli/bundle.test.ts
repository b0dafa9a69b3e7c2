import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** The command as it starts from a checkout: here of one with the same packages and a version of its own. */

let checkout: string;
let cache: string;

beforeAll(() => {
  checkout = mkdtempSync(join(tmpdir(), "torbiz checkout "));
  for (const name of ["bin", "src", "package.json", "package-lock.json", "tsconfig.json"]) {
    cpSync(name, join(checkout, name), { recursive: true });
  }
  mkdirSync(join(checkout, "node_modules"));
  for (const name of readdirSync("node_modules").filter((name) => name !== ".cache")) {
    symlinkSync(join(process.cwd(), "node_modules", name), join(checkout, "node_modules", name));
  }
  cache = join(checkout, "node_modules", ".cache", "torbiz");
});

afterAll(() => rmSync(checkout, { recursive: true, force: true }));

async function version(): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    join(checkout, "bin/torbiz.mjs"),
    "--version",
  ]);
  expect(stderr).toBe("");
  return stdout.trim();
}

function setVersion(version: string): void {
  const file = join(checkout, "src", "lib", "version.ts");
  writeFileSync(file, readFileSync(file, "utf8").replace(/(VERSION = ")\d+\.\d+\.\d+/, `$1${version}`));
}

test("is put into one file, which is made anew when a source has changed", async () => {
  setVersion("1.2.3");
  expect(await Promise.all([version(), version()])).toEqual(["1.2.3", "1.2.3"]);
  const [first] = readdirSync(cache);
  expect(await version()).toBe("1.2.3");
  expect(readdirSync(cache)).toEqual([first]);
  setVersion("1.2.30");
  expect(await version()).toBe("1.2.30");
  expect(readdirSync(cache)).not.toContain(first);
  expect(readdirSync(cache)).toHaveLength(1);
});

test("starts from its sources where nothing can be written", async () => {
  rmSync(join(cache, ".."), { recursive: true });
  writeFileSync(join(cache, ".."), "");
  setVersion("4.5.6");
  expect(await version()).toBe("4.5.6");
});
