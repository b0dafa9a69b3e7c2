import type { RequestListener } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Engine } from "../../../src/lib/docker/engine";
import type { LogLine } from "../../../src/lib/docker/demux";
import type { ContainerEvent } from "../../../src/lib/docker/events";
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
      engine.stats("x"),
    ];
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map((outcome) => outcome.status === "rejected" && (outcome.reason as TorbizError).code)).toEqual(
      calls.map(() => "docker-not-answering"),
    );
  });

  it("an engine that only removes an image is waited for where that matters, and nowhere else", async () => {
    const removed = sleep(1_500);
    const later = (body: object): RequestListener => {
      return (_request, response) => void removed.then(() => response.end(JSON.stringify(body)));
    };
    const others = {
      "/v1.41/images/x/json": later({ Id: "sha256:1", Size: 1 }),
      "/v1.41/images/json": later([]),
      "/v1.41/containers/create": later({ Id: "c" }),
      "/v1.41/system/df": later({}),
      "/v1.41/containers/json": later([]),
    };
    server = await scriptedEngine(healthy(others));
    const engine = new Engine(server.endpoint, "1.41", { quick: 300, slow: 300 });
    const waits = [engine.image("x"), engine.images("l"), engine.createContainer("x", {}), engine.diskUsage()];
    await expect(engine.list("x")).rejects.toMatchObject({ code: "docker-not-answering" });
    const [image, images, id] = await Promise.all(waits);
    expect([image, images, id]).toEqual([{ id: "sha256:1", labels: {}, sizeBytes: 1 }, [], "c"]);
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

describe("events", () => {
  const event = (action: string, attributes: object = {}) =>
    `${JSON.stringify({ Action: action, timeNano: 1795465727992.25e6, Actor: { Attributes: attributes } })}\n`;

  async function collect(events: AsyncIterable<ContainerEvent>, into: ContainerEvent[] = []) {
    for await (const one of events) into.push(one);
    return into;
  }

  it("come with their time, exit code and signal, cut anywhere; what isn't one is overlooked", async () => {
    const text =
      event("kill", { signal: "15" }) +
      event("kill", { signal: "37" }) +
      "{}\nno\n" +
      event("die", { exitCode: "137" });
    server = await scriptedEngine((request, response) => {
      response.write(text.slice(0, 50));
      setTimeout(() => response.write(text.slice(50)), 50);
      setTimeout(() => request.socket.destroy(), 100);
    });
    const found: ContainerEvent[] = [];
    const engine = new Engine(server.endpoint, "1.41");
    await expect(collect(engine.events("x", { since: "2026-11-23T17:22:38.862Z" }), found)).rejects.toMatchObject({
      code: "docker-not-answering",
    });
    const time = "2026-11-23T20:28:47.992Z";
    expect(found).toEqual([
      { time, action: "kill", signal: "SIGTERM" },
      { time, action: "kill", signal: "37" },
      { time, action: "die", exitCode: 137 },
    ]);
    const query = new URLSearchParams(server.requests[0]?.split("?")[1]);
    expect(query.get("since")).toBe(`${Date.parse("2026-11-23T17:22:38.862Z") / 1_000}`);
    expect(JSON.parse(query.get("filters") ?? "")).toMatchObject({ container: ["x"], type: ["container"] });
  });

  it("are given up when the engine doesn't begin to answer", async () => {
    server = await scriptedSocket(() => undefined);
    const engine = new Engine(server.endpoint, "1.41", { quick: 300, slow: 300 });
    await expect(engine.events("x").next()).rejects.toMatchObject({ code: "docker-not-answering" });
  });

  it("fail when the engine ends them, and end quietly by the signal", async () => {
    server = await scriptedEngine((_request, response) => response.end(event("start")));
    const engine = new Engine(server.endpoint, "1.41");
    await expect(collect(engine.events("x"))).rejects.toMatchObject({ code: "docker-not-answering" });
    await server.close();
    server = await scriptedEngine((_request, response) => response.write(event("start")));
    const silent = new Engine(server.endpoint, "1.41");
    expect(await collect(silent.events("x", { signal: AbortSignal.timeout(300) }))).toHaveLength(1);
    expect(await collect(silent.events("x", { signal: AbortSignal.abort() }))).toEqual([]);
  });
});

describe("stats", () => {
  const cpu = (total_usage: number, system_cpu_usage: number) => ({
    cpu_usage: { total_usage },
    system_cpu_usage,
    online_cpus: 2,
  });
  const answer = (stats: object) => ({
    precpu_stats: cpu(1e9, 20e9),
    cpu_stats: cpu(2.5e9, 22e9),
    memory_stats: { usage: 1000, limit: 5000, stats },
  });

  it.each([
    ["cgroup v1", { total_inactive_file: 300, inactive_file: 1 }, 700],
    ["cgroup v2", { inactive_file: 400 }, 600],
    ["neither", {}, 1000],
  ])("count as the docker command does, with %s", async (_what, stats, memoryBytes) => {
    const engine = await answering(200, JSON.stringify(answer(stats)));
    expect(await engine.stats("x")).toEqual({ cpus: 1.5, memoryBytes, memoryLimitBytes: 5000 });
  });

  it("are none of a container that doesn't run or is gone", async () => {
    const engine = await answering(
      200,
      JSON.stringify({ cpu_stats: { cpu_usage: { total_usage: 0 } }, memory_stats: {} }),
    );
    expect(await engine.stats("x")).toBeUndefined();
    await server?.close();
    expect(await (await answering(404, '{"message":"No such container: x"}')).stats("x")).toBeUndefined();
  });
});
