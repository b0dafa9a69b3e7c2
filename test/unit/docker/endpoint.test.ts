import fc from "fast-check";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveEndpoints, type DockerSurroundings, type Endpoint } from "../../../src/lib/docker/endpoint";
import { TorbizError } from "../../../src/lib/errors";

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "torbiz-home-"));
});

afterEach(() => rm(home, { recursive: true, force: true }));

function resolve(env: NodeJS.ProcessEnv = {}, more: Partial<DockerSurroundings> = {}) {
  return resolveEndpoints({ env, home, platform: "linux", ...more });
}

async function config(content: unknown, folder = join(home, ".docker")): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), typeof content === "string" ? content : JSON.stringify(content));
}

async function context(name: string, docker: object, tls: Record<string, string> = {}): Promise<void> {
  const id = createHash("sha256").update(name).digest("hex");
  const meta = join(home, ".docker", "contexts", "meta", id);
  await mkdir(meta, { recursive: true });
  await writeFile(join(meta, "meta.json"), JSON.stringify({ Name: name, Endpoints: { docker } }));
  const files = Object.entries(tls);
  const folder = join(home, ".docker", "contexts", "tls", id, "docker");
  if (files.length > 0) await mkdir(folder, { recursive: true });
  for (const [file, text] of files) await writeFile(join(folder, file), text);
}

describe("the order of what chooses an engine", () => {
  beforeEach(async () => {
    await config({ currentContext: "current" });
    await context("current", { Host: "unix:///current.sock" });
    await context("named", { Host: "unix:///named.sock" });
  });

  it.each([
    ["the option", { DOCKER_HOST: "unix:///env.sock", DOCKER_CONTEXT: "named" }, "unix:///option.sock", "/option.sock"],
    ["DOCKER_HOST", { DOCKER_HOST: "unix:///env.sock", DOCKER_CONTEXT: "named" }, undefined, "/env.sock"],
    ["DOCKER_CONTEXT", { DOCKER_HOST: "", DOCKER_CONTEXT: "named" }, "", "/named.sock"],
    ["currentContext", { DOCKER_CONTEXT: "" }, undefined, "/current.sock"],
  ])("%s comes next", async (_what, env, host, socketPath) => {
    const endpoints = await resolve(env, { host });
    expect(endpoints.map((endpoint) => endpoint.socketPath)).toEqual([socketPath]);
  });

  it("says who chose", async () => {
    expect(await resolve()).toEqual([
      { url: "unix:///current.sock", socketPath: "/current.sock", source: "context", context: "current" },
    ]);
    expect(await resolve({ DOCKER_HOST: "unix:///env.sock" })).toMatchObject([{ source: "DOCKER_HOST" }]);
  });

  it("takes the virtual context named default for the system's socket", async () => {
    expect(await resolve({ DOCKER_CONTEXT: "default" })).toMatchObject([
      { socketPath: "/var/run/docker.sock", source: "context", context: "default" },
    ]);
  });

  it("reads DOCKER_CONFIG as a folder", async () => {
    const elsewhere = join(home, "elsewhere");
    await config({ currentContext: "default" }, elsewhere);
    expect(await resolve({ DOCKER_CONFIG: elsewhere })).toMatchObject([{ context: "default" }]);
  });
});

describe("addresses", () => {
  it.each([
    ["/a/docker.sock", { url: "unix:///a/docker.sock", socketPath: "/a/docker.sock" }],
    ["unix://", { url: "unix:///var/run/docker.sock", socketPath: "/var/run/docker.sock" }],
    ["npipe:////./pipe/docker_engine", { url: "npipe:////./pipe/docker_engine", socketPath: "//./pipe/docker_engine" }],
    ["tcp://box:2300", { url: "tcp://box:2300", tcp: { protocol: "http", host: "box", port: 2300 } }],
    ["tcp://box", { url: "tcp://box:2375", tcp: { protocol: "http", host: "box", port: 2375 } }],
    ["tcp://box:80", { url: "tcp://box:80", tcp: { protocol: "http", host: "box", port: 80 } }],
    ["box:2375", { url: "tcp://box:2375", tcp: { protocol: "http", host: "box", port: 2375 } }],
    ["tcp://[::1]:2375", { url: "tcp://[::1]:2375", tcp: { protocol: "http", host: "::1", port: 2375 } }],
    ["https://box", { url: "tcp://box:2376", tcp: { protocol: "https", host: "box", port: 2376 } }],
  ])("%s", async (host, endpoint) => {
    expect(await resolve({}, { host })).toEqual([{ ...endpoint, source: "option" }]);
    if (host.includes("://"))
      expect(await resolve({ DOCKER_HOST: host })).toEqual([{ ...endpoint, source: "DOCKER_HOST" }]);
  });

  it("takes ~ in an option for the home folder", async () => {
    expect(await resolve({}, { host: "~/x.sock" })).toMatchObject([{ socketPath: join(home, "x.sock") }]);
  });

  it.each(["ssh://me@box", "fd://", "unix://relative.sock", "nonsense", "tcp://:2375", "tcp://box:99999"])(
    "%s is not supported, and the message names it",
    async (host) => {
      await expect(resolve({ DOCKER_HOST: host })).rejects.toMatchObject({
        code: "docker-host-unsupported",
        message: expect.stringContaining(`DOCKER_HOST is "${host}"`) as string,
      });
    },
  );

  it("reads TLS files by DOCKER_TLS_VERIFY and DOCKER_CERT_PATH", async () => {
    await writeFile(join(home, "ca.pem"), "the ca");
    const [endpoint] = await resolve({ DOCKER_HOST: "tcp://box", DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: home });
    expect(endpoint?.tcp).toEqual({ protocol: "https", host: "box", port: 2376, ca: Buffer.from("the ca") });
  });
});

describe("contexts", () => {
  it("read their TLS files", async () => {
    await context(
      "safe",
      { Host: "tcp://box:2376", SkipTLSVerify: false },
      { "ca.pem": "A", "cert.pem": "B", "key.pem": "C" },
    );
    const [endpoint] = await resolve({ DOCKER_CONTEXT: "safe" });
    expect(endpoint?.tcp).toEqual({
      protocol: "https",
      host: "box",
      port: 2376,
      ca: Buffer.from("A"),
      cert: Buffer.from("B"),
      key: Buffer.from("C"),
    });
  });

  it("may skip the check of the certificate", async () => {
    await context("lax", { Host: "tcp://box:2376", SkipTLSVerify: true });
    expect(await resolve({ DOCKER_CONTEXT: "lax" })).toMatchObject([{ tcp: { protocol: "https", skipVerify: true } }]);
  });

  it("fail by name when missing, with those that exist", async () => {
    await context("colima", { Host: "unix:///c.sock" });
    await context("another", { Host: "unix:///a.sock" });
    await config({ currentContext: "gone" });
    await expect(resolve()).rejects.toMatchObject({
      code: "docker-context-missing",
      message: 'The Docker context "gone" is selected, but doesn\'t exist. There are: default, another, colima.',
      details: { context: "gone", contexts: ["default", "another", "colima"] },
    });
  });

  it("fail by name when their file is broken", async () => {
    const id = createHash("sha256").update("torn").digest("hex");
    await mkdir(join(home, ".docker", "contexts", "meta", id), { recursive: true });
    await writeFile(join(home, ".docker", "contexts", "meta", id, "meta.json"), '{"Name": "to');
    await expect(resolve({ DOCKER_CONTEXT: "torn" })).rejects.toMatchObject({
      code: "docker-context-missing",
      message: expect.stringMatching(/"torn".*broken/) as string,
    });
  });

  it("refuse ssh and an absent host by the context's name", async () => {
    await context("far", { Host: "ssh://me@box" });
    await context("empty", {});
    for (const name of ["far", "empty"]) {
      await expect(resolve({ DOCKER_CONTEXT: name })).rejects.toMatchObject({
        code: "docker-host-unsupported",
        message: expect.stringContaining(`"${name}"`) as string,
      });
    }
  });
});

describe("without a choice", () => {
  const sockets = async (more: Partial<DockerSurroundings>, env: NodeJS.ProcessEnv = {}) =>
    (await resolve(env, more)).map(({ socketPath }) => socketPath);

  it.each(["{broken", '"text"', "null", "[]", '{"currentContext": 5}', '{"currentContext": ""}'])(
    "config.json %s selects nothing",
    async (content) => {
      await config(content);
      expect((await resolve()).every(({ source }) => source === "socket")).toBe(true);
    },
  );

  it("warns of a broken config.json, and only of that", async () => {
    const warnings: string[] = [];
    const warn = (message: string) => warnings.push(message);
    await resolve({}, { warn });
    expect(warnings).toEqual([]);
    await config("{broken");
    await resolve({}, { warn });
    expect(warnings).toEqual([expect.stringContaining(join(home, ".docker", "config.json"))]);
  });

  it("offers macOS's sockets, the system's first", async () => {
    await mkdir(join(home, ".colima", "large"), { recursive: true });
    await mkdir(join(home, ".colima", "_lima"), { recursive: true });
    await mkdir(join(home, ".lima", "vm"), { recursive: true });
    await mkdir(join(home, "tmp", "podman"), { recursive: true });
    await writeFile(join(home, "tmp", "podman", "podman-machine-default-api.sock"), "");
    expect(await sockets({ platform: "darwin" }, { TMPDIR: join(home, "tmp") })).toEqual([
      "/var/run/docker.sock",
      join(home, ".docker/run/docker.sock"),
      join(home, ".orbstack/run/docker.sock"),
      join(home, ".colima/default/docker.sock"),
      join(home, ".colima/large/docker.sock"),
      join(home, ".colima/docker.sock"),
      join(home, ".rd/docker.sock"),
      join(home, ".local/share/containers/podman/machine/podman.sock"),
      join(home, "tmp/podman/podman-machine-default-api.sock"),
      join(home, ".lima/vm/sock/docker.sock"),
    ]);
  });

  it("offers Linux's sockets: the system's, rootless Docker's, Desktop's, Podman's", async () => {
    const found = await sockets({}, { XDG_RUNTIME_DIR: "/run/user/77" });
    const expected = [
      "/var/run/docker.sock",
      "/run/user/77/docker.sock",
      `/run/user/${process.getuid?.()}/docker.sock`,
      join(home, ".docker/desktop/docker.sock"),
      "/run/user/77/podman/podman.sock",
      "/run/podman/podman.sock",
    ];
    expect(found.filter((path) => expected.includes(path ?? ""))).toEqual(expected);
    expect(new Set(found).size).toBe(found.length);
  });

  it("offers Windows's pipes", async () => {
    expect(await resolve({}, { platform: "win32" })).toContainEqual({
      url: "npipe:////./pipe/dockerDesktopLinuxEngine",
      socketPath: "//./pipe/dockerDesktopLinuxEngine",
      source: "socket",
    });
  });
});

describe("any configuration", () => {
  /** What stands in a file: JSON of any shape, near misses of what should be there, and no JSON at all. */
  const content = fc.oneof(
    fc.json(),
    fc.string(),
    fc
      .record({ currentContext: fc.oneof(fc.jsonValue(), fc.constantFrom("mine", "default", "../mine")) })
      .map((value) => JSON.stringify(value)),
  );
  const meta = fc.oneof(
    fc.json(),
    fc.string(),
    fc
      .record({ Host: fc.oneof(fc.jsonValue(), fc.webUrl(), fc.constantFrom("unix:///x", "ssh://a", "tcp://b", "")) })
      .map((docker) => JSON.stringify({ Name: "mine", Endpoints: { docker } })),
  );
  const setting = fc.option(fc.oneof(fc.string(), fc.webUrl(), fc.constantFrom("mine", "unix:///x", "tcp://[::1]:1")), {
    nil: undefined,
  });

  it("resolves to endpoints or to an error of the catalogue", async () => {
    const folder = join(home, ".docker", "contexts", "meta", createHash("sha256").update("mine").digest("hex"));
    await mkdir(folder, { recursive: true });
    const given = fc.record({ content, meta, host: setting, hostVariable: setting, contextVariable: setting });
    await fc.assert(
      fc.asyncProperty(given, async ({ content, meta, host, hostVariable, contextVariable }) => {
        await writeFile(join(home, ".docker", "config.json"), content);
        await writeFile(join(folder, "meta.json"), meta);
        const env = { DOCKER_HOST: hostVariable, DOCKER_CONTEXT: contextVariable };
        const found = await resolve(env, { host }).catch((error: unknown) => error);
        if (!Array.isArray(found)) return expect(found).toBeInstanceOf(TorbizError);
        for (const { url, socketPath, tcp } of found as Endpoint[]) {
          expect(url).toMatch(/^(unix|npipe|tcp):\/\//);
          expect(socketPath === undefined).toBe(tcp !== undefined);
        }
      }),
    );
  });
});
