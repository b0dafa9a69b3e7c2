import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readAskSettings } from "../../../src/lib/ask/ask-settings";
import { ConversationStore } from "../../../src/lib/ask/conversations/store";
import { atTerminal } from "./terminal";

const LIMIT_MS = 60_000;

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "consent "));
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

/** Asks the public swarm with a Python that isn't there: with consent, that is what fails. */
function ask(...keys: string[]): Promise<string> {
  const command = [process.execPath, resolve("bin/torbiz.mjs"), "ask", "Hi?", "--swarm", "public"];
  return atTerminal(command, keys, {
    ...process.env,
    NODE_OPTIONS: "",
    TORBIZ_HOME: home,
    TORBIZ_PYTHON: "/nonexistent",
  });
}

test(
  "strangers get no question before a yes, which is asked for once",
  async () => {
    expect(await ask("\r")).toContain("Strangers could read this question");
    expect(readAskSettings({ home }).allowedStrangersAt).toBeUndefined();

    expect(await ask("y\r")).toContain("/nonexistent");
    expect(readAskSettings({ home }).allowedStrangersAt).toMatch(/^\d{4}-/);

    expect(await ask()).not.toContain("[y/N]");
    // What was typed is kept, once each, whatever came of it.
    const list = await new ConversationStore(join(home, "conversations")).list();
    expect(list.map(({ title, turns }) => [title, turns])).toEqual(Array.from({ length: 3 }, () => ["Hi?", 1]));
  },
  LIMIT_MS,
);
