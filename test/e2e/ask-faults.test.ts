import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { readdir } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ask, attach, runningGenerations, stopGeneration, type AskOptions } from "../../src/lib/ask/ask";
import { ConversationStore } from "../../src/lib/ask/conversations/store";
import { callServer } from "../../src/lib/ask/server-call";
import { openSurroundings, type Surroundings } from "../../src/lib/context";
import { TorbizError, type ErrorCode } from "../../src/lib/errors";
import { lend, sharedStarter, type Shared } from "../unit/ask/local-environment";
import { ROOT, start } from "./torbiz";

/**
 * What goes wrong when people ask: with the real ask server, llama.cpp and the starter model. Each time one sentence says
 * what happened, what came is in the conversation, Continue goes on from there, and the next question is answered without
 * anybody clearing up.
 */

const MODEL = "smollm2-135m-instruct";
/** The starter tells it for as long as it may. */
const STORY = "Write a very long story about the sea.";
const GREEDY = { temperature: 0 };
/** Within these a frozen server must have been noticed. */
const FROZEN_MS = 90_000;

let root: string;
/** Where environment and model lie, for all homes. */
let made: Shared;
const homes: Home[] = [];
let home: Home;
/** Takes a minute, in which the others run. */
let frozen: ReturnType<typeof freeze>;

beforeAll(async () => {
  made = await sharedStarter();
  root = mkdtempSync(join(tmpdir(), "ask "));
  home = new Home(join(root, "home"));
  frozen = freeze();
  frozen.catch(() => undefined);
  await home.answers();
});

afterAll(() => {
  for (const each of homes) each.end();
  rmSync(root, { recursive: true, force: true });
});

/** A home folder with a conversation in it, and what is asked there. */
class Home {
  readonly surroundings: Surroundings;
  readonly store: ConversationStore;

  constructor(
    readonly folder: string,
    { withEnvironment = true } = {},
  ) {
    this.surroundings = openSurroundings({ runtimeFiles: ROOT, env: { ...process.env, TORBIZ_HOME: folder } });
    const { paths } = this.surroundings;
    lend(withEnvironment ? made : { starter: made.starter }, paths);
    this.store = new ConversationStore(paths.conversations);
    homes.push(this);
  }

  get socket(): string {
    return join(this.surroundings.paths.run, "ask-local.sock");
  }

  /** Of the ask server. */
  get pid(): number {
    return Number(readFileSync(join(this.surroundings.paths.run, "ask-local.lock"), "utf8"));
  }

  /** How many servers ever began here. */
  get starts(): number {
    const log = readFileSync(join(this.surroundings.paths.logs, "ask-local.log"), "utf8");
    expect(log).not.toContain("Traceback");
    return log.split("Starting: ").length - 1;
  }

  ask(conversation: string, more: Partial<AskOptions>): ReturnType<typeof ask> {
    const { surroundings } = this;
    return ask({ surroundings, conversation, choice: { kind: "this", model: MODEL }, sampling: GREEDY, ...more });
  }

  /** A few tokens of an answer, whatever happened before. */
  async answers(): Promise<void> {
    const { text } = await this.ask(await this.store.create(), { prompt: "Say yes.", sampling: { maxTokens: 3 } });
    expect(text).not.toBe("");
  }

  /** The last answer of a conversation, as its file has it. */
  async last(conversation: string) {
    const node = (await this.store.read(conversation)).branch().at(-1);
    if (node?.kind !== "answer") throw new Error(`There is no answer: ${JSON.stringify(node)}`);
    return node;
  }

  /** Whether the part is there and is gone on from. */
  async continues(conversation: string, part: string): Promise<void> {
    const { id } = await this.last(conversation);
    let more = "";
    const { text } = await this.ask(conversation, {
      continues: id,
      sampling: { ...GREEDY, maxTokens: 4 },
      onDelta: (piece) => (more += piece),
    });
    expect(more).not.toBe("");
    expect(text).toBe(part + more);
    expect((await this.last(conversation)).text).toBe(text);
  }

  /** All processes that know of this folder. */
  processes(): string[] {
    const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,stat=,args="], { encoding: "utf8" });
    return stdout.split("\n").filter((line) => line.includes(`${this.folder}/`) && !/^\s*\d+\s+Z/.test(line));
  }

  end(): void {
    if (existsSync(this.socket)) process.kill(this.pid, "SIGKILL");
  }
}

/** Resolves with the failure: one sentence for people. */
async function failure(work: Promise<unknown>, code: ErrorCode): Promise<TorbizError> {
  const error = await work.then(
    (value) => new Error(`It didn't fail: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof TorbizError)) throw error;
  expect(error).toMatchObject({ code });
  expectPlain(error.message);
  return error;
}

function expectPlain(message: string): void {
  expect(message).toMatch(/^[A-Z][^\n]*\.$/);
  expect(message).not.toMatch(/Traceback|Errno|\bE[A-Z]{4,}\b|Error:|undefined|\[object/);
}

/** An answer that runs, of which so many characters have come. */
async function begun(where: Home, conversation: string, more: Partial<AskOptions> = {}, characters = 40) {
  const heard = { text: "" };
  return new Promise<{ heard: typeof heard; work: ReturnType<typeof ask> }>((resolve, reject) => {
    const work: ReturnType<typeof ask> = where.ask(conversation, {
      prompt: STORY,
      ...more,
      onDelta: (piece) => {
        heard.text += piece;
        if (heard.text.length >= characters) resolve({ heard, work });
      },
    });
    work.catch(reject);
  });
}

/** `torbiz ask` with the starter in a home. */
const command = (where: Home, ...args: string[]) => {
  const flags = ["--engine", "this", "--model", MODEL, "--temperature", "0"];
  return start(["ask", ...args, ...flags], { env: { TORBIZ_HOME: where.folder } });
};

it("tells of a server that is killed in the middle, and goes on with a new one behind the old one's socket", async () => {
  const asking = command(home, STORY);
  await asking.waitFor(({ event }) => event === "delta");
  const killed = home.pid;
  process.kill(killed, "SIGKILL");
  const { code, last, events, stderr } = await asking.ended;
  expect(code).toBe(1);
  expect(last).toMatchObject({ event: "error", code: "answer-cut" });
  expectPlain(String(last.message));
  expect(stderr).toBe("");
  expect(existsSync(home.socket)).toBe(true);

  const [{ id = "" } = {}] = await home.store.list();
  const cut = await home.last(id);
  expect(cut.ended).toMatchObject({ reason: "failed", error: { code: "answer-cut" } });
  const heard = events.flatMap(({ event, text }) => (event === "delta" ? [text] : [])).join("");
  expect(heard).not.toBe("");
  expect(cut.text.startsWith(heard)).toBe(true);
  await home.continues(id, cut.text);
  expect(home.pid).not.toBe(killed);
  expect(home.processes()).toHaveLength(1);
});

it("stops at Ctrl-C, keeps the part, and has the server free for the next question", async () => {
  await home.answers();
  const { pid } = home;
  const asking = command(home, STORY);
  await asking.waitFor(({ event }) => event === "delta");
  asking.child.kill("SIGINT");
  const { code, last, events, stderr } = await asking.ended;
  const health = await callServer(home.socket, "GET", "/health", 5_000);
  expect(health).toMatchObject({ status: 200, body: { busy: false, pid } });
  expect(stderr).toBe("");
  expect(code).toBe(130);
  const heard = events.flatMap(({ event, text }) => (event === "delta" ? [text] : [])).join("");
  expect(heard).not.toBe("");
  expect(last).toMatchObject({ event: "result", answer: heard, finishReason: "stopped" });

  const [{ id = "" } = {}] = await home.store.list();
  const { text, ended } = await home.last(id);
  expect([text, ended?.reason]).toEqual([heard, "stopped"]);
  await home.continues(id, heard);
  await home.answers();
  expect(home.pid).toBe(pid);
  expect(home.processes()).toHaveLength(1);
});

it("starts one server for all who come at once, where a killed one left its socket", async () => {
  const before = home.starts;
  process.kill(home.pid, "SIGKILL");
  expect(existsSync(home.socket)).toBe(true);
  const asked = [command(home, "Say yes.", "--max-tokens", "3"), command(home, "Say no.", "--max-tokens", "3")];
  await Promise.all([home.answers(), home.answers()]);
  for (const { ended } of asked) expect((await ended).last).toMatchObject({ event: "result", ok: true });
  expect(home.starts).toBe(before + 1);
  expect(home.processes()).toHaveLength(1);
});

it("gets the whole answer over a connection that is cut and garbled, and loses some", async () => {
  const between = await Between.enter(home, ["garbled", "cut", "lost", "cut"]);
  try {
    const conversation = await home.store.create();
    let heard = "";
    const answer = await home.ask(conversation, {
      prompt: STORY,
      sampling: { ...GREEDY, maxTokens: 200 },
      onDelta: (piece) => (heard += piece),
    });
    expect(between.harms).toEqual([]);
    expect(answer).toMatchObject({ reason: "length", usage: { completionTokens: 200 } });
    expect(heard).toBe(answer.text);
    expect((await home.last(conversation)).text).toBe(heard);
  } finally {
    await between.leave();
  }
  await home.answers();
});

it("leaves nothing of 1,000 readers that leave, twenty at a time, and the answer whole", async () => {
  const conversation = await home.store.create();
  const { heard, work } = await begun(home, conversation);
  const { id: generation } = await home.last(conversation);
  const before = await descriptors(home.pid);
  const watch = async (number: number) => {
    const leave = new AbortController();
    const pieces: string[] = [];
    const watching = attach({
      ...{ surroundings: home.surroundings, conversation, generation, leave: leave.signal },
      onDelta: (text) => {
        pieces.push(text);
        if (pieces.length > number % 3) leave.abort();
      },
    });
    // Some close before anything has come.
    if (number % 4 === 0) setTimeout(() => leave.abort(), number % 16);
    await expect(watching).rejects.toMatchObject({ code: "interrupted" });
    return pieces.join("");
  };
  for (let closed = 0; closed < 1000; closed += 20) {
    const parts = await Promise.all(Array.from({ length: 20 }, (_value, index) => watch(closed + index)));
    const whole = (await home.last(conversation)).text;
    for (const part of parts) expect(whole.startsWith(part)).toBe(true);
  }
  expect(await runningGenerations(home.surroundings)).toMatchObject([{ id: generation }]);
  expect(await stopGeneration(home.surroundings, generation)).toBe(true);
  expect(await work).toMatchObject({ reason: "stopped", text: heard.text });
  const { text, ended } = await home.last(conversation);
  expect([text, ended?.reason]).toEqual([heard.text, "stopped"]);
  // A socket is let go of when its server has seen that nobody is there.
  for (let tries = 0; tries < 300 && (await descriptors(home.pid)) > before; tries += 1) await sleep(100);
  expect(await descriptors(home.pid)).toBeLessThanOrEqual(before);
  expect(home.processes()).toHaveLength(1);
  await home.continues(conversation, text);
});

it("refuses a question that the model can't hold, whole, and takes a shorter one in its place", async () => {
  const conversation = await home.store.create();
  const long = "word ".repeat(20_000);
  const { message } = await failure(home.ask(conversation, { prompt: long }), "prompt-too-long");
  expect(message).toMatch(/\b200\d\d tokens\b.*\b8192\b/);
  const [question] = (await home.store.read(conversation)).branch();
  expect(question).toMatchObject({ kind: "message", content: long });
  const shorter = await home.ask(conversation, { prompt: "Say yes.", edits: question?.id });
  expect(shorter.text).not.toBe("");
});

it("refuses a question without words, and begins no conversation for it", async () => {
  const before = readdirSync(home.surroundings.paths.conversations);
  const { code, last } = await command(home, " \n ").ended;
  expect([code, last.code]).toEqual([2, "prompt-empty"]);
  expectPlain(String(last.message));
  expect(readdirSync(home.surroundings.paths.conversations)).toEqual(before);
});

it("says that a model is cut short, and answers when it is whole", async () => {
  const model = join(root, "mine.gguf");
  const whole = join(made.starter, "gguf", readdirSync(join(made.starter, "gguf"))[0] ?? "");
  copyFileSync(whole, model);
  truncateSync(model, 150_000_000);
  const choice = { kind: "this", model } as const;
  const conversation = await home.store.create();
  const { message } = await failure(home.ask(conversation, { prompt: "Say yes.", choice }), "model-broken");
  expect(message).toContain("mine.gguf");
  copyFileSync(whole, model);
  const failed = (await home.last(conversation)).id;
  const { text } = await home.ask(conversation, { regenerate: failed, choice, sampling: { maxTokens: 3 } });
  expect(text).not.toBe("");
  rmSync(model);
});

it.each([
  ["no Python", () => join(root, "no-python"), /no-python/],
  ["a Python that is too old", () => oldPython(), /3\.9\.18/],
])("says that there is %s, and keeps the question", async (_what, python, named) => {
  const conversation = await home.store.create();
  const surroundings = { ...home.surroundings, env: { ...home.surroundings.env, TORBIZ_PYTHON: python() } };
  const { message } = await failure(home.ask(conversation, { prompt: "Say yes.", surroundings }), "python-missing");
  expect(message).toMatch(named);
  const question = (await home.store.read(conversation)).branch()[0]?.id;
  expect(question).toBeDefined();
  const { text } = await home.ask(conversation, { regenerate: question, sampling: { maxTokens: 3 } });
  expect(text).not.toBe("");
});

/** Says of itself what a real one would. */
function oldPython(): string {
  const path = join(root, "old-python");
  const answer = JSON.stringify({ path, version: "3.9.18", canMakeVenv: true });
  writeFileSync(path, `#!/bin/sh\necho '${answer}'\n`, { mode: 0o755 });
  return path;
}

it("makes its environment anew when it was killed half-way, and answers what was asked then", async () => {
  const fresh = new Home(join(root, "fresh"), { withEnvironment: false });
  const asking = command(fresh, "Say yes.");
  await asking.waitFor(({ event, progress }) => event === "stage" && typeof progress === "number" && progress > 0.2);
  asking.child.kill("SIGKILL");
  await asking.ended;
  const { events, last } = await command(fresh, "--continue", "--max-tokens", "3").ended;
  expect(events[0]).toMatchObject({ stage: "preparing-python" });
  expect(last).toMatchObject({ event: "result", ok: true });
  expect((await fresh.store.list())[0]).toMatchObject({ title: "Say yes.", turns: 1 });
  expect(fresh.processes()).toHaveLength(1);
});

// Only there can a disk be made for a test.
if (process.platform === "linux" && process.getuid?.() === 0) {
  it("keeps what came until the disk was full, and goes on when there is room", async () => {
    const disk = join(root, "disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", disk]);
    const small = new Home(join(disk, "home"));
    try {
      await small.answers();
      const conversation = await small.store.create();
      const { pid } = small;
      fill(disk, 8192);
      const { heard, work } = await begun(small, conversation);
      await failure(work, "disk-full");
      expect(await small.last(conversation)).toMatchObject({ text: heard.text });
      // Without any room nothing is asked that couldn't be kept, by a server that runs or by a new one.
      fill(disk, 0);
      await failure(small.ask(conversation, { prompt: "Say yes." }), "disk-full");
      expect(small.pid).toBe(pid);
      small.end();
      const { id } = await small.last(conversation);
      await failure(small.ask(conversation, { regenerate: id }), "disk-full");
      small.end();
      for (const file of readdirSync(small.surroundings.paths.run)) rmSync(join(small.surroundings.paths.run, file));
      fill(disk, 0);
      await failure(small.ask(conversation, { regenerate: id }), "disk-full");
      rmSync(join(disk, "filler"));
      await small.continues(conversation, heard.text);
      await small.answers();
      expect(small.processes()).toHaveLength(1);
    } finally {
      small.end();
      execFileSync("umount", ["--lazy", disk]);
    }
  });
}

/** Leaves so many bytes of a disk. */
function fill(disk: string, left: number): void {
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(join(disk, "filler"), Buffer.alloc(bavail * bsize - left), { flag: "a" });
}

it("tells of a frozen server in time, keeps the part, and puts another in its place", async () => {
  const { where, conversation, seconds, part } = await frozen;
  expect(seconds * 1000).toBeLessThan(FROZEN_MS);
  const { pid } = where;
  await where.continues(conversation, part);
  expect(where.pid).not.toBe(pid);
  await where.answers();
  expect(where.processes()).toHaveLength(1);
});

/** Has a server frozen in the middle of an answer, and waits until its client gives up: as long as people would. */
async function freeze() {
  const where = new Home(join(root, "frozen"));
  const conversation = await where.store.create();
  const { heard, work } = await begun(where, conversation);
  process.kill(where.pid, "SIGSTOP");
  const since = Date.now();
  await failure(work, "ask-timeout");
  return { where, conversation, part: heard.text, seconds: (Date.now() - since) / 1000 };
}

type Harm = "cut" | "garbled" | "lost";

/** Stands between clients and the server, and does harm to one answer after another. */
class Between {
  private readonly listener: Server;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly path: string,
    readonly harms: Harm[],
  ) {
    this.listener = createServer((client) => this.connect(client));
  }

  static async enter(where: Home, harms: Harm[]): Promise<Between> {
    const between = new Between(where.socket, harms);
    renameSync(where.socket, between.behind);
    await new Promise<void>((resolve) => between.listener.listen(where.socket, resolve));
    return between;
  }

  async leave(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.listener.close(resolve));
    renameSync(this.behind, this.path);
  }

  private get behind(): string {
    return `${this.path}.behind`;
  }

  private connect(client: Socket): void {
    const server = connect(this.behind);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(one);
      one.on("error", () => undefined);
      one.on("close", () => other.destroy());
    }
    client.pipe(server);
    let pieces = 0;
    server.on("data", (data) => {
      // Only answers have events.
      pieces += data.includes("data: ") ? 1 : 0;
      const harm = pieces < 6 ? undefined : this.harms.shift();
      if (harm === "cut") client.end(data.subarray(0, data.length >> 1));
      else if (harm === "garbled") client.write(Buffer.from(data).fill("\0{garbage", data.length >> 1));
      else if (harm === undefined) client.write(data);
      if (harm) pieces = 0;
    });
  }
}

/** How many a process has open. A Mac doesn't tell. */
async function descriptors(pid: number): Promise<number> {
  return process.platform === "linux" ? (await readdir(`/proc/${pid}/fd`)).length : 0;
}
