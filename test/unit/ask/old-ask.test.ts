import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { ask } from "../../../src/lib/ask/old-ask";
import { openSurroundings } from "../../../src/lib/context";
import { defaultModel } from "../../../src/lib/models";
import { writeRuntimeFiles } from "./python-server";

const LIMIT_MS = 60_000;

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ask "));
  const model = join(root, "models", defaultModel.id, "petals");
  mkdirSync(model, { recursive: true });
  writeFileSync(join(model, "config.json"), "{}");
});

afterEach(() => {
  try {
    process.kill(Number(readFileSync(join(root, "run/ask-swarm.lock"), "utf8")), "SIGKILL");
  } catch {
    // It has ended by itself, or never began.
  }
  rmSync(root, { recursive: true, force: true });
});

it.each([
  ["stays", "C.UTF-8"],
  ["leaves for idleness just before the question", "leave-idle"],
  ["leaves when it is asked", "leave-asked"],
  ["leaves while the question waits", "leave-waiting"],
])(
  "answers when the server %s",
  async (_what, how) => {
    const surroundings = openSurroundings({
      runtimeFiles: writeRuntimeFiles(root),
      env: { ...process.env, TORBIZ_HOME: root, LANG: how },
      home: homedir(),
    });
    const answer = await ask({ surroundings, target: { model: defaultModel, initialPeers: [] }, prompt: "Where?" });
    expect(answer.text).toBe("Paris");
    const starts = readFileSync(join(root, "logs/ask-swarm.log"), "utf8").match(/^ENV /gm);
    expect(starts).toHaveLength(how.startsWith("leave") ? 2 : 1);
  },
  LIMIT_MS,
);
