import { createServer } from "node:net";
import { homedir } from "node:os";
import type { ContainerEvent } from "../../src/lib/docker/events";
import { Engine } from "../../src/lib/docker/engine";
import { requireDocker } from "../../src/lib/docker/preflight";
import { TorbizError } from "../../src/lib/errors";
import { LABELS } from "../../src/lib/names";
import { exec } from "./torbiz";

/** The real engine and small containers of any Debian-like image. */
const IMAGE = process.env.TORBIZ_BASE_IMAGE || "python:3.11-slim";
const RUN = `torbiz-engine-test-${process.pid}`;
const MARK = { [LABELS.instance]: RUN };

let engine: Engine;
let count = 0;
const name = () => `${RUN}-${(count += 1)}`;
const shell = (script: string) => ({
  Image: IMAGE,
  Cmd: ["sh", "-c", script],
  Labels: MARK,
  HostConfig: { Init: true },
});

beforeAll(async () => {
  const docker = await requireDocker({ env: process.env, home: homedir(), platform: process.platform });
  engine = new Engine(docker.endpoint, docker.engine.apiVersion);
});

afterEach(async () => {
  for (const { Id } of await engine.list(`${LABELS.instance}=${RUN}`)) await engine.remove(Id, { force: true });
});

async function texts(id: string, options: Parameters<Engine["logs"]>[1]): Promise<string[]> {
  const found: string[] = [];
  for await (const { text } of engine.logs(id, options)) found.push(text);
  return found;
}

describe("a container's life", () => {
  it("is made, starts, logs, stops and goes; each twice without harm", async () => {
    const own = name();
    const id = await engine.createContainer(
      own,
      shell("trap 'echo bye; exit 7' INT TERM; echo up; while :; do sleep 0.1; done"),
    );
    await engine.start(id);
    await engine.start(own);
    for await (const line of engine.logs(id, { follow: true })) {
      expect(line).toEqual({
        time: expect.stringMatching(/^\d{4}-.*\.\d{9}Z$/) as string,
        stream: "stdout",
        text: "up",
      });
      break;
    }
    expect((await engine.list(`${LABELS.instance}=${RUN}`)).map(({ Id }) => Id)).toEqual([id]);
    await expect(engine.remove(id, { force: false })).rejects.toMatchObject({ code: "docker-request-failed" });
    await engine.stop(id, 10);
    await engine.stop(id, 10);
    await engine.kill(id, "SIGKILL");
    expect((await engine.inspect(own))?.State).toMatchObject({ Status: "exited", ExitCode: 7 });
    expect(await texts(id, {})).toEqual(["up", "bye"]);
    await Promise.all([1, 2, 3].map(() => engine.remove(id, { force: true })));
    expect(await engine.inspect(own)).toBeUndefined();
    await engine.stop(id, 1);
    await engine.remove(id, { force: true });
  });

  it("lets a paused container go on, and leaves any other as it is", async () => {
    const id = await engine.createContainer(name(), shell("sleep 60"));
    await engine.start(id);
    await exec("docker", ["pause", id]);
    await engine.unpause(id);
    expect((await engine.inspect(id))?.State).toMatchObject({ Running: true, Paused: false });
    await engine.unpause(id);
    await engine.kill(id, "SIGKILL");
    await engine.unpause("no-such-container");
  });

  it("tells a taken name by its status", async () => {
    const own = name();
    await engine.createContainer(own, shell("true"));
    await expect(engine.createContainer(own, shell("true"))).rejects.toMatchObject({
      code: "docker-request-failed",
      details: { statusCode: 409 },
    });
  });

  it("tells a missing image", async () => {
    const missing = "torbiz-no-such-image:latest";
    expect(await engine.image(missing)).toBeUndefined();
    await expect(engine.createContainer(name(), { Image: missing })).rejects.toMatchObject({ code: "image-missing" });
  });

  it("names the port that is taken", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const id = await engine.createContainer(name(), {
      ...shell("true"),
      ExposedPorts: { "31330/tcp": {} },
      HostConfig: { PortBindings: { "31330/tcp": [{ HostIp: "127.0.0.1", HostPort: String(port) }] } },
    });
    await expect(engine.start(id)).rejects.toMatchObject({ code: "port-in-use", details: { port } });
    await new Promise((resolve) => server.close(resolve));
  });
});

it("knows the image", async () => {
  const image = await engine.image(IMAGE);
  expect(image?.id).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(image?.sizeBytes).toBeGreaterThan(1_000_000);
});

describe("stdin", () => {
  it("arrives as it is and ends, and shows up in no inspect", async () => {
    const secret = `canary-é-${"x".repeat(50)}\n`;
    const id = await engine.createContainer(name(), { ...shell("od -An -c -v"), OpenStdin: true, StdinOnce: true });
    await engine.startWithStdin(id, secret);
    const dump = (await texts(id, { follow: true })).join("").replace(/\s/g, "");
    expect(dump).toBe(`canary-303251-${"x".repeat(50)}\\n`);
    expect(JSON.stringify(await engine.inspect(id))).not.toContain("canary");
  });

  it("returns while the container goes on", async () => {
    const options = { ...shell("read word; echo got $word; sleep 600"), OpenStdin: true, StdinOnce: true };
    const id = await engine.createContainer(name(), options);
    await engine.startWithStdin(id, "it\n");
    expect((await engine.inspect(id))?.State.Running).toBe(true);
  });
});

describe("logs", () => {
  it("lose no line of a burst, of a long line, nor of both streams", async () => {
    const script = "seq 1 10000; head -c 300000 /dev/zero | tr '\\0' z; echo; echo é >&2";
    const id = await engine.createContainer(name(), shell(script));
    await engine.start(id);
    for (const follow of [true, false]) {
      const found = { stdout: [] as string[], stderr: [] as string[] };
      for await (const { stream, text } of engine.logs(id, { follow })) found[stream].push(text);
      const numbers = Array.from({ length: 10_000 }, (_value, index) => String(index + 1));
      expect(found).toEqual({ stdout: [...numbers, "z".repeat(300_000)], stderr: ["é"] });
    }
  });

  it("show the tail alone", async () => {
    const id = await engine.createContainer(name(), shell("seq 1 20"));
    await engine.start(id);
    expect(await texts(id, { follow: true, tail: 20 })).toHaveLength(20);
    expect(await texts(id, { tail: 2 })).toEqual(["19", "20"]);
  });

  it("go on where they were left", async () => {
    const id = await engine.createContainer(name(), shell("for i in 1 2 3 4; do echo $i; sleep 0.05; done"));
    await engine.start(id);
    const times: string[] = [];
    for await (const { time } of engine.logs(id, { follow: true })) times.push(time);
    expect(await texts(id, { since: times[2] })).toEqual(["3", "4"]);
  });

  it("end when the container is removed", async () => {
    const id = await engine.createContainer(name(), shell("echo one; sleep 600"));
    await engine.start(id);
    const found: string[] = [];
    for await (const { text } of engine.logs(id, { follow: true })) {
      found.push(text);
      await engine.remove(id, { force: true });
    }
    expect(found).toEqual(["one"]);
  });
});

describe("one-offs", () => {
  it("give exit code and last lines, and are gone", async () => {
    const own = name();
    const seen: string[] = [];
    const result = await engine.run({
      image: IMAGE,
      name: own,
      options: shell("seq 1 60; exit 3"),
      onLine: ({ text }) => seen.push(text),
    });
    expect(result).toEqual({ exitCode: 3, lines: Array.from({ length: 50 }, (_value, index) => String(index + 11)) });
    expect(seen).toHaveLength(60);
    expect(await engine.inspect(own)).toBeUndefined();
  });

  it("are gone after an abort as well", async () => {
    const own = name();
    const controller = new AbortController();
    const reason = new TorbizError("interrupted", "Enough.");
    const running = engine.run({
      image: IMAGE,
      name: own,
      options: shell("echo up; sleep 600"),
      onLine: () => controller.abort(reason),
      signal: controller.signal,
    });
    await expect(running).rejects.toBe(reason);
    expect(await engine.inspect(own)).toBeUndefined();
  });

  it("are gone when they can't start", async () => {
    const own = name();
    const options = { Cmd: ["/no/such/program"], Labels: MARK };
    await expect(engine.run({ image: IMAGE, name: own, options })).rejects.toMatchObject({
      code: "docker-request-failed",
      message: expect.stringContaining("/no/such/program") as string,
    });
    expect(await engine.inspect(own)).toBeUndefined();
  });
});

it("makes volumes and networks once", async () => {
  const own = name();
  // Volumes and networks outlive their test, so they go by dockerode's own hands.
  const { default: Dockerode } = await import("dockerode");
  const docker = new Dockerode({ socketPath: engine.endpoint.socketPath });
  try {
    for (const round of [1, 2]) {
      await engine.ensureVolume(own, { ...MARK, round: String(round) });
      await engine.ensureNetwork(own, MARK);
    }
    const networks = await docker.listNetworks({ filters: { name: [own] } });
    expect(networks).toMatchObject([{ Name: own, Driver: "bridge", Labels: MARK }]);
    expect(await docker.getVolume(own).inspect()).toMatchObject({ Labels: { ...MARK, round: "1" } });
  } finally {
    await docker.getNetwork(own).remove();
    await docker.getVolume(own).remove();
  }
});

describe("stats", () => {
  it("tell the processors and the memory that a container takes, without the page cache", async () => {
    const id = await engine.createContainer(name(), {
      ...shell("head -c 60000000 /dev/zero >/tmp/file; sync; echo up; while :; do :; done"),
      HostConfig: { Init: true, Memory: 512 * 1024 * 1024, NanoCpus: 5e8 },
    });
    await engine.start(id);
    for await (const { text } of engine.logs(id, { follow: true })) if (text === "up") break;
    const stats = await engine.stats(id);
    expect(stats?.memoryLimitBytes).toBe(512 * 1024 * 1024);
    expect(stats?.memoryBytes).toBeGreaterThan(100_000);
    expect(stats?.memoryBytes).toBeLessThan(40_000_000);
    // Half a processor is all that it may take.
    expect(stats?.cpus).toBeGreaterThan(0.05);
    expect(stats?.cpus).toBeLessThan(0.7);
  });

  it("are none of one that has ended, or was never there", async () => {
    const id = await engine.createContainer(name(), shell("true"));
    expect(await engine.stats(id)).toBeUndefined();
    expect(await engine.stats("torbiz-no-such-container")).toBeUndefined();
  });
});

describe("events", () => {
  it("tell what happened since and what happens now, but not of every health check", async () => {
    const id = await engine.createContainer(name(), {
      ...shell("trap 'exit 7' INT; echo up; while :; do sleep 0.05; done"),
      Healthcheck: { Test: ["CMD", "true"], Interval: 1e9 },
    });
    const since = (await engine.inspect(id))?.Created;
    await engine.start(id);
    for await (const { text } of engine.logs(id, { follow: true })) if (text === "up") break;
    const ending = new AbortController();
    const found: ContainerEvent[] = [];
    for await (const event of engine.events(id, { since, signal: ending.signal })) {
      found.push(event);
      if (event.action === "health_status: healthy") await engine.kill(id, "SIGINT");
      if (event.action === "die") ending.abort();
    }
    expect(found.map(({ action }) => action)).toEqual(["create", "start", "health_status: healthy", "kill", "die"]);
    expect(found.at(-2)).toMatchObject({ signal: "SIGINT" });
    expect(found.at(-1)).toMatchObject({ exitCode: 7, time: expect.stringMatching(/\.\d{3}Z$/) as string });
  });

  it("are those of that container alone", async () => {
    const id = await engine.createContainer(name(), shell("true"));
    const since = (await engine.inspect(id))?.Created;
    const other = await engine.createContainer(name(), shell("true"));
    await engine.start(other);
    await engine.remove(other, { force: true });
    await engine.remove(id, { force: true });
    const found: string[] = [];
    for await (const { action } of engine.events(id, { since })) {
      found.push(action);
      if (action === "destroy") break;
    }
    expect(found).toEqual(["create", "destroy"]);
  });
});
