import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ask, attach, runningGenerations, stopGeneration, type AskOptions } from "../../../src/lib/ask/ask";
import { pythonFor } from "../../../src/lib/ask/ask-environments";
import { readAskSettings, rememberAskSettings } from "../../../src/lib/ask/ask-settings";
import { ConversationStore } from "../../../src/lib/ask/conversations/store";
import { ensureEnvironment } from "../../../src/lib/ask/environment";
import { findPython } from "../../../src/lib/ask/python";
import { endAskServer, ensureAskServer } from "../../../src/lib/ask/server";
import { swarmModelFolder } from "../../../src/lib/ask/swarm-model";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";
import { resolveModel } from "../../../src/lib/hub/resolve-model";
import { PETALS_VERSION } from "../../../src/lib/version";
import { COMMIT, INFO, ScriptedHub } from "../hub/scripted-hub";
import { writeRuntimeFiles } from "./python-server";

const LIMIT_MS = 60_000;

let root: string;
let model: string;
let surroundings: Surroundings;
let store: ConversationStore;
let conversation: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "ask é "));
  model = join(root, "mine.gguf");
  writeFileSync(model, Buffer.from("GGUF\x03\0\0\0".padEnd(64, "\0"), "latin1"));
  const runtimeFiles = writeRuntimeFiles(root);
  surroundings = openSurroundings({ runtimeFiles, env: { ...process.env, TORBIZ_HOME: root }, home: homedir() });
  store = new ConversationStore(surroundings.paths.conversations);
});

beforeEach(async () => {
  conversation = await store.create();
});

afterEach(() => {
  try {
    process.kill(pid(), "SIGKILL");
  } catch {
    // It has ended by itself, or never began.
  }
  for (const name of ["go", "ask-local.lock.left"]) rmSync(join(root, "run", name), { force: true });
  for (const name of ["logs/ask-local.log", "ask.json"]) rmSync(join(root, name), { force: true });
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

function pid(): number {
  return Number(readFileSync(join(root, "run/ask-local.lock"), "utf8"));
}

function log(name: string): unknown[] {
  const lines = readFileSync(join(root, "logs/ask-local.log"), "utf8").split("\n");
  return lines.flatMap((line) => (line.startsWith(`${name} `) ? [JSON.parse(line.slice(name.length)) as unknown] : []));
}

function behaving(how: string): Surroundings {
  return { ...surroundings, env: { ...surroundings.env, LANG: how } };
}

function asking(more: Partial<AskOptions>): ReturnType<typeof ask> {
  return ask({ surroundings, conversation, choice: { kind: "this", model }, ...more });
}

/** The conversation as its file has it: who said what. */
async function said(): Promise<string[]> {
  const { nodes } = await store.read(conversation);
  return [...nodes.values()].map((node) =>
    node.kind === "message" ? `${node.role}: ${node.content}` : `${node.ended?.reason ?? "open"}: ${node.own}`,
  );
}

/** Why the last question reached no engine. */
async function unasked() {
  const read = await store.read(conversation);
  const question = read.branch().findLast((node) => node.kind === "message");
  return question && read.whyUnasked(question);
}

it(
  "answers, keeps what was said, and goes on with it from a warm server",
  async () => {
    const stages = new Set<string>();
    const deltas: string[] = [];
    const first = await asking({
      prompt: "Where?",
      system: "Be brief.",
      onProgress: ({ stage }) => stages.add(stage),
      onDelta: (text) => deltas.push(text),
    });
    expect(first).toMatchObject({
      conversation,
      text: "Paris",
      reason: "stop",
      usage: { promptTokens: 3, completionTokens: 2, cachedTokens: 1 },
      route: null,
      engine: { kind: "this", model, title: "mine", where: "This Computer" },
    });
    expect(first.firstTokenSeconds).not.toBe(0.5); // not the server's figure
    expect(deltas).toEqual(["Par", "is"]);
    expect([...stages]).toEqual(["preparing-python", "starting-server", "asking"]);

    stages.clear();
    const second = await asking({
      prompt: "And then?",
      system: "Be brief.",
      onProgress: (step) => stages.add(step.stage),
    });
    expect([...stages]).toEqual(["asking"]);
    expect(log("ENV")).toHaveLength(1);
    expect(log("ASKED").at(-1)).toEqual([
      { kind: "local", modelPath: model, context: null },
      [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Where?" },
        { role: "assistant", content: "Paris" },
        { role: "user", content: "And then?" },
      ],
    ]);
    expect(await said()).toEqual([
      "system: Be brief.",
      "user: Where?",
      "stop: Paris",
      "user: And then?",
      "stop: Paris",
    ]);
    expect(readAskSettings(surroundings.paths).lastChoice).toEqual({ kind: "this", model });

    // The same, as another branch; an answer can be named by what it answers, too.
    const branch = (await store.read(conversation)).branch();
    await asking({ regenerate: second.generation });
    await asking({ regenerate: branch[3]?.id });
    const edited = await asking({ prompt: "Who?", edits: branch[1]?.id });
    const { nodes } = await store.read(conversation);
    expect(nodes.get(branch[3]?.id ?? "")?.children).toHaveLength(3);
    expect(nodes.get(branch[0]?.id ?? "")?.children).toHaveLength(2);
    expect((await store.read(conversation)).messages(edited.generation).map(({ content }) => content)).toEqual([
      "Be brief.",
      "Who?",
      "Paris",
    ]);
  },
  LIMIT_MS,
);

it(
  "stops, keeps the part, and continues from exactly there",
  async () => {
    const stop = new AbortController();
    const part = await asking({ prompt: "hold", stop: stop.signal, onDelta: () => stop.abort() });
    expect(part).toMatchObject({ text: "Par", reason: "stopped" });
    const deltas: string[] = [];
    const whole = await asking({ continues: part.generation, onDelta: (text) => deltas.push(text) });
    expect(whole).toMatchObject({ text: "Paris", reason: "stop" });
    expect(deltas).toEqual(["is"]);
    expect((log("ASKED").at(-1) as unknown[])[1]).toEqual([
      { role: "user", content: "hold" },
      { role: "assistant", content: "Par" },
    ]);
    expect(await said()).toEqual(["user: hold", "stopped: Par", "stop: is"]);
  },
  LIMIT_MS,
);

it(
  "goes on when nobody watches, and can be watched again, and stopped by anyone",
  async () => {
    const leave = new AbortController();
    let generation = "";
    const onStarted = (id: string) => (generation = id);
    const left = asking({ prompt: "hold", leave: leave.signal, onDelta: () => leave.abort(), onStarted });
    await expect(left).rejects.toMatchObject({ code: "interrupted" });
    expect(await runningGenerations(surroundings)).toEqual([
      { id: generation, conversation, model, startedAt: "2026-01-02T03:04:05Z" },
    ]);
    await expect(asking({ continues: generation })).rejects.toMatchObject({ code: "answer-running" });

    const deltas: string[] = [];
    const onDelta = (text: string) => {
      deltas.push(text);
      writeFileSync(join(root, "run/go"), "");
    };
    const watched = await attach({ surroundings, conversation, generation, onDelta });
    expect(watched).toMatchObject({ text: "Paris", reason: "stop", firstTokenSeconds: 0.5, tokensPerSecond: 7 });
    expect(deltas).toEqual(["Par", "is"]);
    expect(await runningGenerations(surroundings)).toEqual([]);
    expect(await attach({ surroundings, conversation, generation })).toEqual(watched);
    expect(await stopGeneration(surroundings, generation)).toBe(false);

    rmSync(join(root, "run/go"));
    const other = await asking({
      prompt: "hold",
      onStarted,
      onDelta: () => void stopGeneration(surroundings, generation),
    });
    expect(other.reason).toBe("stopped");
  },
  LIMIT_MS,
);

it(
  "goes out although its window closed at once",
  async () => {
    const left = asking({ prompt: "Where?", leave: AbortSignal.abort() });
    await expect(left).rejects.toMatchObject({ code: "interrupted" });
    while (!(await said()).includes("stop: Paris")) await new Promise((resolve) => setTimeout(resolve, 50));
  },
  LIMIT_MS,
);

it(
  "keeps the part when the server is killed, says so in the file, and continues with a new one",
  async () => {
    const died = await asking({ prompt: "die" }).catch((error: unknown) => error);
    expect(died).toMatchObject({
      code: "answer-cut",
      message: expect.stringContaining("Something else ended it, such as the system where memory runs out."),
      details: { log: join(surroundings.paths.logs, "ask-local.log"), lines: expect.any(Array) },
    });
    expect(await said()).toEqual(["user: die", "failed: Par"]);
    const generation = (await store.read(conversation)).branch().at(-1)?.id;
    expect(await asking({ continues: generation })).toMatchObject({ text: "Paris" });
    expect(log("ENV")).toHaveLength(2);
  },
  LIMIT_MS,
);

it(
  "tells of a server that died while nobody watched",
  async () => {
    const leave = new AbortController();
    let generation = "";
    const onStarted = (id: string) => (generation = id);
    await asking({ prompt: "hold", leave: leave.signal, onDelta: () => leave.abort(), onStarted }).catch(
      () => undefined,
    );
    process.kill(pid(), "SIGKILL");
    const late = attach({ surroundings, conversation, generation });
    await expect(late).rejects.toMatchObject({ code: "answer-cut" });
    expect(await said()).toEqual(["user: hold", "failed: Par"]);
    await expect(attach({ surroundings, conversation, generation })).rejects.toMatchObject({ code: "answer-cut" });
    await expect(attach({ surroundings, conversation, generation: "g-none" })).rejects.toMatchObject({
      code: "generation-unknown",
    });
  },
  LIMIT_MS,
);

it(
  "gives up on a frozen server, keeps the part, and ends it with the next question",
  async () => {
    const limits = { stallMs: 1_000, answerMs: 1_000 };
    await expect(asking({ prompt: "freeze", limits })).rejects.toMatchObject({ code: "ask-timeout" });
    expect(await said()).toEqual(["user: freeze", "open: Par"]);
    const frozen = pid();
    const generation = (await store.read(conversation)).branch().at(-1)?.id;
    expect(await asking({ continues: generation, limits })).toMatchObject({ text: "Paris" });
    expect(pid()).not.toBe(frozen);
    expect(await said()).toEqual(["user: freeze", "failed: Par", "stop: is"]);
  },
  LIMIT_MS,
);

it(
  "goes on watching the answer of a server that froze and woke, instead of beginning another beside it",
  async () => {
    const limits = { stallMs: 1_000, answerMs: 1_000 };
    await expect(asking({ prompt: "freeze", limits })).rejects.toMatchObject({ code: "ask-timeout" });
    process.kill(pid(), "SIGCONT");
    const generation = (await store.read(conversation)).branch().at(-1)?.id ?? "";
    await expect(asking({ continues: generation })).rejects.toMatchObject({ code: "answer-running" });
    const onDelta = () => writeFileSync(join(root, "run/go"), "");
    expect(await attach({ surroundings, conversation, generation, onDelta })).toMatchObject({ text: "Paris" });
    expect(await said()).toEqual(["user: freeze", "stop: Paris"]);
  },
  LIMIT_MS,
);

it.each([
  ["leaves for idleness just before the question", "leave-idle"],
  ["leaves when it is asked", "leave-asked"],
])(
  "answers when the server %s",
  async (_what, how) => {
    expect((await asking({ surroundings: behaving(how), prompt: "Where?" })).text).toBe("Paris");
    expect(log("ENV")).toHaveLength(2);
    expect(await said()).toEqual(["user: Where?", "stop: Paris"]);
  },
  LIMIT_MS,
);

it(
  "answers two at once with one server",
  async () => {
    const other = await store.create();
    const answers = await Promise.all([
      asking({ prompt: "Where?" }),
      asking({ prompt: "Where?", conversation: other }),
    ]);
    expect(answers.map(({ text }) => text)).toEqual(["Paris", "Paris"]);
    expect(log("ENV")).toHaveLength(1);
  },
  LIMIT_MS,
);

it(
  "asks another server for its models where none is named, and gives its key to nobody else",
  async () => {
    let headers: IncomingHttpHeaders = {};
    const server = createServer((request, response) => {
      headers = request.headers;
      response.end(JSON.stringify({ object: "list", data: [{ id: "qwen" }, { id: "other" }] }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const answer = await asking({
      prompt: "Where?",
      choice: { kind: "server", baseUrl: `${baseUrl}/` },
      apiKey: "canary",
    });
    server.close();
    expect(answer.engine).toEqual({ kind: "server", model: "qwen", title: "qwen", where: baseUrl });
    expect(headers.authorization).toBe("Bearer canary");
    expect(log("ASKED").at(-1)).toMatchObject([{ kind: "server", baseUrl, apiKey: "canary" }, {}]);
    const kept = ["ask.json", `conversations/${conversation}.jsonl`].map((file) =>
      readFileSync(join(root, file), "utf8"),
    );
    expect(kept.join()).not.toContain("canary");
    expect(JSON.stringify(log("ENV"))).not.toContain("canary");
  },
  LIMIT_MS,
);

it.each<[string, Partial<AskOptions>, string]>([
  ["an unknown model", { choice: { kind: "this", model: "no-such-model" } }, "model-unknown"],
  ["no server there", { choice: { kind: "server", baseUrl: "http://127.0.0.1:1/v1" } }, "server-unreachable"],
  ["no address", { choice: { kind: "server", baseUrl: "file:///etc/passwd" } }, "engine-invalid"],
  ["strangers", { choice: { kind: "swarm", swarm: { kind: "public" } } }, "consent-needed"],
  ["a stop", { stop: AbortSignal.abort() }, "interrupted"],
])("keeps what was typed whatever fails: %s", async (_what, more, code) => {
  await expect(asking({ prompt: "My long question", ...more })).rejects.toMatchObject({ code });
  expect(await said()).toEqual(["user: My long question"]);
  expect(await unasked()).toMatchObject({ code: code === "interrupted" ? "not-asked" : code });
});

it(
  "tells why a question was not asked until something answers it",
  async () => {
    await expect(asking({ prompt: "Where?", stop: AbortSignal.abort() })).rejects.toMatchObject({
      code: "interrupted",
    });
    expect(await unasked()).toEqual({ code: "not-asked", message: "It was stopped before it was asked." });
    const question = (await store.read(conversation)).branch().at(-1)?.id;
    const again = asking({ regenerate: question, choice: { kind: "server", baseUrl: "http://127.0.0.1:1/v1" } });
    await expect(again).rejects.toMatchObject({ code: "server-unreachable" });
    expect(await unasked()).toMatchObject({ code: "server-unreachable" });
    await asking({ regenerate: question });
    expect(await unasked()).toBeUndefined();
    // What has an answer was asked, whatever becomes of the next try.
    const size = () => readFileSync(store.pathOf(conversation)).length;
    const before = size();
    await expect(asking({ regenerate: question, stop: AbortSignal.abort() })).rejects.toMatchObject({});
    expect(size()).toBe(before);
  },
  LIMIT_MS,
);

it("has no reason but its window's end for a question that was only written down", async () => {
  const question = await store.appendMessage(conversation, { role: "user", content: "Where?", parent: null });
  expect(await unasked()).toMatchObject({ code: "not-asked", message: expect.stringContaining("window") as string });
  expect((await store.read(conversation)).nodes.get(question)).not.toHaveProperty("failure");
});

it("asks strangers only with consent, given once or for this question", async () => {
  const strangers = {
    prompt: "Where?",
    choice: { kind: "swarm", swarm: { kind: "public" } },
    surroundings: { ...surroundings, env: { ...surroundings.env, TORBIZ_PYTHON: "/nonexistent" } },
  } as const;
  // Its Python isn't there: that is looked at after the consent.
  await expect(asking({ ...strangers, allowStrangers: true })).rejects.toMatchObject({ code: "python-missing" });
  await expect(asking(strangers)).rejects.toMatchObject({ code: "consent-needed" });
  rememberAskSettings(surroundings.paths, { allowedStrangersAt: new Date().toISOString() });
  await expect(asking(strangers)).rejects.toMatchObject({ code: "python-missing" });
});

it("asks at the commit that an invite names, and leaves alone at which one this computer shares", async () => {
  const theirs = "b".repeat(40);
  const hub = await new ScriptedHub().start();
  const env = { ...surroundings.env, TORBIZ_PYTHON: "/nonexistent", HF_ENDPOINT: hub.address };
  const where = { ...surroundings, env };
  try {
    await resolveModel(where, "Owner/Name");
    hub.info = { ...INFO, sha: theirs };
    const peers = [`/ip4/10.0.0.7/tcp/31330/p2p/${"Q".repeat(46)}`];
    const invite = { model: "Owner/Name", revision: theirs, dhtPrefix: "Name-hf", peers, petals: PETALS_VERSION };
    const choice = { kind: "swarm", model: "owner--name", swarm: { kind: "join", peers, invite } } as const;
    const folder = swarmModelFolder(where.paths, await resolveModel(where, "Owner/Name", { commit: theirs }));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "config.json"), "{}");
    // Its model is here, its Python isn't.
    const asked = asking({ prompt: "Where?", choice, surroundings: where, allowStrangers: true });
    await expect(asked).rejects.toMatchObject({ code: "python-missing" });
    expect(await resolveModel(where, "Owner/Name")).toMatchObject({ source: { revision: COMMIT } });
  } finally {
    await hub.stop();
  }
});

it(
  "has a swarm's model brought anew that couldn't be loaded",
  async () => {
    const hub = await new ScriptedHub().start();
    const where = { ...surroundings, env: { ...surroundings.env, HF_ENDPOINT: hub.address } };
    const range = pythonFor("local"); // for packages that the scripted server does without
    const python = await findPython(where, range);
    const environment = await ensureEnvironment({
      ...{ paths: where.paths, kind: "swarm", findPython: () => Promise.resolve(python), locks: [], bytes: 1 },
    });
    await ensureAskServer({ surroundings: where, environment });
    try {
      const config = join(swarmModelFolder(where.paths, await resolveModel(where, "Owner/Name")), "config.json");
      mkdirSync(dirname(config), { recursive: true });
      writeFileSync(config, "{}");
      const choice = { kind: "swarm", model: "owner--name", swarm: { kind: "public" } } as const;
      const asked = (prompt: string) => asking({ prompt, choice, surroundings: where, allowStrangers: true });
      await asked("Where?");
      expect(existsSync(config)).toBe(true);
      await expect(asked("Are you broken?")).rejects.toMatchObject({ code: "model-broken" });
      expect(existsSync(config)).toBe(false);
    } finally {
      await endAskServer(where, "swarm");
      await hub.stop();
    }
  },
  LIMIT_MS,
);

it("writes down no empty question, and none where there is no conversation", async () => {
  await expect(asking({ prompt: " \n" })).rejects.toMatchObject({ code: "prompt-empty" });
  expect(await said()).toEqual([]);
  const nowhere = asking({ prompt: "Where?", conversation: "c-0123456789abcdef" });
  await expect(nowhere).rejects.toMatchObject({ code: "conversation-unknown" });
});
