import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { DockerSurroundings } from "../../../src/lib/docker/endpoint";
import { checkDocker, requireDocker, type Preflight } from "../../../src/lib/docker/preflight";
import { ENGINES } from "./recorded-engines";
import { healthy, INFO, scriptedEngine, scriptedSocket, type ScriptedEngine } from "./scripted-engine";

let root: string;
const engines: ScriptedEngine[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "torbiz-root-"));
});

afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
  await rm(root, { recursive: true, force: true });
});

/** A machine of its own under `root`: nothing of the real one is seen. */
function machine(more: Partial<DockerSurroundings> = {}): DockerSurroundings {
  return { env: { PATH: join(root, "bin") }, home: join(root, "home"), platform: "linux", root, ...more };
}

async function keep(engine: Promise<ScriptedEngine>): Promise<ScriptedEngine> {
  const started = await engine;
  engines.push(started);
  return started;
}

async function at(path: string): Promise<string> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  return join(root, path);
}

async function install(...programs: string[]): Promise<void> {
  for (const name of programs) {
    const path = await at(`bin/${name}`);
    await writeFile(path, "#!/bin/sh\n");
    await chmod(path, 0o755);
  }
}

function problem(preflight: Preflight): Exclude<Preflight, { state: "ready" }> {
  if (preflight.state === "ready") throw new Error("ready, but should not be");
  return preflight;
}

describe("an engine that is chosen", () => {
  it("is ready, with its facts", async () => {
    const { socketPath } = await keep(scriptedEngine(healthy()));
    const found = await checkDocker(machine({ host: socketPath }));
    expect(found).toEqual({
      state: "ready",
      endpoint: { url: `unix://${socketPath}`, socketPath, source: "option" },
      engine: {
        version: "20.10.24",
        apiVersion: "1.41",
        operatingSystem: "Debian GNU/Linux 12 (bookworm)",
        architecture: "x86_64",
        cpus: 2,
        memoryBytes: 8_000_000_000,
        rootless: false,
        containerdStore: false,
      },
    });
    expect((await requireDocker(machine({ host: socketPath }))).engine.cpus).toBe(2);
  });

  it.each(ENGINES)("that was recorded ($name) tells its store of images", async ({ info, containerdStore }) => {
    const answer = JSON.stringify({ ...INFO, ...info });
    const { socketPath } = await keep(scriptedEngine(healthy({ "/info": (_, response) => response.end(answer) })));
    expect((await requireDocker(machine({ host: socketPath }))).engine).toMatchObject({ containerdStore });
  });

  it.each([
    ["1.40", "too-old"],
    ["1.24", "too-old"],
    ["1.41", "ready"],
    ["1.52", "ready"],
    ["2.0", "ready"],
  ])("with API %s is %s", async (apiVersion, state) => {
    const { socketPath } = await keep(scriptedEngine(healthy({}, apiVersion)));
    const found = await checkDocker(machine({ host: socketPath }));
    expect(found.state).toBe(state);
    if (found.state !== "ready") {
      expect(found.error).toMatchObject({
        code: "docker-too-old",
        message: expect.stringContaining(apiVersion) as string,
      });
    }
  });

  it("runs Windows containers", async () => {
    const { socketPath } = await keep(scriptedEngine(healthy({}, "1.41", "windows")));
    expect(problem(await checkDocker(machine({ host: socketPath })))).toMatchObject({
      state: "wrong-os",
      error: { code: "docker-wrong-os" },
    });
  });

  it("is starting: its proxy answers 503, or /info 500", async () => {
    const proxy = await keep(scriptedEngine((_request, response) => response.writeHead(503).end("no")));
    expect(await checkDocker(machine({ host: proxy.socketPath }))).toMatchObject({ state: "starting" });
    const half = await keep(scriptedEngine(healthy({ "/info": (_q, response) => response.writeHead(500).end("{}") })));
    expect(await checkDocker(machine({ host: half.socketPath }))).toMatchObject({
      state: "starting",
      error: { code: "docker-starting" },
    });
  });

  it("is busy, as while it removes an image: that is told once, and waited for", async () => {
    const answer: RequestListener = (_request, response) =>
      void setTimeout(() => response.end(JSON.stringify(INFO)), 11_000);
    const { socketPath } = await keep(scriptedEngine(healthy({ "/info": answer })));
    const told: string[] = [];
    const warn = (message: string) => void told.push(message);
    expect(await checkDocker(machine({ host: socketPath, warn }))).toMatchObject({ state: "ready" });
    expect(told).toEqual([expect.stringMatching(/is busy.*Waiting for it\.$/)]);
  });

  it("hangs", async () => {
    const { socketPath } = await keep(scriptedSocket(() => undefined));
    expect(problem(await checkDocker(machine({ host: socketPath })))).toMatchObject({
      state: "not-answering",
      error: { code: "docker-not-answering", message: expect.stringContaining(socketPath) as string },
    });
  });

  it("is another program, or answers /info oddly", async () => {
    const web = await keep(scriptedEngine((_request, response) => response.end("<html>")));
    expect(await checkDocker(machine({ host: web.socketPath }))).toMatchObject({ state: "unexpected-answer" });
    for (const body of ["{}", "null", "<html>"]) {
      const odd = await keep(scriptedEngine(healthy({ "/info": (_request, response) => response.end(body) })));
      expect(await checkDocker(machine({ host: odd.socketPath }))).toMatchObject({
        state: "unexpected-answer",
        error: { message: expect.stringContaining(odd.socketPath) as string },
      });
    }
  });

  it("left its socket file behind", async () => {
    const path = await at("stale.sock");
    await writeFile(path, "");
    expect(problem(await checkDocker(machine({ env: { DOCKER_HOST: `unix://${path}` } })))).toMatchObject({
      state: "not-running",
      error: {
        code: "docker-not-running",
        message: `Nothing listens at unix://${path} (from DOCKER_HOST).`,
        hint: expect.stringMatching(/DOCKER_HOST/) as string,
      },
    });
  });

  it("doesn't let this user in", async () => {
    const { socketPath } = await keep(scriptedEngine(healthy()));
    await chmod(dirname(socketPath), 0o755);
    await chmod(socketPath, 0o600);
    const user = process.geteuid?.();
    // Root passes every mode: be nobody for a moment. The owner of the socket is shut out by the mode alone.
    if (user === 0) process.seteuid?.(65_534);
    else await chmod(socketPath, 0o000);
    try {
      expect(problem(await checkDocker(machine({ host: socketPath })))).toMatchObject({
        state: "no-permission",
        error: {
          code: "docker-permission-denied",
          message: expect.stringContaining(socketPath) as string,
          hint: expect.stringContaining("`docker` group") as string,
        },
      });
    } finally {
      if (user === 0) process.seteuid?.(0);
    }
  });

  it("is a context that doesn't exist, or an address of an unsupported kind", async () => {
    expect(await checkDocker(machine({ env: { DOCKER_CONTEXT: "gone" } }))).toMatchObject({
      state: "context-missing",
      error: { code: "docker-context-missing", message: expect.stringContaining('"gone"') as string },
    });
    expect(await checkDocker(machine({ host: "ssh://box" }))).toMatchObject({
      state: "host-unsupported",
      error: { code: "docker-host-unsupported" },
    });
  });

  it("isn't replaced by another one that would answer", async () => {
    await keep(scriptedEngine(healthy(), await at("var/run/docker.sock")));
    await install("docker");
    const id = createHash("sha256").update("colima").digest("hex");
    const meta = await at(`home/.docker/contexts/meta/${id}/meta.json`);
    await writeFile(
      meta,
      JSON.stringify({ Name: "colima", Endpoints: { docker: { Host: "unix:///nowhere/colima.sock" } } }),
    );
    expect(await checkDocker(machine({ env: { DOCKER_CONTEXT: "colima", PATH: join(root, "bin") } }))).toMatchObject({
      state: "not-running",
      error: {
        message: expect.stringContaining('"colima"') as string,
        hint: expect.stringContaining("colima start") as string,
      },
    });
    await expect(requireDocker(machine({ host: "/nowhere/docker.sock" }))).rejects.toMatchObject({
      code: "docker-not-running",
    });
  });
});

describe("without a choice", () => {
  it("nothing is installed on this Linux", async () => {
    const { state, error } = problem(await checkDocker(machine()));
    expect(state).toBe("not-installed");
    expect(error.code).toBe("docker-not-installed");
    expect(error.hint).toContain("apt-get install docker.io");
    expect(error.hint).toContain("https://docs.docker.com/engine/install/");
  });

  it("nothing is installed on this Mac", async () => {
    const { state, error } = problem(await checkDocker(machine({ platform: "darwin" })));
    expect(state).toBe("not-installed");
    expect(error.action?.url).toBe("https://www.docker.com/products/docker-desktop");
  });

  it("the docker command is there, so it is only not running", async () => {
    await install("docker");
    const { state, error } = problem(await checkDocker(machine()));
    expect(state).toBe("not-running");
    expect(error.hint).toContain("sudo systemctl start docker");
  });

  it.each(["Docker", "OrbStack"])("the application %s is there, so opening it is advised", async (app) => {
    await mkdir(join(root, "Applications", `${app}.app`), { recursive: true });
    const { state, error } = problem(await checkDocker(machine({ platform: "darwin" })));
    expect(state).toBe("not-running");
    expect(error.action?.command).toBe(`open -ga "${app}"`);
  });

  it("a socket without a listener names the engine to start", async () => {
    const stale = await at("home/.colima/large/docker.sock");
    await writeFile(stale, "");
    const { state, error } = problem(await checkDocker(machine({ platform: "darwin" })));
    expect(state).toBe("not-running");
    expect(error.message).toBe(`Nothing listens at unix://${stale}.`);
    expect(error.hint).toContain("`colima start large`");
  });

  it.each([
    ["home/.colima/default", "colima start"],
    ["home/.colima/large", "colima start large"],
    ["home/.lima/vm/sock", "limactl start vm"],
    ["home/.local/share/containers/podman/machine", "podman machine start"],
  ])("on a Mac the folder of a stopped engine (%s) names it, unless an application does", async (folder, command) => {
    await install("docker");
    await mkdir(join(root, folder), { recursive: true });
    const { state, error } = problem(await checkDocker(machine({ platform: "darwin" })));
    expect(state).toBe("not-running");
    const [file, ...args] = command.split(" ");
    expect(error.action?.start).toEqual({ file, args });
    expect(error.hint).toContain(`with \`${command}\``);

    await mkdir(join(root, "Applications", "Docker.app"), { recursive: true });
    const both = problem(await checkDocker(machine({ platform: "darwin" })));
    expect(both.error.action?.command).toBe('open -ga "Docker"');
  });

  it("a Colima that never ran is known by its command", async () => {
    await install("docker", "colima");
    const { state, error } = problem(await checkDocker(machine({ platform: "darwin" })));
    expect(state).toBe("not-running");
    expect(error.action?.start).toEqual({ file: "colima", args: ["start"] });
  });

  it.each([
    ["darwin", "var/run/docker.sock", true],
    ["darwin", "elsewhere/docker.sock", false],
    ["linux", "var/run/docker.sock", false],
  ] as const)("on %s, who insists on %s hears of the setting that makes it: %s", async (platform, socket, named) => {
    await install("docker");
    const { state, error } = problem(await checkDocker(machine({ platform, host: `unix://${await at(socket)}` })));
    expect(state).toBe("not-running");
    expect(error.hint.includes("Allow the default Docker socket")).toBe(named);
  });

  it("takes the first in order that answers, past those that don't", async () => {
    await writeFile(await at("var/run/docker.sock"), "");
    await keep(scriptedSocket(() => undefined, await at("home/.docker/run/docker.sock")));
    const orbstack = await keep(scriptedEngine(healthy(), await at("home/.orbstack/run/docker.sock")));
    await keep(scriptedEngine(healthy(), await at("home/.rd/docker.sock")));
    expect(await checkDocker(machine({ platform: "darwin" }))).toMatchObject({
      state: "ready",
      endpoint: { socketPath: orbstack.socketPath, source: "socket" },
    });
  });

  it("takes the system's socket first: `docker` in a terminal does so too", async () => {
    const system = await keep(scriptedEngine(healthy(), await at("var/run/docker.sock")));
    await keep(scriptedEngine(healthy(), await at("home/.docker/run/docker.sock")));
    expect(await checkDocker(machine())).toMatchObject({ state: "ready", endpoint: { socketPath: system.socketPath } });
  });

  it("tells of the one that is nearest to working", async () => {
    await writeFile(await at("var/run/docker.sock"), "");
    const starting = await at("home/.docker/run/docker.sock");
    await keep(scriptedEngine((_request, response) => response.writeHead(500).end(), starting));
    expect(await checkDocker(machine())).toMatchObject({ state: "starting", endpoint: { socketPath: starting } });
  });
});
