import { getJson, inspectContainer, patient, ping } from "../../../src/lib/docker/http";
import { TorbizError } from "../../../src/lib/errors";
import { healthy, scriptedEngine, scriptedSocket, type ScriptedEngine } from "./scripted-engine";

const LIMITS = { timeoutMs: 10_000 };
const SHORT = { timeoutMs: 200 };

let engine: ScriptedEngine | undefined;

afterEach(async () => {
  await engine?.close();
  engine = undefined;
});

describe("ping", () => {
  it("tells API version and system", async () => {
    engine = await scriptedEngine(healthy({}, "1.47", "windows"));
    expect(await ping(engine.endpoint, LIMITS)).toEqual({ apiVersion: "1.47", osType: "windows" });
  });

  it.each([500, 503])("takes %d for an engine that starts", async (status) => {
    engine = await scriptedEngine((_request, response) => response.writeHead(status).end("<html>starting"));
    await expect(ping(engine.endpoint, LIMITS)).rejects.toMatchObject({
      code: "docker-starting",
      message: expect.stringContaining(String(status)) as string,
    });
  });

  it.each([
    ["HTML", 200, { "Api-Version": "1.41" }, "<html>hello"],
    ["nothing", 200, { "Api-Version": "1.41" }, ""],
    ["no version", 200, {}, "OK"],
    ["a redirect", 301, { Location: "/elsewhere" }, ""],
    ["not found", 404, {}, "OK"],
  ])("doesn't take %s for Docker", async (_what, status, headers, body) => {
    engine = await scriptedEngine((_request, response) => response.writeHead(status, headers).end(body));
    await expect(ping(engine.endpoint, LIMITS)).rejects.toMatchObject({ code: "docker-unexpected-answer" });
  });

  it("doesn't take bytes that are no HTTP for Docker", async () => {
    engine = await scriptedSocket((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"));
    await expect(ping(engine.endpoint, LIMITS)).rejects.toMatchObject({ code: "docker-unexpected-answer" });
  });

  it("gives up on an engine that accepts and says nothing", async () => {
    engine = await scriptedSocket(() => undefined);
    await expect(ping(engine.endpoint, SHORT)).rejects.toMatchObject({
      code: "docker-not-answering",
      message: expect.stringContaining("0.2 s") as string,
    });
  });

  it("ends by the caller's own signal, with the caller's own error", async () => {
    engine = await scriptedSocket(() => undefined);
    const controller = new AbortController();
    const plain = ping(engine.endpoint, { ...LIMITS, signal: controller.signal });
    controller.abort();
    await expect(plain).rejects.toMatchObject({ code: "interrupted" });
    const reason = new TorbizError("build-cancelled", "Enough.");
    await expect(ping(engine.endpoint, { ...LIMITS, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe("getJson", () => {
  it.each(["null", "<html>", "", '"text"'])("doesn't take %s for an answer of Docker", async (body) => {
    engine = await scriptedEngine((_request, response) => response.end(body));
    await expect(getJson(engine.endpoint, "/info", LIMITS)).rejects.toMatchObject({ code: "docker-unexpected-answer" });
  });

  it("fails at once on an answer that is cut", async () => {
    engine = await scriptedSocket((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"half":'));
    await expect(getJson(engine.endpoint, "/info", LIMITS)).rejects.toMatchObject({ code: "docker-not-answering" });
  });

  it("gives up on an answer that stalls", async () => {
    engine = await scriptedSocket((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"half":'));
    await expect(getJson(engine.endpoint, "/info", SHORT)).rejects.toMatchObject({ code: "docker-not-answering" });
  });

  it("takes an answer that came while this process wasn't let run", async () => {
    engine = await scriptedEngine((_request, response) => {
      response.end('{"ServerVersion":"20.10.24"}');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * SHORT.timeoutMs);
    });
    expect(await getJson(engine.endpoint, "/info", SHORT)).toEqual({ ServerVersion: "20.10.24" });
  });

  it("waits on where it may, for as long as the engine is only busy", async () => {
    let pings = 0;
    let answer: (() => void) | undefined;
    engine = await scriptedEngine((request, response) => {
      if (request.url !== "/_ping") return void (answer = () => response.end('{"ServerVersion":"20.10.24"}'));
      pings++;
      // It is done at the third ping, and says no more after the fourth.
      if (pings === 3) answer?.();
      if (pings < 5) healthy()(request, response);
    });
    const asked = () => getJson(engine!.endpoint, "/info", patient(engine!.endpoint, SHORT));
    expect(await asked()).toEqual({ ServerVersion: "20.10.24" });
    expect(pings).toBe(3);
    await expect(asked()).rejects.toMatchObject({
      code: "docker-not-answering",
      message: expect.stringContaining("gave no answer in 0.4 s") as string,
    });
    expect(pings).toBe(5);
  });

  it("waits on no longer than it was told, nor than the caller wants", async () => {
    engine = await scriptedEngine((request, response) => request.url === "/_ping" && healthy()(request, response));
    await expect(
      getJson(engine.endpoint, "/info", patient(engine.endpoint, SHORT, { limitMs: 600 })),
    ).rejects.toMatchObject({
      code: "docker-not-answering",
      message: expect.stringContaining("gave no answer in 0.6 s") as string,
    });
    const controller = new AbortController();
    const limits = patient(engine.endpoint, { ...SHORT, signal: controller.signal });
    const asked = getJson(engine.endpoint, "/info", limits);
    setTimeout(() => controller.abort(), 500);
    await expect(asked).rejects.toMatchObject({ code: "interrupted" });
  });

  it("gives up on an answer without end", async () => {
    engine = await scriptedEngine((_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write("x".repeat(65_536)));
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    });
    await expect(getJson(engine.endpoint, "/info", LIMITS)).rejects.toMatchObject({ code: "docker-unexpected-answer" });
  });

  it("passes on the engine's own words", async () => {
    engine = await scriptedEngine((_request, response) => response.writeHead(400).end('{"message":"bad\\nthing"}'));
    await expect(getJson(engine.endpoint, "/x", LIMITS)).rejects.toMatchObject({
      code: "docker-request-failed",
      message: "Docker refused (400): bad thing",
      details: { statusCode: 400 },
    });
  });

  it("says that nothing listens", async () => {
    const endpoint = {
      url: "unix:///nowhere/docker.sock",
      socketPath: "/nowhere/docker.sock",
      source: "socket",
    } as const;
    await expect(getJson(endpoint, "/info", LIMITS)).rejects.toMatchObject({
      code: "docker-not-running",
      message: "There is no Docker socket at unix:///nowhere/docker.sock.",
    });
    const tcp = {
      url: "tcp://127.0.0.1:9",
      tcp: { protocol: "http", host: "127.0.0.1", port: 9 },
      source: "option",
    } as const;
    await expect(getJson(tcp, "/info", LIMITS)).rejects.toMatchObject({ code: "docker-not-running" });
  });
});

describe("inspectContainer", () => {
  it("asks in one call, by the name", async () => {
    engine = await scriptedEngine((_request, response) => response.end('{"Id":"abc"}'));
    expect(await inspectContainer(engine.endpoint, "a/b", LIMITS)).toEqual({ Id: "abc" });
    expect(engine.requests).toEqual(["GET /containers/a%2Fb/json"]);
  });

  it("tells no container from no engine", async () => {
    engine = await scriptedEngine((_request, response) =>
      response.writeHead(404).end('{"message":"No such container"}'),
    );
    expect(await inspectContainer(engine.endpoint, "gone", LIMITS)).toBeUndefined();
    await engine.close();
    await expect(inspectContainer(engine.endpoint, "gone", LIMITS)).rejects.toMatchObject({
      code: "docker-not-running",
    });
    engine = undefined;
  });
});
