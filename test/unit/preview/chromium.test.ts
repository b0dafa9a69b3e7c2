import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ensureChromium } from "../../../scripts/preview/chromium";
import { resolvePaths } from "../../../src/lib/paths";

let machine: string;

beforeEach(() => (machine = realpathSync(mkdtempSync(join(tmpdir(), "torbiz-chromium-")))));
afterEach(() => rmSync(machine, { recursive: true }));

/** A machine of its own, on which nobody may install anything. */
function surroundings(platform: NodeJS.Platform) {
  const env = { PATH: join(machine, "bin") };
  const paths = resolvePaths({ TORBIZ_HOME: join(machine, "torbiz") });
  return { env, home: machine, root: machine, platform, uid: 1000, paths, onProgress: () => {} };
}

function addProgram(path: string): string {
  const file = join(machine, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "");
  chmodSync(file, 0o755);
  return file;
}

test("takes the machine's own browser, Chromium before Chrome", async () => {
  const chrome = addProgram("bin/google-chrome");
  expect(await ensureChromium(surroundings("linux"))).toBe(chrome);
  const chromium = addProgram("bin/chromium");
  expect(await ensureChromium(surroundings("linux"))).toBe(chromium);
});

test("takes an application of a Mac's user", async () => {
  const app = addProgram("Applications/Chromium.app/Contents/MacOS/Chromium");
  // A Mac that runs this may have one for all users as well.
  expect(await ensureChromium(surroundings("darwin"))).toMatch(new RegExp(`^(/Applications/.*|${app})$`));
});

test("says that there is none, and what to install", async () => {
  await expect(ensureChromium(surroundings("linux"))).rejects.toMatchObject({
    code: "setup-failed",
    message: expect.stringContaining("Chromium"),
    hint: expect.stringContaining("Install"),
  });
});
