import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import Dockerode from "dockerode";
import { TorbizError } from "../errors";
import { attachStdin } from "./attach";
import { DeliveredLines } from "./delivered-lines";
import { demultiplex, type LogLine } from "./demux";
import { interrupted, toDockerError } from "./docker-error";
import { describeEndpoint, type Endpoint } from "./endpoint";
import { getJson, inspectContainer, patient, postJson } from "./http";
import { EVENTS, readEvents, type ContainerEvent } from "./events";
import { withLimits, type Limits } from "./limits";
import { toStats, type ContainerStats } from "./stats";
import { packFile, unpackFile } from "./tar";

export interface ImageFacts {
  /** "sha256:..." */
  id: string;
  labels: Readonly<Record<string, string>>;
  sizeBytes: number;
}

/** An image as a list of them has it. */
export interface ListedImage {
  /** "sha256:..." */
  id: string;
  /** Its names; empty where it has none. */
  tags: string[];
  labels: Readonly<Record<string, string>>;
}

/** An entry of the cache that BuildKit keeps of its builds' steps. */
export interface CacheEntry {
  id: string;
  /** What made it: "mount / from exec /bin/sh -c pip ...", "[packages 3/12] COPY ...", or of old engines "fileop target". */
  description: string;
  /** The entries that it stands on. */
  parents: readonly string[];
  bytes: number;
  /** Its files are an image's, too. */
  shared: boolean;
}

/** What holds how much, in bytes. */
export interface DiskUsage {
  /** By id: what each wrote into its own layer. Its log isn't counted by the engine. */
  containers: ReadonlyMap<string, number>;
  /** By name; without those that the engine doesn't count. */
  volumes: ReadonlyMap<string, number>;
  /** By id: what no other image has, too. */
  images: ReadonlyMap<string, number>;
  buildCache: CacheEntry[];
}

/** As the engine says it. */
interface EngineUsage {
  Containers?: { Id: string; SizeRw?: number }[] | null;
  Volumes?: { Name: string; UsageData?: { Size: number } | null }[] | null;
  Images?: { Id: string; Size?: number; SharedSize?: number }[] | null;
  BuildCache?:
    | {
        ID: string;
        Description?: string;
        /** Before API 1.42. */
        Parent?: string;
        Parents?: string[] | null;
        /** As engine 26 spells it. */
        " Parents"?: string[] | null;
        Size?: number;
        Shared?: boolean;
      }[]
    | null;
}

export interface LogOptions {
  /** Go on with new lines until the container ends. */
  follow?: boolean;
  /** Only this many of the last lines; all when absent. */
  tail?: number;
  /** Only lines stamped at or after this `LogLine.time`: the line it comes from is repeated. */
  since?: string;
  /** Ends the iteration quietly. */
  signal?: AbortSignal;
}

export interface EventOptions {
  /** Also what happened since then, ISO 8601. */
  since?: string;
  /** Ends the iteration quietly. */
  signal?: AbortSignal;
}

export interface RunOptions {
  image: string;
  name: string;
  /** As for `createContainer`; without a TTY. */
  options: ContainerOptions;
  onLine?: (line: LogLine) => void;
  /** Kills and removes the container; `run` then throws. */
  signal?: AbortSignal;
}

export interface RunResult {
  exitCode: number;
  /** The last 50 lines, both streams. */
  lines: string[];
}

/** What a container is made from, in the Engine API's words; limits and name are given apart. */
export type ContainerOptions = Omit<Dockerode.ContainerCreateOptions, "name" | "abortSignal">;

/** The newest API that this code was written for; an older engine's own is used with it. */
const NEWEST_API = "1.47";
const STDIN_GRACE_MS = 3_000;
/** An engine answers only when all of an image's or a build's many thousands of files are gone: so much longer it may take. */
const REMOVAL = 10;
const KEPT_LINES = 50;

/** How long calls may take, in milliseconds. */
export interface EngineLimits {
  /** Questions and signals. */
  quick: number;
  /** What makes or starts something: Docker Desktop may have to wake its virtual machine first. */
  slow: number;
}

/** Opens a stream of the engine, which ends with the signal; dockerode's types leave out that it can be iterated. */
type OpenStream = (abortSignal: AbortSignal) => Promise<AsyncIterable<Buffer> | Iterable<Buffer>>;

/**
 * The Docker Engine API as far as Torbiz needs it: actions and logs by dockerode, questions by the same light calls that
 * the menu bar makes. Every call ends within its limit, and every failure is a TorbizError.
 *
 * @example
 * const engine = new Engine(endpoint, facts.apiVersion);
 * const container = await engine.inspect("torbiz-petals-seeder");
 */
export class Engine {
  private readonly docker: Dockerode;
  private readonly version: string;

  /**
   * @param apiVersion the engine's newest, "1.41"
   * @param limits defaults fit a busy machine
   * @throws TorbizError docker-host-unsupported when DOCKER_HOST or its TLS files are unusable
   */
  constructor(
    readonly endpoint: Endpoint,
    apiVersion: string,
    private readonly limits: EngineLimits = { quick: 10_000, slow: 30_000 },
  ) {
    this.version = minorOf(apiVersion) < minorOf(NEWEST_API) ? apiVersion : NEWEST_API;
    this.docker = connect(endpoint, this.version);
  }

  /** An image by tag or id, undefined when the engine has none. */
  async image(tag: string): Promise<ImageFacts | undefined> {
    const path = `/images/${encodeURIComponent(tag)}/json`;
    const answer = await this.unlessStatus([404], () => this.ask(path, this.patient()));
    const info = answer as Dockerode.ImageInspectInfo | undefined;
    if (!info) return undefined;
    if (typeof info.Id !== "string" || typeof info.Size !== "number") throw this.unexpected("image");
    return { id: info.Id, labels: info.Config?.Labels ?? {}, sizeBytes: info.Size };
  }

  /** A container by name or id, undefined when there is none. */
  async inspect(nameOrId: string): Promise<Dockerode.ContainerInspectInfo | undefined> {
    const limits = { timeoutMs: this.limits.quick };
    const info = (await inspectContainer(this.endpoint, nameOrId, limits)) as
      Dockerode.ContainerInspectInfo | undefined;
    if (!info) return undefined;
    if (typeof info.Id !== "string" || typeof info.State?.Status !== "string") throw this.unexpected("container");
    return info;
  }

  /**
   * All containers with a label, running or not.
   * @param label "key" or "key=value"
   */
  async list(label: string): Promise<Dockerode.ContainerInfo[]> {
    const query = new URLSearchParams({ all: "true", filters: JSON.stringify({ label: [label] }) });
    const found = await this.ask(`/containers/json?${query}`);
    if (!Array.isArray(found)) throw this.unexpected("list of containers");
    return found as Dockerode.ContainerInfo[];
  }

  /**
   * Makes a container and returns its id.
   * @throws TorbizError image-missing; docker-request-failed with `details.statusCode` 409 when the name is taken
   */
  async createContainer(name: string, options: ContainerOptions): Promise<string> {
    const container = await withLimits(this.endpoint, this.patient(this.limits.slow), (abortSignal) =>
      this.docker.createContainer({ ...options, name, abortSignal }),
    );
    if (typeof container.id !== "string") throw this.unexpected("new container");
    return container.id;
  }

  /**
   * Starts a container; one that runs already is left as it is.
   * @throws TorbizError port-in-use, disk-full, ...: the container is still there then, and the caller's to remove
   */
  async start(id: string): Promise<void> {
    await this.unlessStatus([304], () =>
      this.call(this.limits.slow, (abortSignal) => this.docker.getContainer(id).start({ abortSignal })),
    );
  }

  /** Starts a container made with OpenStdin and StdinOnce, writes `text` to its stdin and closes that. */
  async startWithStdin(id: string, text: string): Promise<void> {
    const limits = { timeoutMs: this.limits.slow };
    const stdin = await attachStdin(this.endpoint, this.version, id, limits);
    try {
      await this.start(id);
      await withLimits(
        this.endpoint,
        limits,
        () =>
          new Promise<void>((resolve, reject) => {
            stdin.on("error", reject);
            // The engine closes the stream when it has passed everything on. Should one keep it open while the
            // container runs, all is in its hands by then.
            stdin.on("close", resolve);
            stdin.resume();
            stdin.end(text, () => setTimeout(resolve, STDIN_GRACE_MS).unref());
          }),
      );
    } finally {
      stdin.destroy();
    }
  }

  /**
   * Sends the container's stop signal, and kills it after `seconds`. Resolves when it has ended; one that has ended
   * already, or is gone, is fine.
   */
  async stop(id: string, seconds: number): Promise<void> {
    await this.unlessStatus([304, 404], () =>
      this.call(seconds * 1_000 + 15_000, (abortSignal) =>
        this.docker.getContainer(id).stop({ t: seconds, abortSignal }),
      ),
    );
  }

  /** Sends a signal ("SIGINT") to a container; one that has ended already, or is gone, is fine. */
  async kill(id: string, signal: string): Promise<void> {
    await this.unlessStatus([404, 409], () =>
      this.call(this.limits.quick, (abortSignal) => this.docker.getContainer(id).kill({ signal, abortSignal })),
    );
  }

  /** Lets a paused container go on; one that isn't paused, or is gone, is fine. */
  async unpause(id: string): Promise<void> {
    try {
      await this.unlessStatus([404, 409], () =>
        this.call(this.limits.quick, (abortSignal) => this.docker.getContainer(id).unpause({ abortSignal })),
      );
    } catch (error) {
      // 20.10 calls it a failure of its own, newer engines a conflict.
      if (!/is not paused/i.test((error as Error).message)) throw error;
    }
  }

  /**
   * Removes a container and its anonymous volumes; resolves when its name is free. One that is gone, or that somebody
   * else is removing, is fine.
   * @throws TorbizError docker-request-failed when it runs and `force` isn't set
   */
  async remove(id: string, { force }: { force: boolean }): Promise<void> {
    try {
      await this.unlessStatus([404], () =>
        this.call(this.limits.slow, (abortSignal) =>
          this.docker.getContainer(id).remove({ force, v: true, abortSignal }),
        ),
      );
    } catch (error) {
      if (statusOf(error) !== 409 || !/already in progress/i.test((error as Error).message)) throw error;
    }
    // The name stays taken a while after a removal that somebody else began.
    await this.until(id, "is still being removed", (info) => info === undefined);
  }

  /**
   * A small file in a container, which may have ended, or in a volume of its; undefined when either is not there.
   * What is in a tmpfs can't be read.
   */
  async readFile(id: string, path: string): Promise<Buffer | undefined> {
    return this.unlessStatus([404], () =>
      this.call(this.limits.quick, async (abortSignal) => {
        const archive = await this.docker.getContainer(id).getArchive({ path, abortSignal });
        const chunks: Buffer[] = [];
        for await (const chunk of archive) chunks.push(chunk as Buffer);
        return unpackFile(Buffer.concat(chunks));
      }),
    );
  }

  /** Writes a small file into a folder of a container: of a volume where its own files are read-only. It will be root's. */
  async writeFile(id: string, folder: string, name: string, content: string): Promise<void> {
    await this.call(this.limits.quick, (abortSignal) =>
      this.docker.getContainer(id).putArchive(packFile(name, content), { path: folder, abortSignal }),
    );
  }

  /** Makes a volume unless there is one of that name. */
  async ensureVolume(name: string, labels: Record<string, string>): Promise<void> {
    await this.call(this.limits.slow, (abortSignal) =>
      this.docker.createVolume({ Name: name, Labels: { ...labels }, abortSignal }),
    );
  }

  /** A volume's labels, undefined when there is no such volume. */
  async volume(name: string): Promise<Readonly<Record<string, string>> | undefined> {
    const info = await this.unlessStatus([404], () => this.ask(`/volumes/${encodeURIComponent(name)}`));
    return info === undefined ? undefined : ((info as { Labels?: Record<string, string> | null }).Labels ?? {});
  }

  /** What holds how much, as the engine counts it; one that doesn't has nothing. It looks at all that it has, which takes it a while. */
  async diskUsage(): Promise<DiskUsage> {
    const answer = await this.unlessStatus([404], () => this.ask("/system/df", this.patient(this.limits.slow)));
    const usage: EngineUsage = answer ?? {};
    const volumes = (usage.Volumes ?? []).map(({ Name, UsageData }) => [Name, UsageData?.Size ?? -1] as const);
    const images = (usage.Images ?? []).map(
      ({ Id, Size = 0, SharedSize = 0 }) => [Id, Size - Math.max(SharedSize, 0)] as const,
    );
    return {
      // Without SizeRw it has written nothing.
      containers: new Map((usage.Containers ?? []).map(({ Id, SizeRw = 0 }) => [Id, SizeRw])),
      volumes: new Map(volumes.filter(([, bytes]) => bytes >= 0)),
      images: new Map(images),
      buildCache: (usage.BuildCache ?? []).map(({ ID, Description, Parent, Size, Shared, ...entry }) => ({
        ...{ id: ID, description: Description ?? "", bytes: Size ?? 0, shared: Shared ?? false },
        parents: entry.Parents ?? entry[" Parents"] ?? (Parent ? [Parent] : []),
      })),
    };
  }

  /** Removes these entries of the build cache, but for those that another entry or a build needs. */
  async removeFromBuildCache(ids: readonly string[]): Promise<void> {
    // Without a filter all of it would go.
    if (ids.length === 0) return;
    const query = new URLSearchParams({ all: "true", filters: JSON.stringify({ id: [`^(${ids.join("|")})$`] }) });
    const limits = { timeoutMs: REMOVAL * this.limits.slow };
    await postJson(this.endpoint, `/v${this.version}/build/prune?${query}`, limits);
  }

  /** Removes a volume; one that is gone is fine. @throws TorbizError docker-request-failed while a container has it */
  async removeVolume(name: string): Promise<void> {
    await this.unlessStatus([404], () =>
      this.call(this.limits.slow, (abortSignal) => this.docker.getVolume(name).remove({ abortSignal })),
    );
  }

  /** All images with this label that have a name, or that no other image stands on. */
  async images(label: string): Promise<ListedImage[]> {
    const query = new URLSearchParams({ filters: JSON.stringify({ label: [label] }) });
    const images = await this.unlessStatus([404], () => this.ask(`/images/json?${query}`, this.patient()));
    type Listed = { Id: string; RepoTags?: string[] | null; Labels?: Record<string, string> | null };
    return ((images ?? []) as Listed[]).map(({ Id, RepoTags, Labels }) => ({
      id: Id,
      // Before API 1.43 one without a name has this.
      tags: (RepoTags ?? []).filter((tag) => tag !== "<none>:<none>"),
      labels: Labels ?? {},
    }));
  }

  /**
   * Takes a name from an image, and removes it where it has no other; one that is gone is fine.
   * @param tag or the id of one without a name: what it stands on and nothing else needs goes with it
   * @throws TorbizError docker-request-failed with `details.statusCode` 409 while a container has it
   */
  async removeImage(tag: string): Promise<void> {
    await this.unlessStatus([404], () =>
      this.call(REMOVAL * this.limits.slow, (abortSignal) => this.docker.getImage(tag).remove({ abortSignal })),
    );
  }

  /** A network's labels, undefined when there is no such network. */
  async network(name: string): Promise<Readonly<Record<string, string>> | undefined> {
    const info = await this.unlessStatus([404], () => this.ask(`/networks/${encodeURIComponent(name)}`));
    return info === undefined ? undefined : ((info as { Labels?: Record<string, string> | null }).Labels ?? {});
  }

  /** Removes a network; one that is gone is fine. */
  async removeNetwork(name: string): Promise<void> {
    await this.unlessStatus([404], () =>
      this.call(this.limits.slow, (abortSignal) => this.docker.getNetwork(name).remove({ abortSignal })),
    );
  }

  /** Makes a bridge network unless there is one of that name. */
  async ensureNetwork(name: string, labels: Record<string, string>): Promise<void> {
    await this.unlessStatus([409], () =>
      this.call(this.limits.slow, (abortSignal) =>
        // CheckDuplicate: engines before API 1.44 make a second network of the same name without it.
        this.docker.createNetwork({
          Name: name,
          Driver: "bridge",
          CheckDuplicate: true,
          Labels: { ...labels },
          abortSignal,
        }),
      ),
    );
  }

  /**
   * A container's log, line by line. Ends when the log does (for `follow`: when the container ends), or quietly by
   * `signal` or by leaving the loop.
   * @throws TorbizError docker-not-answering when the connection is cut: inspect, then go on with `since`
   */
  async *logs(id: string, options: LogOptions = {}): AsyncGenerator<LogLine> {
    const delivered = new DeliveredLines();
    const unfinished: LogLine[] = [];
    for await (const line of this.readLog(id, options)) {
      if (options.follow && line.unfinished) {
        unfinished.push(line);
        continue;
      }
      delivered.note(line);
      yield line;
    }
    if (!options.follow || options.signal?.aborted) return;
    // Engines before 23.0 may end a followed log with the container while much of it is unread, in the middle of a line
    // too (20.10: in about one of ten containers that end in a burst). The stored log has it all.
    const { tail, since, signal } = options;
    delivered.readAgain();
    const rest = delivered.since ? { since: delivered.since, signal } : { tail, since, signal };
    try {
      for await (const line of this.readLog(id, rest)) if (delivered.isNew(line)) yield line;
    } catch (error) {
      if (statusOf(error) !== 404) throw error;
      // The container was removed and its log with it.
      yield* unfinished;
    }
  }

  /**
   * What a container uses, measured by the engine over a second or two; undefined when it doesn't run or is gone.
   * The engine takes both samples of the one call: nothing is kept here between two of them.
   */
  async stats(id: string): Promise<ContainerStats | undefined> {
    const path = `/containers/${encodeURIComponent(id)}/stats?stream=false`;
    const answer = await this.unlessStatus([404, 409], () => this.ask(path));
    return answer === undefined ? undefined : toStats(answer);
  }

  /**
   * What happens to a container, from `since` on (the engine keeps its last few hundred events) and then as it happens.
   * Ends by `signal`, quietly, or by leaving the loop; not with the container, which may be started again.
   *
   * @param id the container's id or name
   * @param since a time by the engine's clock; only what happens from now on when absent
   * @throws TorbizError docker-not-answering when the connection is cut: go on with the last event's time as `since`
   */
  async *events(id: string, { since, signal }: EventOptions = {}): AsyncGenerator<ContainerEvent> {
    const filters = { type: ["container" as const], container: [id], event: [...EVENTS] };
    const options = { filters, ...(since && { since: Number(toSince(since)) }) };
    const open = (abortSignal: AbortSignal) => this.docker.getEvents({ ...options, abortSignal });
    yield* this.stream(open as OpenStream, readEvents, signal);
    if (signal?.aborted) return;
    throw new TorbizError("docker-not-answering", `Docker at ${describeEndpoint(this.endpoint)} closed its events.`);
  }

  private async *readLog(id: string, { follow, tail, since, signal }: LogOptions): AsyncGenerator<LogLine> {
    const options = {
      stdout: true,
      stderr: true,
      timestamps: true,
      ...(tail !== undefined && { tail }),
      ...(since && { since: toSince(since) }),
    };
    const container = this.docker.getContainer(id);
    const open = async (abortSignal: AbortSignal) =>
      follow
        ? container.logs({ ...options, abortSignal, follow: true })
        : [asBuffer(await container.logs({ ...options, abortSignal, follow: false }))];
    yield* this.stream(open as OpenStream, demultiplex, signal);
  }

  /** What `read` makes of a stream that `open` asks for. Ends by `signal`, quietly; the way to its first byte has a limit. */
  private async *stream<T>(
    open: OpenStream,
    read: (source: AsyncIterable<Buffer> | Iterable<Buffer>) => AsyncIterable<T>,
    signal?: AbortSignal,
  ): AsyncGenerator<T> {
    if (signal?.aborted) return;
    const end = new AbortController();
    const onAbort = () => end.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const limits = { timeoutMs: this.limits.slow, signal };
      yield* read(await withLimits(this.endpoint, limits, () => open(end.signal)));
    } catch (error) {
      if (signal?.aborted) return;
      throw toDockerError(error, this.endpoint);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      end.abort();
    }
  }

  /**
   * Runs a one-off container to its end and removes it, whatever happens.
   * @throws TorbizError interrupted (or what `signal` was aborted with); a non-zero exit code is a result, not an error
   */
  async run({ image, name, options, onLine, signal }: RunOptions): Promise<RunResult> {
    if (signal?.aborted) throw interrupted(signal);
    const id = await this.createContainer(name, { ...options, Image: image });
    let result: RunResult;
    try {
      result = await this.runToEnd(id, onLine, signal);
    } catch (error) {
      // The first failure is the one to tell about; what can't be removed now carries our label.
      await this.remove(id, { force: true }).catch(() => undefined);
      throw error;
    }
    await this.remove(id, { force: true });
    return result;
  }

  private async runToEnd(id: string, onLine: RunOptions["onLine"], signal?: AbortSignal): Promise<RunResult> {
    await this.start(id);
    const lines: string[] = [];
    for await (const line of this.logs(id, { follow: true, signal })) {
      onLine?.(line);
      lines.push(line.text);
      if (lines.length > KEPT_LINES) lines.shift();
    }
    if (signal?.aborted) throw interrupted(signal);
    // The log's end comes a moment before the engine notes the container's.
    const ended = await this.until(id, "closed its log but doesn't end", (info) => !info?.State.Running);
    if (!ended) {
      throw new TorbizError("docker-request-failed", "The container was removed outside Torbiz before it ended.");
    }
    return { exitCode: ended.State.ExitCode, lines };
  }

  /** Inspects until `reached`, and returns that last answer. */
  private async until(
    id: string,
    trouble: string,
    reached: (info: Dockerode.ContainerInspectInfo | undefined) => boolean,
  ): Promise<Dockerode.ContainerInspectInfo | undefined> {
    const deadline = performance.now() + this.limits.slow;
    for (;;) {
      const info = await this.inspect(id);
      if (reached(info)) return info;
      if (performance.now() > deadline) {
        throw new TorbizError("docker-not-answering", `The container ${info?.Name.slice(1) ?? id} ${trouble}.`);
      }
      await sleep(100);
    }
  }

  private ask(path: string, limits: Limits = { timeoutMs: this.limits.quick }): Promise<unknown> {
    return getJson(this.endpoint, `/v${this.version}${path}`, limits);
  }

  /** For what has to wait while another removes an image. */
  private patient(timeoutMs = this.limits.quick): Limits {
    return patient(this.endpoint, { timeoutMs }, { limitMs: REMOVAL * this.limits.slow });
  }

  /** Each call gets a signal and options of its own: docker-modem deletes the signal from the options it is given. */
  private call<T>(timeoutMs: number, request: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    return withLimits(this.endpoint, { timeoutMs }, request);
  }

  private async unlessStatus<T>(statuses: readonly number[], request: () => Promise<T>): Promise<T | undefined> {
    try {
      return await request();
    } catch (error) {
      const status = statusOf(error);
      if (status !== undefined && statuses.includes(status)) return undefined;
      throw error;
    }
  }

  /** A proxy's HTML or another program's JSON also comes with a 200. */
  private unexpected(what: string): TorbizError {
    const where = describeEndpoint(this.endpoint);
    return new TorbizError("docker-unexpected-answer", `The answer about the ${what} from ${where} isn't Docker's.`);
  }
}

function connect(endpoint: Endpoint, version: string): Dockerode {
  const { socketPath, tcp } = endpoint;
  const secure = tcp?.protocol === "https";
  // The types of dockerode leave out the agent, which docker-modem takes. No kept-alive connections: the engine may
  // close an idle one as the next request is written.
  const options: Dockerode.DockerOptions & { agent: HttpAgent } = {
    // Named even when undefined: docker-modem fills what is absent from DOCKER_HOST.
    socketPath,
    protocol: secure ? "https" : "http",
    host: tcp?.host,
    port: tcp?.port,
    ca: tcp?.ca,
    cert: tcp?.cert,
    key: tcp?.key,
    version: `v${version}`,
    agent: secure
      ? new HttpsAgent({ keepAlive: false, rejectUnauthorized: !tcp?.skipVerify })
      : new HttpAgent({ keepAlive: false }),
  };
  try {
    return new Dockerode(options);
  } catch (error) {
    // docker-modem reads DOCKER_HOST and DOCKER_CERT_PATH even when told otherwise.
    throw new TorbizError("docker-host-unsupported", `DOCKER_HOST or DOCKER_CERT_PATH is unusable: ${String(error)}`, {
      hint: "Correct or unset them, and try again.",
      cause: error,
    });
  }
}

function minorOf(version: string): number {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major * 1_000 + minor;
}

/** The HTTP status by which the engine refused a request; undefined for any other failure. */
export function statusOf(error: unknown): number | undefined {
  const status = error instanceof TorbizError ? error.details?.statusCode : undefined;
  return typeof status === "number" ? status : undefined;
}

/** An empty log comes as an empty Buffer; a log that happens to be JSON is parsed by docker-modem, but frames never are. */
function asBuffer(value: unknown): Buffer {
  if (Buffer.isBuffer(value)) return value;
  throw new TorbizError("docker-unexpected-answer", "Docker's log isn't in the format it should have.");
}

/** The API wants "seconds.nanoseconds" since 1970, and all nine digits so that no line is lost or repeated needlessly. */
function toSince(time: string): string {
  const nanoseconds = /\.(\d+)/.exec(time)?.[1] ?? "";
  const seconds = Math.floor(Date.parse(time) / 1_000);
  return `${seconds}.${nanoseconds.padEnd(9, "0").slice(0, 9)}`;
}
