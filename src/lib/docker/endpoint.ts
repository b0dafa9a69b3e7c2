import { promises as files } from "node:fs";
import { join } from "node:path";
import { TorbizError } from "../errors";

/** Where a Docker engine listens, and who said so. Exactly one of `socketPath` and `tcp` is set. */
export interface Endpoint {
  /** As the docker CLI writes it: `unix:///path`, `npipe:////./pipe/name` or `tcp://host:port`. */
  url: string;
  /** A unix socket, or a Windows named pipe. */
  socketPath?: string;
  tcp?: {
    protocol: "http" | "https";
    host: string;
    port: number;
    /** PEM. */
    ca?: Buffer;
    cert?: Buffer;
    key?: Buffer;
    /** The context says `SkipTLSVerify`. */
    skipVerify?: boolean;
  };
  source: "option" | "DOCKER_HOST" | "context" | "socket";
  /** The context's name, where one chose. */
  context?: string;
}

/** What decides which engine is meant. */
export interface DockerSurroundings {
  env: NodeJS.ProcessEnv;
  /** The user's home folder. */
  home: string;
  platform: NodeJS.Platform;
  /** From a flag or preference: outranks everything else. A URL, or just the path of a socket. */
  host?: string;
  /** Where the system's own folders begin, "/" unless told otherwise. */
  root?: string;
  /** Takes a sentence about something that was passed over, such as a broken config.json. */
  warn?: (message: string) => void;
}

const DEFAULT_SOCKET = "/var/run/docker.sock";
const DEFAULT_PIPE = "//./pipe/docker_engine";

/**
 * The engine that was chosen, by the docker CLI's own order (`resolveContextName` in docker/cli, cli/command/cli.go):
 * option > DOCKER_HOST > DOCKER_CONTEXT > `currentContext` of config.json. Where nothing chooses, the usual sockets of
 * this platform in the order to try them; they need not exist. A named context is never passed over in silence.
 *
 * @throws TorbizError docker-context-missing, docker-host-unsupported
 */
export async function resolveEndpoints(surroundings: DockerSurroundings): Promise<Endpoint[]> {
  const { env, host } = surroundings;
  if (host) return [await parseHost(host, "option", surroundings)];
  if (env.DOCKER_HOST) return [await parseHost(env.DOCKER_HOST, "DOCKER_HOST", surroundings)];
  const context = env.DOCKER_CONTEXT || (await currentContext(surroundings));
  if (context) return [await contextEndpoint(context, surroundings)];
  const sockets = await knownSockets(surroundings);
  return sockets.map((socketPath) => ({ ...local(socketPath), source: "socket" }));
}

/** Where engines usually listen on this platform and where the Docker contexts point; nothing need be there. */
export async function knownEndpoints(surroundings: DockerSurroundings): Promise<Endpoint[]> {
  const sockets = await knownSockets(surroundings);
  const names = await contextNames(join(configFolder(surroundings), "contexts"));
  const contexts = await Promise.all(names.map((name) => contextEndpoint(name, surroundings).catch(() => undefined)));
  // One with certificates can only be chosen as a context: an address alone would not bring them.
  const plain = contexts.filter((found) => found !== undefined).filter(({ tcp }) => tcp?.protocol !== "https");
  return [...sockets.map((socketPath): Endpoint => ({ ...local(socketPath), source: "socket" })), ...plain];
}

/** The endpoint for people: its address, and who chose it. */
export function describeEndpoint(endpoint: Endpoint): string {
  switch (endpoint.source) {
    case "option":
      return `${endpoint.url} (as chosen for Torbiz)`;
    case "DOCKER_HOST":
      return `${endpoint.url} (from DOCKER_HOST)`;
    case "context":
      return `${endpoint.url} (Docker context "${endpoint.context}")`;
    case "socket":
      return endpoint.url;
  }
}

/** DOCKER_CONFIG names a folder, not the file in it. */
function configFolder({ env, home }: DockerSurroundings): string {
  return env.DOCKER_CONFIG || join(home, ".docker");
}

function local(socketPath: string): Pick<Endpoint, "url" | "socketPath"> {
  const scheme = /^[/\\]{2}/.test(socketPath) ? "npipe" : "unix";
  return { url: `${scheme}://${socketPath}`, socketPath };
}

async function parseHost(
  host: string,
  source: "option" | "DOCKER_HOST",
  surroundings: DockerSurroundings,
): Promise<Endpoint> {
  const { env, home } = surroundings;
  if (/^[/\\]/.test(host)) return { ...local(host), source };
  if (host.startsWith("~/")) return { ...local(join(home, host.slice(2))), source };
  const tls = env.DOCKER_TLS_VERIFY
    ? { folder: env.DOCKER_CERT_PATH || configFolder(surroundings), skipVerify: false }
    : undefined;
  return { ...(await parseUrl(host, source === "option" ? "The Docker host" : source, surroundings, tls)), source };
}

interface TlsFiles {
  folder: string;
  skipVerify: boolean;
}

async function parseUrl(
  text: string,
  origin: string,
  { platform }: DockerSurroundings,
  tls?: TlsFiles,
): Promise<Pick<Endpoint, "url" | "socketPath" | "tcp">> {
  const unsupported = (why: string) => new TorbizError("docker-host-unsupported", `${origin} is "${text}": ${why}`);
  // The docker CLI takes "localhost:2375" for tcp.
  const [, scheme = "tcp", rest = ""] = /^(?:([a-z]+):\/\/)?(.*)$/s.exec(text) ?? [];
  if (scheme === "unix" || scheme === "npipe") {
    const socketPath = rest || (platform === "win32" ? DEFAULT_PIPE : DEFAULT_SOCKET);
    if (scheme === "unix" && !socketPath.startsWith("/")) throw unsupported("the path of its socket isn't absolute.");
    return local(socketPath);
  }
  if (scheme === "ssh") {
    throw new TorbizError("docker-host-unsupported", `${origin} is "${text}": Torbiz can't reach Docker through SSH.`, {
      hint: "Forward the socket (`ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`) and use unix:///tmp/docker.sock.",
    });
  }
  if (scheme !== "tcp" && scheme !== "http" && scheme !== "https") throw unsupported(`"${scheme}" isn't supported.`);
  const secure = tls !== undefined || scheme === "https";
  const url = URL.canParse(`tcp://${rest}`) ? new URL(`tcp://${rest}`) : undefined;
  if (!url?.hostname || (!text.includes("://") && !url.port)) throw unsupported("that isn't an address.");
  const port = url.port ? Number(url.port) : secure ? 2376 : 2375;
  const files = tls ? await readTls(tls.folder, origin) : {};
  return {
    url: `tcp://${url.hostname}:${port}`,
    tcp: {
      protocol: secure ? "https" : "http",
      // Node's http wants IPv6 addresses without their brackets.
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port,
      ...files,
      ...(tls?.skipVerify ? { skipVerify: true } : {}),
    },
  };
}

/** The TLS files of a folder, those that exist: a server may ask for no client certificate. */
async function readTls(folder: string, origin: string): Promise<{ ca?: Buffer; cert?: Buffer; key?: Buffer }> {
  const read = async (name: string) => {
    try {
      return await files.readFile(join(folder, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw new TorbizError("docker-host-unsupported", `${origin} needs ${join(folder, name)}, which can't be read.`, {
        hint: "Make the file readable, or choose another Docker host.",
        cause: error,
      });
    }
  };
  const [ca, cert, key] = await Promise.all([read("ca.pem"), read("cert.pem"), read("key.pem")]);
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

async function currentContext(surroundings: DockerSurroundings): Promise<string | undefined> {
  const name = field(await readConfig(surroundings), "currentContext");
  return typeof name === "string" && name !== "" ? name : undefined;
}

/** The docker CLI's config.json, undefined where there is none. */
export async function readConfig(surroundings: DockerSurroundings): Promise<unknown> {
  const file = join(configFolder(surroundings), "config.json");
  try {
    return JSON.parse(await files.readFile(file, "utf8")) as unknown;
  } catch (error) {
    // The docker CLI warns and goes on with its default as well.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      surroundings.warn?.(`${file} can't be read (${(error as Error).message}), so no Docker context is selected.`);
    }
    return undefined;
  }
}

async function contextEndpoint(name: string, surroundings: DockerSurroundings): Promise<Endpoint> {
  if (name === "default") {
    // Virtual: it has no file.
    const socketPath = surroundings.platform === "win32" ? DEFAULT_PIPE : systemPath(surroundings, DEFAULT_SOCKET);
    return { ...local(socketPath), source: "context", context: name };
  }
  const contexts = join(configFolder(surroundings), "contexts");
  // Not with the module: the menu bar loads that anew every ten seconds.
  const { createHash } = process.getBuiltinModule("node:crypto");
  const id = createHash("sha256").update(name).digest("hex");
  const file = join(contexts, "meta", id, "meta.json");
  let meta: unknown;
  try {
    meta = JSON.parse(await files.readFile(file, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      throw new TorbizError(
        "docker-context-missing",
        `The Docker context "${name}" is selected, but ${file} is broken.`,
        {
          cause: error,
        },
      );
    }
    const others = await contextNames(contexts);
    throw new TorbizError(
      "docker-context-missing",
      `The Docker context "${name}" is selected, but doesn't exist. There are: ${others.join(", ")}.`,
      { details: { context: name, contexts: others } },
    );
  }
  const docker = field(field(meta, "Endpoints"), "docker");
  const host = field(docker, "Host");
  if (typeof host !== "string" || host === "") {
    throw new TorbizError("docker-host-unsupported", `The Docker context "${name}" names no Docker host.`, {
      hint: "Choose another with `docker context use NAME`.",
    });
  }
  const folder = join(contexts, "tls", id, "docker");
  const skipVerify = field(docker, "SkipTLSVerify") === true;
  const hasTls = skipVerify || (await files.readdir(folder).catch(() => [])).length > 0;
  const tls = hasTls ? { folder, skipVerify } : undefined;
  const endpoint = await parseUrl(host, `The Docker context "${name}"`, surroundings, tls);
  return { ...endpoint, source: "context", context: name };
}

async function contextNames(contexts: string): Promise<string[]> {
  const folder = join(contexts, "meta");
  const ids = await files.readdir(folder).catch(() => []);
  const names = await Promise.all(
    ids.map(async (id) => {
      const text = await files.readFile(join(folder, id, "meta.json"), "utf8").catch(() => "{}");
      try {
        return field(JSON.parse(text), "Name");
      } catch {
        return undefined;
      }
    }),
  );
  return ["default", ...names.filter((name) => typeof name === "string").sort()];
}

/**
 * The system's socket first: it is what `docker` in a terminal talks to when nothing chooses, so `docker ps` shows
 * the same containers. Then the sockets that engines put elsewhere.
 */
async function knownSockets(surroundings: DockerSurroundings): Promise<string[]> {
  const { env, home, platform } = surroundings;
  if (platform === "win32") {
    return [DEFAULT_PIPE, "//./pipe/dockerDesktopLinuxEngine", "//./pipe/podman-machine-default"];
  }
  const inHome = (...parts: string[]) => join(home, ...parts);
  const colima = [
    inHome(".colima", "default", "docker.sock"),
    ...(await inEach(inHome(".colima"), "docker.sock")),
    inHome(".colima", "docker.sock"),
  ];
  const lima = await inEach(inHome(".lima"), "sock", "docker.sock");
  const found =
    platform === "darwin"
      ? [
          systemPath(surroundings, DEFAULT_SOCKET),
          inHome(".docker", "run", "docker.sock"),
          inHome(".orbstack", "run", "docker.sock"),
          ...colima,
          inHome(".rd", "docker.sock"),
          inHome(".local", "share", "containers", "podman", "machine", "podman.sock"),
          ...(await podmanApiSockets(env)),
          ...lima,
        ]
      : [
          systemPath(surroundings, DEFAULT_SOCKET),
          ...userRuntimeFolders(surroundings).map((folder) => join(folder, "docker.sock")),
          inHome(".docker", "run", "docker.sock"),
          inHome(".docker", "desktop", "docker.sock"),
          ...colima,
          inHome(".rd", "docker.sock"),
          ...userRuntimeFolders(surroundings).map((folder) => join(folder, "podman", "podman.sock")),
          systemPath(surroundings, "/run/podman/podman.sock"),
          ...lima,
        ];
  return [...new Set(found)];
}

function userRuntimeFolders(surroundings: DockerSurroundings): string[] {
  const uid = process.getuid?.();
  const own = uid === undefined ? [] : [systemPath(surroundings, `/run/user/${uid}`)];
  return surroundings.env.XDG_RUNTIME_DIR ? [surroundings.env.XDG_RUNTIME_DIR, ...own] : own;
}

async function podmanApiSockets(env: NodeJS.ProcessEnv): Promise<string[]> {
  if (!env.TMPDIR) return [];
  const folder = join(env.TMPDIR, "podman");
  const names = await files.readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith("-api.sock")).map((name) => join(folder, name));
}

/** `parts` under every folder in `folder`: Colima's profiles, Lima's machines. */
async function inEach(folder: string, ...parts: string[]): Promise<string[]> {
  const entries = await files.readdir(folder, { withFileTypes: true }).catch(() => []);
  const names = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith("_")).map(({ name }) => name);
  return names.sort().map((name) => join(folder, name, ...parts));
}

function systemPath({ root = "/" }: DockerSurroundings, path: string): string {
  return root === "/" ? path : join(root, path);
}

/** A field of a file as the docker command reads it: in any case, and of several the last. */
function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).findLast(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
}
