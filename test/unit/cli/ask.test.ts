import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { runAsk, type AskFlags } from "../../../src/cli/ask";
import { rememberAskSettings } from "../../../src/lib/ask/ask-settings";
import { ConversationStore } from "../../../src/lib/ask/conversations/store";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";
import { writeRuntimeFiles } from "../ask/python-server";
import { COMMIT, ScriptedHub } from "../hub/scripted-hub";
import { endAskServer } from "../../end-ask-server";
import { recordedSession, stdinWith, type Recorded } from "./session";

const LIMIT_MS = 60_000;

let root: string;
let model: string;
let surroundings: Surroundings;
let store: ConversationStore;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "cli ask "));
  model = join(root, "mine.gguf");
  writeFileSync(model, "GGUF\x03\0\0\0");
  surroundings = openSurroundings({
    runtimeFiles: writeRuntimeFiles(root),
    env: { ...process.env, TORBIZ_HOME: root },
    home: homedir(),
  });
  store = new ConversationStore(surroundings.paths.conversations);
});

afterAll(() => {
  endAskServer(surroundings.paths);
  rmSync(root, { recursive: true, force: true });
});

/** `torbiz ask`; resolves with the last event. */
async function asked(
  given: string | undefined,
  flags: AskFlags,
  stdin = stdinWith(),
  session = recordedSession(surroundings),
): Promise<Record<string, unknown> | undefined> {
  await runAsk(session, given, flags, stdin);
  return session.events.at(-1);
}

/** Asks, and resolves when the first piece has come. */
async function begun(given: string | undefined, flags: AskFlags): Promise<{ session: Recorded; ended: Promise<void> }> {
  const session = recordedSession(surroundings);
  const first = new Promise<void>((resolve) => {
    const { delta } = session.output;
    session.output.delta = (text) => {
      delta(text);
      resolve();
    };
  });
  const ended = runAsk(session, given, flags, stdinWith());
  await Promise.race([first, ended]);
  return { session, ended };
}

const texts = ({ events }: Recorded) => events.flatMap(({ event, text }) => (event === "delta" ? [text] : []));

test(
  "a question with its context, a follow-up, and the answer's figures",
  async () => {
    const session = recordedSession(surroundings);
    const result = await asked("Where?", { model, system: "Be brief." }, stdinWith("The context.\n"), session);
    expect(texts(session)).toEqual(["Par", "is"]);
    expect(result).toMatchObject({
      ...{ event: "result", ok: true, answer: "Paris", finishReason: "stop", tokens: 2, promptTokens: 3 },
      ...{ cachedTokens: 1, model, engine: { kind: "this", where: "This Computer" }, route: null },
    });
    expect(session.events.at(-2)).toMatchObject({
      ...{
        stage: "answered",
        message: expect.stringMatching(/^mine · This Computer · 2 tokens · first after .* s/) as string,
      },
    });
    const conversation = String(result?.conversation);
    const followUp = await asked("And then?", { continue: true });
    expect(followUp).toMatchObject({ answer: "Paris", conversation });
    const branch = (await store.read(conversation)).branch();
    expect(branch.map((node) => (node.kind === "message" ? node.content : node.text))).toEqual([
      ...["Be brief.", "Where?\n\nThe context.", "Paris", "And then?", "Paris"],
    ]);
    await expect(asked(undefined, { continue: true })).rejects.toMatchObject({ code: "prompt-empty" });
    await expect(asked("Why?", { conversation: "c-0" })).rejects.toMatchObject({ code: "conversation-unknown" });
    await expect(asked(undefined, {})).rejects.toMatchObject({ code: "prompt-empty" });
  },
  LIMIT_MS,
);

test(
  "Ctrl-C keeps the part and says how to go on; going on begins exactly there",
  async () => {
    const { session, ended } = await begun("Please hold", { model });
    session.interrupt();
    await ended;
    expect(session.events.at(-1)).toMatchObject({ ok: true, answer: "Par", finishReason: "stopped" });
    expect(session.events.at(-2)).toMatchObject({
      event: "note",
      message: expect.stringContaining("--continue") as string,
    });

    const again = recordedSession(surroundings);
    const result = await asked(undefined, { continue: true }, stdinWith(), again);
    expect(texts(again)).toEqual(["is"]);
    expect(result).toMatchObject({ answer: "Paris", finishReason: "stop" });
  },
  LIMIT_MS,
);

test(
  "an answer that is still being written is watched on, and no question goes before its end",
  async () => {
    const { ended } = await begun("Please hold", { model });
    await expect(asked("More?", { continue: true })).rejects.toMatchObject({ code: "usage" });
    const watching = await begun(undefined, { continue: true });
    writeFileSync(join(root, "run/go"), "");
    await watching.ended;
    expect(watching.session.events.at(-1)).toMatchObject({ answer: "Paris", finishReason: "stop" });
    expect(texts(watching.session).join("")).toBe("Paris");
    await ended;
    rmSync(join(root, "run/go"));
  },
  LIMIT_MS,
);

test(
  "a question that got no answer gets one",
  async () => {
    const conversation = await store.create();
    await store.appendMessage(conversation, { role: "user", content: "Lost?", parent: null });
    expect(await asked(undefined, { conversation, model })).toMatchObject({ answer: "Paris", conversation });
    expect((await store.read(conversation)).turns).toBe(1);
  },
  LIMIT_MS,
);

test(
  "Ctrl-C ends the download of a swarm's model, and asks the hub nothing more",
  async () => {
    const session = recordedSession(surroundings);
    const hub = await new ScriptedHub().start();
    session.surroundings = { ...surroundings, env: { ...surroundings.env, HF_ENDPOINT: hub.address } };
    hub.instead = () => {
      session.interrupt();
      return true;
    };
    // Of another commit than the one that was begun.
    const peers = [`/ip4/10.0.0.7/tcp/31330/p2p/${"Q".repeat(46)}`];
    const invite = { model: "Owner/Name", revision: COMMIT, dhtPrefix: "Name-hf", peers, petals: "2.2.0" };
    rememberAskSettings(surroundings.paths, { lastChoice: { kind: "swarm", swarm: { kind: "join", peers, invite } } });
    const status = join(surroundings.paths.run, "download-owner--name-petals-main.json");
    const download = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1000)", status]);
    const ended = once(download, "exit");
    writeFileSync(status, JSON.stringify({ pid: download.pid, state: "downloading" }));
    try {
      await expect(asked("Where?", {}, stdinWith(), session)).rejects.toMatchObject({ code: "interrupted" });
      expect(await ended).toEqual([null, "SIGTERM"]);
      expect(hub.seen).toHaveLength(1);
    } finally {
      download.kill("SIGKILL");
      await hub.stop();
      rmSync(status);
      rmSync(join(root, "ask.json"));
    }
  },
  LIMIT_MS,
);
