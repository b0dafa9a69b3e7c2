import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { atTerminal } from "./terminal";

/** What a person at a terminal is asked before anything goes. */

const CONVERSATION = "conversations/c-1.jsonl";
const FILES = ["models/a/gguf/file.gguf", CONVERSATION];

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "torbiz-uninstall-"));
  for (const file of FILES) {
    mkdirSync(dirname(join(home, file)), { recursive: true });
    writeFileSync(join(home, file), Buffer.alloc(1_000));
  }
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

async function press(...keys: string[]): Promise<{ screen: string; left: string[] }> {
  const env = { ...process.env, TORBIZ_HOME: home, DOCKER_HOST: `unix://${home}/none.sock` };
  const screen = await atTerminal([process.execPath, resolve("bin/torbiz.mjs"), "uninstall"], keys, env);
  return { screen, left: FILES.filter((file) => existsSync(join(home, file))) };
}

it("lists what there is, and takes a number and a yes", async () => {
  const { screen, left } = await press("1\r", "y\r");
  expect(screen).toMatch(/1 {2}1 kB {2}Models: .+\r\n2 {2}1 kB {2}Conversations: /);
  expect(screen).toContain("Remove models? That can't be undone.");
  expect(screen).toContain("Removed models: 1 kB are free again.");
  expect(left).toEqual([CONVERSATION]);
});

it("asks again after a number that isn't there, and takes several", async () => {
  const { screen, left } = await press("3\r", "1, 2\r", "y\r");
  expect(screen).toContain("Type numbers from 1 to 2.");
  expect(screen).toContain("Remove models and conversations?");
  expect(left).toEqual([]);
});

it.each([
  ["Enter chooses nothing", ["\r"]],
  ["Ctrl-D chooses nothing", ["\x04"]],
  ["Enter is no", ["all\r", "\r"]],
])("%s", async (_, keys) => {
  const { screen, left } = await press(...keys);
  expect(screen).toContain("Nothing was removed.");
  expect(left).toEqual(FILES);
});
