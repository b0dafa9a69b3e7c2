import type { Socket } from "node:net";
import { Engine } from "../../../src/lib/docker/engine";
import type { LogLine } from "../../../src/lib/docker/demux";
import type { TorbizError } from "../../../src/lib/errors";
import { healthy, scriptedEngine, scriptedSocket, type ScriptedEngine } from "./scripted-engine";

const TIME = "2026-11-23T17:22:38.862634443Z";
let server: ScriptedEngine | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

function frame(text: string, end = "\n"): Buffer {
  const payload = Buffer.from(`${TIME} ${text}${end}`);
  const header = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

async function answering(status: number, body: string): Promise<Engine> {
  server = await scriptedEngine((_request, response) => response.writeHead(status).end(body));
  return new Engine(server.endpoint, "1.41");
}

describe("the API version", () => {
  it.each([
    ["1.41", "v1.41"],
    ["1.47", "v1.47"],
    ["1.52", "v1.47"],
    ["2.0", "v1.47"],
  ])("of an engine with %s is asked as %s", async (theirs, asked) => {
    server = await scriptedEngine((_request, response) => response.end("[]"));
    await new Engine(server.endpoint, theirs).list("x");
    expect(server.requests[0]).toMatch(`GET /${asked}/containers/json?`);
  });
});

describe("where it connects to", () => {
  const before = process.env.DOCKER_HOST;
  afterEach(() => {
    if (before === undefined) delete process.env.DOCKER_HOST;
    else process.env.DOCKER_HOST = before;
  });

  it("is the endpoint, whatever DOCKER_HOST says", async () => {
    process.env.DOCKER_HOST = "tcp://127.0.0.1:9";
    const engine = await answering(200, "[]");
    expect(await engine.list("x")).toEqual([]);
  });
});

describe("answers that are absorbed", () => {
  it.each([
    ["start of one that runs", 304, "", (engine: Engine) => engine.start("x")],
    ["stop of one that has ended", 304, "", (engine: Engine) => engine.stop("x", 1)],
    ["stop of one that is gone", 404, '{"message":"No such container: x"}', (engine: Engine) => engine.stop("x", 1)],
    [
      "kill of one that has ended",
      409,
      '{"message":"x is not running"}',
      (engine: Engine) => engine.kill("x", "SIGINT"),
    ],
    [
      "removal of one that is gone",
      404,
      '{"message":"No such container: x"}',
      (engine: Engine) => engine.remove("x", { force: true }),
    ],
    [
      "a network that is there",
      409,
      '{"message":"network with name x already exists"}',
      (engine: Engine) => engine.ensureNetwork("x", {}),
    ],
  ])("%s", async (_what, status, body, call) => {
    await expect(call(await answering(status, body))).resolves.toBeUndefined();
  });

  it("a removal that somebody else began is waited for", async () => {
    let inspected = 0;
    server = await scriptedEngine((request, response) => {
      if (request.method === "DELETE") {
        response.writeHead(409).end('{"message":"removal of container x is already in progress"}');
      } else if ((inspected += 1) < 3) {
        response.end('{"Id":"x","Name":"/x","State":{"Status":"removing"}}');
      } else response.writeHead(404).end('{"message":"No such container: x"}');
    });
    await new Engine(server.endpoint, "1.41").remove("x", { force: true });
    expect(inspected).toBe(3);
  });
});

describe("failures", () => {
  it.each([
    [500, "listen tcp4 127.0.0.1:31330: bind: address already in use", { code: "port-in-use" }],
    [500, "write: no space left on device", { code: "disk-full" }],
    [
      409,
      "Conflict. The container name is already in use",
      { code: "docker-request-failed", details: { statusCode: 409 } },
    ],
    [404, "No such image: x", { code: "image-missing" }],
  ])("%d %s", async (status, message, expected) => {
    const engine = await answering(status, JSON.stringify({ message }));
    await expect(engine.createContainer("x", {})).rejects.toMatchObject(expected);
  });

  it("a removal without force of one that runs", async () => {
    const engine = await answering(409, '{"message":"You cannot remove a running container"}');
    await expect(engine.remove("x", { force: false })).rejects.toMatchObject({ code: "docker-request-failed" });
  });

  it("an engine that is gone", async () => {
    const engine = await answering(200, "[]");
    await server?.close();
    server = undefined;
    for (const call of [engine.list("x"), engine.inspect("x"), engine.image("x"), engine.start("x")]) {
      await expect(call).rejects.toMatchObject({ code: "docker-not-running" });
    }
  });

  it.each(["<html>", "null", "", "{}"])("an answer such as %s", async (body) => {
    const engine = await answering(200, body);
    for (const call of [engine.list("x"), engine.inspect("x"), engine.image("x"), engine.createContainer("x", {})]) {
      await expect(call).rejects.toMatchObject({ code: "docker-unexpected-answer" });
    }
  });

  const head = (status: number) => `HTTP/1.1 ${status} X\r\nContent-Length: 999\r\n\r\n[{"Id":`;
  it.each<[string, (socket: Socket) => void]>([
    ["hangs", () => undefined],
    ["stalls in the middle of an answer", (socket) => void socket.write(head(200))],
    ["goes in the middle of an answer", (socket) => void socket.end(head(200))],
    ["goes in the middle of an error", (socket) => void socket.end(head(500))],
  ])("an engine that %s ends no call late", async (_what, onConnection) => {
    server = await scriptedSocket(onConnection);
    const engine = new Engine(server.endpoint, "1.41", { quick: 300, slow: 300 });
    const calls: Promise<unknown>[] = [
      engine.list("x"),
      engine.inspect("x"),
      engine.image("x"),
      engine.createContainer("x", {}),
      engine.start("x"),
      engine.startWithStdin("x", "text"),
      engine.kill("x", "SIGINT"),
      engine.remove("x", { force: true }),
      engine.ensureVolume("x", {}),
      engine.ensureNetwork("x", {}),
      engine.logs("x").next(),
    ];
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map((outcome) => outcome.status === "rejected" && (outcome.reason as TorbizError).code)).toEqual(
      calls.map(() => "docker-not-answering"),
    );
  });
});

describe("logs", () => {
  async function collect(lines: AsyncIterable<LogLine>, into: LogLine[] = []): Promise<LogLine[]> {
    for await (const line of lines) into.push(line);
    return into;
  }

  it("asks for times, the tail and what came since, to the nanosecond", async () => {
    server = await scriptedEngine((_request, response) => response.end(frame("hello")));
    const engine = new Engine(server.endpoint, "1.41");
    const [line] = await collect(engine.logs("x", { tail: 5, since: TIME }));
    expect(line).toEqual({ time: TIME, stream: "stdout", text: "hello" });
    const query = new URLSearchParams(server.requests[0]?.split("?")[1]);
    expect(Object.fromEntries(query)).toMatchObject({
      timestamps: "true",
      tail: "5",
      since: `${Date.parse("2026-11-23T17:22:38Z") / 1_000}.862634443`,
    });
  });

  it("is empty when nothing was written", async () => {
    const engine = await answering(200, "");
    expect(await collect(engine.logs("x"))).toEqual([]);
  });

  it("gives lines as they come, and fails when the connection is cut", async () => {
    server = await scriptedEngine((request, response) => {
      response.write(frame("one"));
      setTimeout(() => request.socket.destroy(), 50);
    });
    const lines: LogLine[] = [];
    const engine = new Engine(server.endpoint, "1.41");
    await expect(collect(engine.logs("x", { follow: true }), lines)).rejects.toMatchObject({
      code: "docker-not-answering",
    });
    expect(lines.map(({ text }) => text)).toEqual(["one"]);
  });

  it("ends quietly by the signal, also before the first line and in the middle of silence", async () => {
    server = await scriptedEngine((_request, response) => response.write(frame("one")));
    const engine = new Engine(server.endpoint, "1.41");
    expect(await collect(engine.logs("x", { follow: true, signal: AbortSignal.abort() }))).toEqual([]);
    const controller = new AbortController();
    const texts: string[] = [];
    for await (const { text } of engine.logs("x", { follow: true, signal: controller.signal })) {
      texts.push(text);
      setTimeout(() => controller.abort(), 50);
    }
    expect(texts).toEqual(["one"]);
  });

  it("closes its connection when the loop is left", async () => {
    const closed = new Promise<void>((resolve) => {
      void scriptedEngine((request, response) => {
        request.socket.once("close", () => resolve());
        response.write(frame("one"));
      }).then(async (started) => {
        server = started;
        for await (const line of new Engine(started.endpoint, "1.41").logs("x", { follow: true })) {
          expect(line.text).toBe("one");
          break;
        }
      });
    });
    await closed;
  });

  it("fetches what an engine left out when it ended a followed log, and repeats nothing", async () => {
    server = await scriptedEngine((request, response) => {
      const followed = request.url?.includes("follow=true");
      const rest = [frame("one"), frame("two, in full"), frame("three")];
      response.end(Buffer.concat([frame("one"), ...(followed ? [frame("two", "")] : rest)]));
    });
    const engine = new Engine(server.endpoint, "1.41");
    const texts = (await collect(engine.logs("x", { follow: true, tail: 3 }))).map(({ text }) => text);
    expect(texts).toEqual(["one", "one", "two, in full", "three"]);
    const [first, second] = server.requests.map((request) => new URLSearchParams(request.split("?")[1]));
    expect([first?.get("tail"), first?.get("since")]).toEqual(["3", null]);
    expect([second?.get("tail"), second?.get("since")]).toEqual([null, expect.stringMatching(/\.862634443$/)]);
  });

  it("gives what it has of a line whose container was removed", async () => {
    server = await scriptedEngine((request, response) => {
      if (request.url?.includes("follow=true")) response.end(Buffer.concat([frame("one"), frame("half", "")]));
      else response.writeHead(404).end('{"message":"No such container: x"}');
    });
    const lines = await collect(new Engine(server.endpoint, "1.41").logs("x", { follow: true }));
    expect(lines.map(({ text }) => text)).toEqual(["one", "half"]);
  });

  it("names a container that isn't there", async () => {
    server = await scriptedEngine(healthy());
    const engine = new Engine(server.endpoint, "1.41");
    for (const follow of [true, false]) {
      await expect(collect(engine.logs("x", { follow }))).rejects.toMatchObject({
        code: "docker-request-failed",
        details: { statusCode: 404 },
      });
    }
  });
});
