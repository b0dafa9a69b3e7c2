import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { text as readAll } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import {
  followGeneration,
  generationsAt,
  startGeneration,
  STOP_MS,
  stopGenerationAt,
  type GenerationRequest,
  type Heard,
  type ListenOptions,
} from "../../../src/lib/ask/client";
import { scriptedServer, type ScriptedServer } from "./scripted-server";

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

let server: ScriptedServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

const QUESTION: GenerationRequest = {
  messages: [{ role: "user", content: "a secret question" }],
  target: { kind: "local", modelPath: "/models/starter.gguf", context: null },
  generation: {
    id: "g-1",
    conversation: "c-1",
    file: "/conversations/c-1.jsonl",
    parent: "m-1",
    continues: null,
    engine: { kind: "this", model: "starter", title: "Starter", where: "This Computer" },
  },
  idleMinutes: 15,
  sampling: { maxTokens: 7, temperature: 0 },
};
const START = "POST /v1/chat/completions";
const STOP = "POST /torbiz/generations/g-1/stop";
const after = (seq: number) => `GET /torbiz/generations/g-1/events?after=${seq}`;

/** A server that knows these calls; all others are an error of the client. */
async function serving(calls: Record<string, Handle | Handle[]>): Promise<{ socketPath: string; made: string[] }> {
  const made: string[] = [];
  server = await scriptedServer((request, response) => {
    const call = `${request.method} ${request.url}`;
    made.push(call);
    const known = calls[call];
    const handle = Array.isArray(known) ? known.shift() : known;
    if (handle) handle(request, response);
    else response.writeHead(404).end(JSON.stringify({ error: { code: "generation-unknown", message: "Unknown." } }));
  });
  return { socketPath: server.socketPath, made };
}

function event(value: unknown, id?: number): string {
  const data = typeof value === "string" ? value : JSON.stringify(value);
  return `${id === undefined ? "" : `id: ${id}\n`}data: ${data}\n\n`;
}

function piece(seq: number, content: string): string {
  return event({ object: "chat.completion.chunk", choices: [{ index: 0, delta: { content } }] }, seq);
}

function progress(stage: string, done: number | null = null, total: number | null = null): string {
  return event({ choices: [], torbiz: { progress: { stage, done, total } } });
}

function ending(reason: string, completionTokens: number): string {
  const end = {
    reason,
    seq: completionTokens,
    route: null,
    cachedTokens: 30,
    firstTokenSeconds: 0.2,
    tokensPerSecond: 40,
  };
  const usage = { prompt_tokens: 37, completion_tokens: completionTokens };
  return event({ choices: [], usage, torbiz: { end } }) + event("[DONE]");
}

const WORDS = ["Grüß", " Gott", " 😀", "日本"];
const HEAD = event({ choices: [{ index: 0, delta: { role: "assistant", content: "" } }] });
const PIECES = WORDS.map((word, index) => piece(index + 1, word));
const END = ending("stop", WORDS.length);
const WHOLE = HEAD + PIECES.join("") + END;

function stream(response: ServerResponse): ServerResponse {
  return response.writeHead(200, { "content-type": "text/event-stream" });
}

const send =
  (text: string): Handle =>
  (_request, response) => {
    stream(response).end(text);
  };

const breakOff =
  (text: string): Handle =>
  (_request, response) => {
    stream(response).write(text, () => response.destroy());
  };

async function asking(socketPath: string, options: Partial<ListenOptions> = {}) {
  const deltas: string[] = [];
  const result = await startGeneration(QUESTION, {
    ...options,
    socketPath,
    onDelta: (text) => {
      deltas.push(text);
      options.onDelta?.(text);
    },
  }).catch((error: unknown) => error);
  return { text: deltas.join(""), deltas, result };
}

it("asks in OpenAI's words, and tells where the answer belongs", async () => {
  let asked: unknown;
  const { socketPath } = await serving({
    [START]: (request, response) => {
      void readAll(request).then((body) => {
        asked = JSON.parse(body);
        stream(response).end(WHOLE);
      });
    },
  });
  const { deltas, result } = await asking(socketPath);
  expect(asked).toEqual({
    model: "starter",
    messages: QUESTION.messages,
    torbiz: { engine: QUESTION.target, generation: QUESTION.generation, idleSeconds: 900 },
    max_tokens: 7,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  });
  expect(deltas).toEqual(WORDS);
  expect(result).toMatchObject({
    reason: "stop",
    usage: { promptTokens: 37, completionTokens: 4, cachedTokens: 30 },
    route: null,
    firstTokenSeconds: 0.2,
    tokensPerSecond: 40,
  });
  expect((result as Heard).seenFirstTokenSeconds).toBeGreaterThan(0);
});

it("tells what is done before the first word", async () => {
  const before = progress("waiting") + progress("reading-prompt", 128, 512) + progress("dreaming", 9, 0);
  const { socketPath } = await serving({ [START]: send(before + WHOLE) });
  const heard: unknown[] = [];
  await asking(socketPath, { onProgress: (step) => heard.push(step) });
  expect(heard).toEqual([
    { stage: "waiting", message: "Waiting for the answer before this one", progress: null },
    { stage: "reading-prompt", message: "Reading the question", progress: 0.25 },
    { stage: "dreaming", message: "Getting ready", progress: null },
  ]);
});

it("hears the rest of one that runs", async () => {
  const { socketPath } = await serving({ [after(2)]: send(PIECES.slice(2).join("") + END) });
  const deltas: string[] = [];
  const heard = await followGeneration("g-1", 2, { socketPath, onDelta: (text) => deltas.push(text) });
  expect(deltas).toEqual(WORDS.slice(2));
  expect(heard.reason).toBe("stop");
});

it("gives the route of an answer from a swarm", async () => {
  const route = [
    { peer: "12D3a", blocks: [0, 14] },
    { peer: "12D3b", blocks: [15, 29] },
  ];
  const end = { reason: "length", seq: 1, route, cachedTokens: 0, firstTokenSeconds: 1, tokensPerSecond: 2 };
  const last = event({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 }, torbiz: { end } });
  const { socketPath } = await serving({ [START]: send(PIECES[0] + last + event("[DONE]")) });
  expect((await asking(socketPath)).result).toMatchObject({ reason: "length", route });
});

it.each([
  ["breaks off", breakOff(HEAD + PIECES[0])],
  ["ends early", send(HEAD + PIECES[0])],
  ["ends without its reason", send(HEAD + PIECES[0] + event("[DONE]"))],
  ["leaves out a piece", send(HEAD + PIECES[0] + PIECES[2] + PIECES[3] + END)],
  ["says a piece twice", send(HEAD + PIECES[0] + PIECES[0] + END)],
  ["sends a piece without a number", send(HEAD + PIECES[0] + PIECES[1]?.replace(/^id.*\n/, ""))],
  ["sends nonsense", send(HEAD + PIECES[0] + event("{broken"))],
  ["sends something that is no chunk", send(HEAD + PIECES[0] + event([1, 2]))],
])("goes on from the last good piece when the stream %s", async (_how, first) => {
  const { socketPath, made } = await serving({ [START]: first, [after(1)]: send(PIECES.slice(1).join("") + END) });
  const { deltas, result } = await asking(socketPath);
  expect(result).toMatchObject({ reason: "stop" });
  expect(deltas).toEqual(WORDS);
  expect(made).toEqual([START, after(1)]);
});

it("gives up on a server that sends nothing but nonsense", async () => {
  const { socketPath, made } = await serving({ [START]: send(event("no")), [after(0)]: send(event("no")) });
  expect((await asking(socketPath)).result).toMatchObject({ code: "ask-failed" });
  expect(made).toHaveLength(6);
});

it("doesn't take what never ends for an event", async () => {
  const endless: Handle = (_request, response) => {
    stream(response);
    const more = () => {
      if (!response.destroyed) response.write("data: ".padEnd(200_000, "x"), () => setImmediate(more));
    };
    more();
  };
  const { socketPath } = await serving({ [START]: endless, [after(0)]: send(WHOLE) });
  expect((await asking(socketPath)).text).toBe(WORDS.join(""));
});

it.each([
  ["missing-blocks", 503, "missing-blocks"],
  ["prompt-too-long", 400, "prompt-too-long"],
  ["server-key-wrong", 502, "server-key-wrong"],
  ["never-heard-of", 500, "ask-failed"],
])("knows the server's error %s, before the answer and in it", async (code, status, expected) => {
  const error = { error: { message: "Nobody serves blocks 3-5 of 30.", type: "server_error", code } };
  const { socketPath, made } = await serving({
    [START]: [
      (_request, response) => void response.writeHead(status).end(JSON.stringify(error)),
      send(PIECES[0] + event(error)),
    ],
  });
  const known = { code: expected, message: "Nobody serves blocks 3-5 of 30." };
  expect((await asking(socketPath)).result).toMatchObject(known);
  const second = await asking(socketPath);
  expect(second.result).toMatchObject(known);
  expect(second.deltas).toEqual(WORDS.slice(0, 1));
  expect(made).toEqual([START, START]);
});

it("says so when the server answers with something else", async () => {
  const { socketPath } = await serving({ [START]: (_request, response) => void response.writeHead(502).end("<html>") });
  const { result } = await asking(socketPath);
  expect(result).toMatchObject({ code: "ask-failed", message: expect.stringMatching("502") });
});

it.each([
  ["died", async () => server?.close()],
  ["is another one that knows nothing of it", () => Promise.resolve()],
])("keeps the part when the server %s in the middle", async (_what, end) => {
  const { socketPath } = await serving({
    [START]: (_request, response) => {
      stream(response).write(PIECES[0], () => void end().then(() => response.destroy()));
    },
  });
  const { text, result } = await asking(socketPath);
  expect(result).toMatchObject({ code: "answer-cut" });
  expect(text).toBe(WORDS[0]);
});

it("tells that the server left before it took the question, so that it can be asked again", async () => {
  const { socketPath } = await serving({ [START]: (_request, response) => void response.destroy() });
  expect((await asking(socketPath)).result).toMatchObject({ code: "ask-server-failed" });
  await server?.close();
  expect((await asking(socketPath)).result).toMatchObject({ code: "ask-server-failed" });
});

it.each([0, 1])("gives up on a server that falls silent after %i pieces", async (pieces) => {
  const { socketPath } = await serving({
    [START]: (_request, response) => {
      if (pieces > 0) stream(response).write(PIECES[0]);
    },
  });
  const { text, result } = await asking(socketPath, { stallMs: 200 });
  expect(result).toMatchObject({ code: "ask-timeout", message: "Nothing came for 0.2 seconds." });
  expect(text).toBe(WORDS.slice(0, pieces).join(""));
});

it("waits longer for a server that loads a model, in which nothing else can run", async () => {
  const { socketPath } = await serving({
    [START]: (_request, response) => {
      stream(response).write(progress("loading-model"));
      setTimeout(() => response.end(WHOLE), 2_500);
    },
  });
  expect((await asking(socketPath, { stallMs: 1_000 })).text).toBe(WORDS.join(""));
});

it("doesn't take a question that waits in line for a silent server, but waits for a beginning only so long", async () => {
  const waiting =
    (ends: boolean): Handle =>
    (_request, response) => {
      stream(response);
      const timer = setInterval(() => response.write(": waiting\n\n"), 50);
      response.once("close", () => clearInterval(timer));
      if (ends) setTimeout(() => response.end(WHOLE), 2_000);
    };
  const { socketPath } = await serving({ [START]: [waiting(true), waiting(false)] });
  const limits = { stallMs: 1_500, beginMs: 4_000 };
  expect((await asking(socketPath, limits)).text).toBe(WORDS.join(""));
  expect((await asking(socketPath, limits)).result).toMatchObject({
    code: "ask-timeout",
    message: "Nothing came for 4 seconds.",
  });
});

it("has no limit for a whole answer that goes on", async () => {
  const { socketPath } = await serving({
    [START]: (_request, response) => {
      stream(response).write(PIECES[0]);
      setTimeout(() => response.end(PIECES.slice(1).join("") + END), 2_000);
    },
  });
  expect((await asking(socketPath, { beginMs: 1_500 })).result).toMatchObject({ reason: "stop" });
});

it("is whole with 20,000 tokens", async () => {
  const tokens = Array.from({ length: 20_000 }, (_, index) => `${index} `);
  const answer = tokens.map((token, index) => piece(index + 1, token)).join("");
  const { socketPath } = await serving({ [START]: send(answer + ending("stop", tokens.length)) });
  const { deltas, result } = await asking(socketPath);
  expect(deltas).toEqual(tokens);
  expect(result).toMatchObject({ usage: { completionTokens: 20_000 } });
});

describe("stop", () => {
  it("ends the generation, and gives the part", async () => {
    const stop = new AbortController();
    let answering: ServerResponse | undefined;
    const { socketPath, made } = await serving({
      [START]: (_request, response) => {
        answering = stream(response);
        response.write(PIECES[0]);
      },
      [STOP]: (_request, response) => {
        answering?.end(ending("stopped", 1));
        response.end(JSON.stringify({ status: "stopped" }));
      },
    });
    const { text, result } = await asking(socketPath, { stop: stop.signal, onDelta: () => stop.abort() });
    expect(result).toMatchObject({ reason: "stopped" });
    expect(text).toBe(WORDS[0]);
    expect(made).toEqual([START, STOP]);
  });

  it("doesn't get lost when the server hasn't read the question yet", async () => {
    const stop = new AbortController();
    let stops = 0;
    let tellStopped: () => void;
    const stopped = new Promise<void>((resolve) => (tellStopped = resolve));
    const { socketPath } = await serving({
      [START]: (_request, response) => {
        stop.abort();
        void stopped.then(() => stream(response).end(ending("stopped", 0)));
      },
      [STOP]: (_request, response) => {
        stops += 1;
        response.writeHead(stops < 3 ? 404 : 200).end("{}");
        if (stops === 3) tellStopped();
      },
    });
    expect((await asking(socketPath, { stop: stop.signal })).result).toMatchObject({ reason: "stopped" });
  });

  it("waits for as long as a slow computer may need for one step, and tells nothing else meanwhile", async () => {
    const stop = new AbortController();
    let answering: ServerResponse | undefined;
    const { socketPath } = await serving({
      [START]: (_request, response) => {
        answering = stream(response);
        response.write(PIECES[0]);
      },
      [STOP]: (_request, response) => {
        answering?.write(progress("recovering"));
        void sleep(16_000).then(() => {
          answering?.end(PIECES[1] + ending("stopped", 2));
          response.end(JSON.stringify({ status: "stopped" }));
        });
      },
    });
    const stages: string[] = [];
    const { text, result } = await asking(socketPath, {
      stop: stop.signal,
      onDelta: () => stop.abort(),
      onProgress: ({ stage }) => stages.push(stage),
    });
    expect(result).toMatchObject({ reason: "stopped" });
    expect(text).toBe(WORDS.slice(0, 2).join(""));
    expect(stages).toEqual(["stopping"]);
  });

  it("is waited for until the server itself has given up", () => {
    const jobs = readFileSync("python/torbiz/ask_jobs.py", "utf8");
    const seconds = ["LOCAL_CANCEL_SECONDS", "CANCEL_SECONDS", "DISCARD_SECONDS"].map((name) =>
      Number(new RegExp(`^${name} = ([\\d.]+)$`, "m").exec(jobs)?.[1]),
    );
    const [local = NaN, other = NaN, discard = NaN] = seconds;
    expect(STOP_MS / 1000).toBeGreaterThan(Math.max(local, other) + discard);
  });

  it("before the question goes out asks nothing", async () => {
    const { socketPath, made } = await serving({ [START]: send(WHOLE) });
    expect((await asking(socketPath, { stop: AbortSignal.abort() })).result).toMatchObject({ code: "interrupted" });
    expect(made).toEqual([]);
  });
});

describe("leave", () => {
  it("closes the connection and asks for no stop", async () => {
    const leave = new AbortController();
    let closed: Promise<unknown> | undefined;
    const { socketPath, made } = await serving({
      [START]: (request, response) => {
        closed = once(request.socket, "close");
        stream(response).write(PIECES[0]);
      },
    });
    const { result } = await asking(socketPath, { leave: leave.signal, onDelta: () => leave.abort() });
    expect(result).toMatchObject({ code: "interrupted" });
    await closed;
    expect(made).toEqual([START]);
  });

  it.each(["before it was sent", "before it was taken"])("lets the question go out all the same: %s", async (when) => {
    const leave = new AbortController();
    if (when === "before it was sent") leave.abort();
    let taken: (body: unknown) => void;
    const body = new Promise((resolve) => (taken = resolve));
    const { socketPath } = await serving({
      [START]: (request, response) => {
        leave.abort();
        void readAll(request).then((text) => {
          stream(response).write(PIECES[0]);
          void once(request.socket, "close").then(() => taken(JSON.parse(text)));
        });
      },
    });
    const { text, result } = await asking(socketPath, { leave: leave.signal });
    expect(result).toMatchObject({ code: "interrupted" });
    expect(await body).toMatchObject({ messages: QUESTION.messages });
    expect(text).toBe("");
  });
});

it("tells what a server runs, and that it runs nothing where it is gone or talks nonsense", async () => {
  const running = { id: "g-1", conversation: "c-1", model: "starter", startedAt: "2026-01-02T03:04:05Z" };
  const list =
    (body: unknown): Handle =>
    (_request, response) =>
      void response.end(JSON.stringify(body));
  const { socketPath } = await serving({
    "GET /torbiz/generations": [list({ generations: [{ ...running, seq: 3 }, { id: 1 }] }), list([])],
  });
  expect(await generationsAt(socketPath)).toEqual([running]);
  expect(await generationsAt(socketPath)).toEqual([]);
  await server?.close();
  expect(await generationsAt(socketPath)).toEqual([]);
  expect(await stopGenerationAt(socketPath, "g-1")).toBe(false);
});

it("never repeats the question in an error", async () => {
  const { socketPath } = await serving({ [START]: (_request, response) => void response.destroy() });
  const { result } = await asking(socketPath);
  expect(JSON.stringify(result) + String(result)).not.toMatch("secret");
});
