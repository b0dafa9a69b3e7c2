import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { text as readAll } from "node:stream/consumers";
import { streamChat, type ChatOptions } from "../../../src/lib/ask/old-client";
import { scriptedServer, type ScriptedServer } from "./scripted-server";

let server: ScriptedServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function serving(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<ChatOptions> {
  server = await scriptedServer(handle);
  return {
    socketPath: server.socketPath,
    model: "starter",
    messages: [{ role: "user", content: "a secret question" }],
    torbiz: { modelPath: "/models/starter", dhtPrefix: "starter-hf", initialPeers: ["/ip4/127.0.0.1/tcp/1/p2p/Qm"] },
    temperature: 0,
  };
}

function event(value: unknown): string {
  return `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
}

function piece(content: string, reason: string | null = null): string {
  return event({ object: "chat.completion.chunk", choices: [{ index: 0, delta: { content }, finish_reason: reason }] });
}

const USAGE = event({ choices: [], usage: { prompt_tokens: 37, completion_tokens: 4, total_tokens: 41 } });
const WORDS = ["Grüß", " Gott", " 😀", "日本"];
const WHOLE = [piece(""), ...WORDS.map((word) => piece(word)), piece("", "stop"), USAGE, event("[DONE]")].join("");

function stream(response: ServerResponse): ServerResponse {
  return response.writeHead(200, { "content-type": "text/event-stream" });
}

async function sendIn(response: ServerResponse, sizes: () => number): Promise<void> {
  const bytes = Buffer.from(WHOLE);
  stream(response);
  for (let at = 0; at < bytes.length;) {
    const size = sizes();
    response.write(bytes.subarray(at, at + size));
    at += size;
    await new Promise((resolve) => setImmediate(resolve));
  }
  response.end();
}

it.each([1, 2, 3, 7, 64, 100_000])("puts the answer together from chunks of %i bytes", async (size) => {
  const options = await serving((_request, response) => void sendIn(response, () => size));
  const deltas: string[] = [];
  const answer = await streamChat({ ...options, onDelta: (text) => deltas.push(text) });
  expect(deltas).toEqual(WORDS);
  expect(answer).toMatchObject({
    text: WORDS.join(""),
    finishReason: "stop",
    usage: { promptTokens: 37, completionTokens: 4 },
  });
  expect(answer.firstTokenSeconds).toBeGreaterThan(0);
});

it("asks in OpenAI's words", async () => {
  let asked: unknown;
  const options = await serving((request, response) => {
    void readAll(request).then((body) => {
      asked = { method: request.method, url: request.url, body: JSON.parse(body) as unknown };
      stream(response).end(WHOLE);
    });
  });
  await streamChat(options);
  expect(asked).toEqual({
    method: "POST",
    url: "/v1/chat/completions",
    body: {
      model: "starter",
      messages: [{ role: "user", content: "a secret question" }],
      torbiz: options.torbiz,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    },
  });
});

it.each([
  ["missing-blocks", 503, "missing-blocks"],
  ["swarm-unreachable", 503, "swarm-unreachable"],
  ["prompt-too-long", 400, "prompt-too-long"],
  ["never-heard-of", 500, "ask-failed"],
])("knows the server's error %s", async (code, status, expected) => {
  const body = { error: { message: "Nobody serves blocks 3-5 of 30.", type: "server_error", code } };
  const options = await serving((_request, response) => response.writeHead(status).end(JSON.stringify(body)));
  await expect(streamChat(options)).rejects.toMatchObject({
    code: expected,
    message: "Nobody serves blocks 3-5 of 30.",
  });
});

it("says so when the server answers with something else", async () => {
  const options = await serving((_request, response) => response.writeHead(502).end("<html>"));
  await expect(streamChat(options)).rejects.toMatchObject({
    code: "ask-failed",
    message: expect.stringMatching("502"),
  });
});

it("hears an error in the middle of an answer, after what was said before it", async () => {
  const failure = event({
    error: { message: "The peers stopped answering.", type: "server_error", code: "ask-failed" },
  });
  const options = await serving((_request, response) => stream(response).end(piece("Half") + failure));
  const deltas: string[] = [];
  await expect(streamChat({ ...options, onDelta: (text) => deltas.push(text) })).rejects.toMatchObject({
    code: "ask-failed",
    message: "The peers stopped answering.",
  });
  expect(deltas).toEqual(["Half"]);
});

it.each([
  ["ends early", (response: ServerResponse) => stream(response).end(piece("Half"))],
  [
    "leaves out the reason",
    (response: ServerResponse) => stream(response).end(piece("Half") + USAGE + event("[DONE]")),
  ],
  ["sends nonsense", (response: ServerResponse) => stream(response).end(piece("Half") + event("{broken"))],
])("is told that the answer broke off when the server %s", async (_name, handle) => {
  const options = await serving((_request, response) => void handle(response));
  await expect(streamChat(options)).rejects.toMatchObject({ code: "ask-failed" });
});

it("is told that the connection broke", async () => {
  const options = await serving((_request, response) => {
    stream(response).write(piece("Half"));
    setTimeout(() => response.destroy(), 50);
  });
  await expect(streamChat(options)).rejects.toMatchObject({ code: "ask-failed", details: { characters: 4 } });
});

it.each([0, 1])("gives up on a server that falls silent after %i pieces", async (pieces) => {
  const options = await serving((_request, response) => {
    if (pieces > 0) stream(response).write(piece("Half"));
  });
  await expect(streamChat({ ...options, stallMs: 200 })).rejects.toMatchObject({
    code: "ask-timeout",
    details: { characters: pieces * 4 },
  });
});

it("doesn't mind a slow server that goes on", async () => {
  const options = await serving((_request, response) => {
    stream(response);
    const parts = WHOLE.split(/(?<=\n\n)/);
    const timer = setInterval(() => {
      const part = parts.shift();
      if (part) response.write(part);
      else {
        clearInterval(timer);
        response.end();
      }
    }, 150);
  });
  expect((await streamChat({ ...options, stallMs: 1_000 })).text).toBe(WORDS.join(""));
});

it("doesn't take a question that waits in line for a silent server, but waits for a beginning only so long", async () => {
  const options = await serving((_request, response) => {
    stream(response);
    const timer = setInterval(() => response.write(": waiting\n\n"), 50);
    response.once("close", () => clearInterval(timer));
    if (waits) return;
    setTimeout(() => response.end(WHOLE), 1_500);
  });
  let waits = false;
  const limits = { stallMs: 500, beginMs: 2_500 };
  expect((await streamChat({ ...options, ...limits })).text).toBe(WORDS.join(""));
  waits = true;
  await expect(streamChat({ ...options, ...limits })).rejects.toMatchObject({
    code: "ask-timeout",
    message: "Nothing came for 2.5 seconds.",
  });
});

it("has no limit for a whole answer that goes on", async () => {
  const options = await serving((_request, response) => {
    stream(response).write(piece("Half"));
    setTimeout(() => response.end(WHOLE), 600);
  });
  await expect(streamChat({ ...options, beginMs: 300 })).resolves.toMatchObject({ finishReason: "stop" });
});

it.each([
  ["at once", ""],
  ["while the question waits", ": waiting\n\n"],
])("tells that the server left before it answered: %s", async (_moment, sent) => {
  const options = await serving((_request, response) => {
    if (sent) stream(response).write(sent);
    setTimeout(() => response.destroy(), 50);
  });
  await expect(streamChat(options)).rejects.toMatchObject({ code: "ask-server-failed" });
});

it("says that nobody is there", async () => {
  const options = await serving(() => undefined);
  await server?.close();
  await expect(streamChat(options)).rejects.toMatchObject({ code: "ask-server-failed" });
});

it.each(["before the answer", "in the middle"])("closes the connection when it is stopped %s", async (moment) => {
  let closed: Promise<unknown> | undefined;
  const abort = new AbortController();
  const options = await serving((request, response) => {
    closed = once(request.socket, "close");
    if (moment === "in the middle") stream(response).write(piece("Half"));
    else setTimeout(() => abort.abort(), 50);
  });
  await expect(streamChat({ ...options, signal: abort.signal, onDelta: () => abort.abort() })).rejects.toMatchObject({
    code: "interrupted",
  });
  await closed;
});

it("doesn't ask at all when it is stopped already", async () => {
  const options = await serving(() => undefined);
  await expect(streamChat({ ...options, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "interrupted" });
});

it("never repeats the question in an error", async () => {
  const options = await serving((_request, response) => response.destroy());
  const failure = await streamChat(options).catch((error: Error) => error);
  expect(JSON.stringify(failure) + String(failure)).not.toMatch("secret");
});
