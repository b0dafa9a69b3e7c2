import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { foundServers, keyFor, modelsAt, parseBaseUrl, type ServerPlace } from "../../../src/lib/ask/found-servers";

const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serving(title: string, handle: (response: ServerResponse, key?: string) => void): Promise<ServerPlace> {
  const server = createServer((request, response) => {
    if (request.url === "/v1/models") handle(response, request.headers.authorization);
    else response.writeHead(404).end();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { title, baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` };
}

const list =
  (...ids: string[]) =>
  (response: ServerResponse) =>
    void response.end(JSON.stringify({ object: "list", data: ids.map((id) => ({ id, object: "model" })) }));

function endless(response: ServerResponse): void {
  if (!response.destroyed) response.write(" ".repeat(100_000), () => setImmediate(endless, response));
}

it("finds the servers that have a model to ask, and takes nothing else for one", async () => {
  const places = await Promise.all([
    serving("Silent", () => undefined),
    serving("Two", list("text-embedding-nomic", "qwen3:4b", "gemma3")),
    serving("Web page", (response) => void response.end("<html>")),
    serving("Other JSON", (response) => void response.end(JSON.stringify({ data: [{ id: "x" }] }))),
    serving("Array", (response) => void response.end("[]")),
    serving("Array of models", (response) => void response.end(JSON.stringify([{ id: "x" }]))),
    serving("No model", (response) => void response.end(JSON.stringify({ object: "list", data: null }))),
    serving("Only embeddings", list("bge-embed")),
    serving("Locked", (response) => void response.writeHead(401).end(JSON.stringify({ object: "list", data: [] }))),
    serving(
      "Elsewhere",
      (response) => void response.writeHead(302, { location: "http://127.0.0.1:1/v1/models" }).end(),
    ),
    serving("Endless", endless),
    serving(
      "Odd",
      (response) => void response.end(JSON.stringify({ object: "list", data: [1, { id: 2 }, { id: "" }] })),
    ),
  ]);
  const found = await foundServers({ places: [...places, { title: "Nobody", baseUrl: "http://127.0.0.1:1/v1" }] });
  expect(found).toEqual([{ ...places[1], models: ["qwen3:4b", "gemma3"] }]);
});

it("looks at the usual places by itself, and comes back", async () => {
  for (const { baseUrl } of await foundServers()) expect(baseUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\//);
});

it.each<[string, unknown, string[]]>([
  ["without its kind", { data: [{ id: "x" }] }, ["x"]],
  [
    "of another kind, with more in it",
    { object: "models", models: [], has_more: false, data: [{ id: "x", ctx: 9 }] },
    ["x"],
  ],
  ["that is nothing but the models", [{ id: "x", type: "chat" }, { id: "text-embedding" }], ["x"]],
  ["with some that have no id", { data: [{ name: "y" }, null, { id: "x" }] }, ["x"]],
  ["without a model", { data: [] }, []],
  ["without a model, in OpenAI's form", { object: "list", data: null }, []],
])("takes a list %s, from a server that a person names", async (_what, body, models) => {
  const named = await serving("Named", (response) => void response.end(JSON.stringify(body)));
  expect(await modelsAt(named.baseUrl)).toEqual(models);
});

it.each<[string, unknown]>([
  ["no list", { data: { id: "x" } }],
  ["no models", { data: [{ name: "y" }, 7] }],
  ["a text", "x"],
  ["nothing", null],
  ["an error", { error: { message: "No." } }],
])("takes %s for no list, whoever names the server", async (_what, body) => {
  const named = await serving("Named", (response) => void response.end(JSON.stringify(body)));
  await expect(modelsAt(named.baseUrl)).rejects.toMatchObject({ code: "server-refused" });
});

it.each([301, 302, 307, 308])("follows no server that sends elsewhere, by status %i", async (status) => {
  let isVisited = false;
  const elsewhere = await serving("Elsewhere", (response) => {
    isVisited = true;
    list("x")(response);
  });
  const location = `${elsewhere.baseUrl}/models`;
  const sending = await serving("Sending", (response) => void response.writeHead(status, { location }).end());
  await expect(modelsAt(sending.baseUrl, { apiKey: "sk" })).rejects.toMatchObject({
    ...{ code: "server-refused", message: expect.stringContaining("sends to another address") as string },
  });
  expect(isVisited).toBe(false);
});

it.each([
  ["https://api.example/v1", "https://api.example/v1", true],
  ["https://api.example/v1", " https://API.example:443/v2/ ", true],
  ["https://api.example/v1", "http://api.example/v1", false],
  ["http://127.0.0.1:1234/v1", "http://127.0.0.1:11434/v1", false],
  ["https://api.example/v1", "https://api.example.org/v1", false],
  ["https://api.example/v1", "this", false],
  ["https://api.example/v1", undefined, false],
  ["no address", "no address", false],
])("asks %s with a key that is for %s: %s", (baseUrl, address, isKeyed) => {
  expect(keyFor({ kind: "server", baseUrl }, { key: "sk", address })).toBe(isKeyed ? "sk" : undefined);
  expect(keyFor({ kind: "this", model: "x" }, { key: "sk", address })).toBeUndefined();
});

it("says why a server has no models to tell", async () => {
  const keyed = await serving("Keyed", (response, key) => {
    if (key === "Bearer right") list("qwen")(response);
    else response.writeHead(401).end();
  });
  expect(await modelsAt(keyed.baseUrl, { apiKey: "right" })).toEqual(["qwen"]);
  await expect(modelsAt(keyed.baseUrl)).rejects.toMatchObject({ code: "server-key-wrong" });
  const wrong = await modelsAt(keyed.baseUrl, { apiKey: "canary" }).catch((error: unknown) => error);
  expect(wrong).toMatchObject({ code: "server-key-wrong" });
  await expect(modelsAt(keyed.baseUrl, { apiKey: "two\nlines" })).rejects.toMatchObject({ code: "server-key-wrong" });
  expect(JSON.stringify(wrong) + String(wrong)).not.toContain("canary");

  const page = await serving("Page", (response) => void response.end("<html>"));
  await expect(modelsAt(page.baseUrl)).rejects.toMatchObject({ code: "server-refused" });
  await expect(modelsAt("http://127.0.0.1:1/v1")).rejects.toMatchObject({ code: "server-unreachable" });
  const silent = await serving("Silent", () => undefined);
  await expect(modelsAt(silent.baseUrl, { limitMs: 200 })).rejects.toMatchObject({ code: "server-unreachable" });
  const signal = AbortSignal.abort();
  await expect(modelsAt(silent.baseUrl, { signal })).rejects.toMatchObject({ code: "interrupted" });
});

it.each<[string, string, (response: ServerResponse) => void, string]>([
  [
    "speaks no TLS",
    "https:",
    list("x"),
    "no TLS connection comes about with what answers there: is it an http:// address?",
  ],
  ["speaks no HTTP", "http:", ({ socket }) => socket?.end("SSH-2.0\r\n"), "what answers there doesn't speak HTTP."],
  [
    "breaks off its answer",
    "http:",
    (response) => response.write("{", () => response.destroy()),
    "it broke off the connection.",
  ],
])("says in plain words that a server %s", async (_what, protocol, handle, reason) => {
  const { baseUrl } = await serving("Named", handle);
  const address = baseUrl.replace("http:", protocol);
  await expect(modelsAt(address)).rejects.toMatchObject({
    ...{ code: "server-unreachable", message: `${address} can't be reached: ${reason}` },
  });
});

it("says of an answer without an end that it has none", async () => {
  const { baseUrl } = await serving("Endless", endless);
  await expect(modelsAt(baseUrl)).rejects.toMatchObject({
    ...{ code: "server-unreachable", message: `${baseUrl} can't be reached: its answer doesn't end.` },
  });
});

it.each([
  [" http://127.0.0.1:11434/v1/ ", "http://127.0.0.1:11434/v1"],
  ["https://example.org/v1/chat/completions", "https://example.org/v1"],
  ["http://HOST:80", "http://host"],
])("reads the address %j", (text, expected) => expect(parseBaseUrl(text)).toBe(expected));

it.each(["", "localhost", "localhost:11434", "file:///etc/passwd", "http://", "http://me:secret@host/v1"])(
  "refuses the address %j",
  (text) => {
    const failure = () => parseBaseUrl(text);
    expect(failure).toThrow(expect.objectContaining({ code: "engine-invalid" }) as Error);
    expect(failure).not.toThrow(/secret/);
  },
);
