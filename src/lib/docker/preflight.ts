import { access } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TorbizError, type ErrorCode } from "../errors";
import { findDockerCli, findProgram } from "./cli";
import { describeEndpoint, resolveEndpoints, type DockerSurroundings, type Endpoint } from "./endpoint";
import { getJson, patient, ping } from "./http";
import { engineApps, engineTitle, hasStartCommand, startAdvice } from "./start-advice";

/** What an engine says of itself and of the machine it runs containers on. */
export interface EngineFacts {
  /** "20.10.24" */
  version: string;
  /** "1.41" */
  apiVersion: string;
  /** "Docker Desktop", "Debian GNU/Linux 12 (bookworm)" */
  operatingSystem: string;
  /** The machine's own word: "x86_64", "aarch64". */
  architecture: string;
  cpus: number;
  /** All of it: of a virtual machine, where the engine runs in one. */
  memoryBytes: number;
  rootless: boolean;
  /** It keeps images in containerd's store, as new engines do. */
  containerdStore: boolean;
}

export type PreflightProblem =
  | "not-installed"
  | "not-running"
  | "starting"
  | "not-answering"
  | "no-permission"
  | "too-old"
  | "wrong-os"
  | "unexpected-answer"
  | "context-missing"
  | "host-unsupported";

export type Preflight =
  | { state: "ready"; endpoint: Endpoint; engine: EngineFacts }
  | { state: PreflightProblem; error: TorbizError; endpoint?: Endpoint };

/** Docker 20.10: the oldest whose API has all that we use. */
const OLDEST_API = "1.41";
const DOCKER_ENGINE_URL = "https://docs.docker.com/engine/install/";
const PING_CHOSEN_MS = 2_000;
const PING_CANDIDATE_MS = 1_000;
const INFO_MS = 5_000;

const STATE_OF = new Map<ErrorCode, PreflightProblem>([
  ["docker-not-installed", "not-installed"],
  ["docker-not-running", "not-running"],
  ["docker-starting", "starting"],
  ["docker-not-answering", "not-answering"],
  ["docker-permission-denied", "no-permission"],
  ["docker-too-old", "too-old"],
  ["docker-wrong-os", "wrong-os"],
  ["docker-unexpected-answer", "unexpected-answer"],
  ["docker-context-missing", "context-missing"],
  ["docker-host-unsupported", "host-unsupported"],
]);

/** Where several known sockets fail: the one that is nearest to working is the one to tell about. */
const NEAREST_FIRST: readonly PreflightProblem[] = [
  "starting",
  "no-permission",
  "not-answering",
  "too-old",
  "wrong-os",
  "unexpected-answer",
  "not-running",
];

interface Failure {
  state: PreflightProblem;
  endpoint: Endpoint;
  error: TorbizError;
}

type Probe = { endpoint: Endpoint; apiVersion: string } | Failure;

/**
 * Whether there is an engine to work with, in at most about 7 s unless it is busy (see `patient`). Where nothing chooses
 * an engine, the known sockets are asked at once and the first in order that answers well is taken. Never throws for a
 * state of Docker.
 *
 * @example
 * const docker = await checkDocker({ env: process.env, home: homedir(), platform: process.platform });
 * if (docker.state !== "ready") show(docker.error);
 */
export async function checkDocker(surroundings: DockerSurroundings): Promise<Preflight> {
  let endpoints: Endpoint[];
  try {
    endpoints = await resolveEndpoints(surroundings);
  } catch (error) {
    const state = error instanceof TorbizError && STATE_OF.get(error.code);
    if (!state) throw error;
    return { state, error };
  }
  const leftOver = new AbortController();
  const failures: Failure[] = [];
  try {
    const probes = endpoints.map((endpoint) => probe(endpoint, leftOver.signal));
    for (const pending of probes) {
      const outcome = await pending;
      if ("state" in outcome) {
        failures.push(outcome);
        continue;
      }
      const { endpoint, apiVersion } = outcome;
      try {
        return { state: "ready", endpoint, engine: await engineFacts(endpoint, apiVersion, surroundings.warn) };
      } catch (error) {
        failures.push(failure(error, endpoint));
      }
    }
  } finally {
    leftOver.abort();
  }
  return explain(failures, surroundings);
}

/**
 * The engine to work with.
 * @throws TorbizError that says why there is none
 */
export async function requireDocker(
  surroundings: DockerSurroundings,
): Promise<{ endpoint: Endpoint; engine: EngineFacts }> {
  const docker = await checkDocker(surroundings);
  if (docker.state !== "ready") throw docker.error;
  return { endpoint: docker.endpoint, engine: docker.engine };
}

/** Whether an engine that we can work with answers at an endpoint, in at most 2 s. Never throws. */
export async function probe(endpoint: Endpoint, signal?: AbortSignal): Promise<Probe> {
  const timeoutMs = endpoint.source === "socket" ? PING_CANDIDATE_MS : PING_CHOSEN_MS;
  try {
    const { apiVersion, osType } = await ping(endpoint, { timeoutMs, signal });
    if (osType === "windows") {
      throw new TorbizError("docker-wrong-os", `Docker at ${describeEndpoint(endpoint)} runs Windows containers.`);
    }
    if (isOlder(apiVersion, OLDEST_API)) {
      throw new TorbizError(
        "docker-too-old",
        `Docker at ${describeEndpoint(endpoint)} speaks API ${apiVersion}; Torbiz needs ${OLDEST_API} (Docker 20.10).`,
      );
    }
    return { endpoint, apiVersion };
  } catch (error) {
    return failure(error, endpoint);
  }
}

function failure(error: unknown, endpoint: Endpoint): Failure {
  const known =
    error instanceof TorbizError
      ? error
      : new TorbizError("docker-unexpected-answer", `Docker at ${describeEndpoint(endpoint)}: ${String(error)}`);
  return { state: STATE_OF.get(known.code) ?? "unexpected-answer", endpoint, error: known };
}

async function engineFacts(
  endpoint: Endpoint,
  apiVersion: string,
  warn?: DockerSurroundings["warn"],
): Promise<EngineFacts> {
  let isTold = false;
  const onBusy = () => {
    if (isTold) return;
    isTold = true;
    warn?.(`Docker at ${describeEndpoint(endpoint)} is busy, as while it removes an image. Waiting for it.`);
  };
  let info: Record<string, unknown>;
  try {
    const limits = patient(endpoint, { timeoutMs: INFO_MS }, { onBusy });
    info = (await getJson(endpoint, "/info", limits)) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof TorbizError && Number(error.details?.statusCode) >= 500) {
      throw new TorbizError(
        "docker-starting",
        `Docker at ${describeEndpoint(endpoint)} is not ready: ${error.message}`,
        {
          cause: error,
        },
      );
    }
    throw error;
  }
  const { ServerVersion, OperatingSystem, Architecture, NCPU, MemTotal, SecurityOptions, DriverStatus } = info;
  if (
    typeof ServerVersion !== "string" ||
    typeof OperatingSystem !== "string" ||
    typeof Architecture !== "string" ||
    typeof NCPU !== "number" ||
    typeof MemTotal !== "number"
  ) {
    throw new TorbizError(
      "docker-unexpected-answer",
      `The answer to /info at ${describeEndpoint(endpoint)} is not as Docker sends it.`,
    );
  }
  return {
    version: ServerVersion,
    apiVersion,
    operatingSystem: OperatingSystem,
    architecture: Architecture,
    cpus: NCPU,
    memoryBytes: MemTotal,
    rootless: Array.isArray(SecurityOptions) && SecurityOptions.includes("name=rootless"),
    containerdStore: JSON.stringify(DriverStatus ?? []).includes("io.containerd.snapshotter"),
  };
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [thanMajor = 0, thanMinor = 0] = than.split(".").map(Number);
  return major < thanMajor || (major === thanMajor && minor < thanMinor);
}

/** The failure to tell about, with a next step that fits the engine and the platform. */
async function explain(failures: readonly Failure[], surroundings: DockerSurroundings): Promise<Preflight> {
  const rank = ({ state, error }: Failure) =>
    // A socket file that nobody listens at any more names the engine that was used.
    NEAREST_FIRST.indexOf(state) + (state === "not-running" && isAbsent(error) ? 1 : 0);
  const [nearest] = [...failures].sort((a, b) => rank(a) - rank(b));
  if (!nearest) throw new TorbizError("unexpected", "No Docker socket is known for this platform.");
  const app = await installedApp(surroundings);
  const isUnnamed = !app && failures.every((each) => isAbsent(each.error));
  if (isUnnamed && !(await hasCli(surroundings))) {
    const error = notInstalled(failures, surroundings.platform);
    return { state: "not-installed", error, endpoint: nearest.endpoint };
  }
  const told = (isUnnamed && (await stoppedOnMac(failures, surroundings))) || nearest;
  const { state, endpoint, error } = told;
  const hint = nextStep(told, surroundings, app);
  if (!hint) return { state, error, endpoint };
  const several = state === "not-running" && failures.length > 1;
  const { details, cause } = error;
  return {
    state,
    error: new TorbizError(error.code, several ? nobody(failures) : error.message, { ...hint, details, cause }),
    endpoint,
  };
}

/**
 * On a Mac the engine that a command starts, where neither a socket nor an application tells which one is used. Its folder
 * outlives its socket, and Colima takes its context away as well when it stops.
 */
async function stoppedOnMac(
  failures: readonly Failure[],
  surroundings: DockerSurroundings,
): Promise<Failure | undefined> {
  const { platform } = surroundings;
  if (platform !== "darwin") return undefined;
  for (const failure of failures) {
    const { endpoint } = failure;
    const isKept = endpoint.socketPath !== undefined && (await exists(dirname(endpoint.socketPath)));
    if (isKept && hasStartCommand(endpoint, platform)) return failure;
  }
  if ((await findProgram(surroundings, "colima")) === undefined) return undefined;
  return failures.find(({ endpoint }) => engineTitle(endpoint) === "Colima");
}

function nextStep({ state, endpoint }: Failure, surroundings: DockerSurroundings, app?: string) {
  const { platform } = surroundings;
  const start = startAdvice(endpoint, platform, app);
  switch (state) {
    case "not-running":
      return {
        hint: `${start.how}, wait until it runs, and try again.${elsewhere(endpoint)}${systemSocket(endpoint, surroundings)}`,
        action: start.action,
      };
    case "not-answering":
      return endpoint.tcp
        ? { hint: `Check the address and the network to it, and that Docker runs there.${elsewhere(endpoint)}` }
        : { hint: `If ${start.name} is paused, resume it; else restart it, and try again.`, action: start.action };
    case "no-permission":
      return platform === "linux"
        ? undefined
        : { hint: `Let your user read and write ${endpoint.socketPath ?? endpoint.url}, or restart ${start.name}.` };
    default:
      return undefined;
  }
}

/**
 * Docker Desktop makes the system's socket only where a setting allows it. Its own socket is found without; it matters where
 * a context, DOCKER_HOST or an option insists on the system's.
 */
function systemSocket({ source, socketPath }: Endpoint, { platform, root = "/" }: DockerSurroundings): string {
  if (platform !== "darwin" || source === "socket" || socketPath !== join(root, "var/run/docker.sock")) return "";
  return " With Docker Desktop, this socket is there only with Settings > Advanced > Allow the default Docker socket to be used.";
}

function elsewhere({ source, socketPath }: Endpoint): string {
  switch (source) {
    case "option":
      return " If another Docker is meant, choose its socket.";
    case "DOCKER_HOST":
      return " If another Docker is meant, change or unset DOCKER_HOST.";
    case "context":
      return " If another Docker is meant, choose it with `docker context use NAME`.";
    case "socket":
      return socketPath ? " If Docker listens elsewhere, choose its socket." : "";
  }
}

/** ENOENT: not even the socket file is there. */
export function isAbsent({ cause }: TorbizError): boolean {
  return (cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
}

function nobody(failures: readonly Failure[]): string {
  const stale = failures.filter(({ error }) => !isAbsent(error)).map(({ endpoint }) => endpoint.url);
  if (stale.length > 0) return `Nothing listens at ${stale.join(", ")}.`;
  return `None of the known Docker sockets is there (such as ${failures[0]?.endpoint.url}).`;
}

function notInstalled(failures: readonly Failure[], platform: NodeJS.Platform): TorbizError {
  const message = `There is no docker command and no Docker socket (such as ${failures[0]?.endpoint.url}).`;
  if (platform !== "linux") return new TorbizError("docker-not-installed", message);
  return new TorbizError("docker-not-installed", message, {
    hint: `Install it, for example with \`sudo apt-get install docker.io\` on Debian or Ubuntu, or see ${DOCKER_ENGINE_URL}`,
    action: { title: "Install Docker", url: DOCKER_ENGINE_URL },
  });
}

async function installedApp({ home, platform, root = "/" }: DockerSurroundings): Promise<string | undefined> {
  if (platform !== "darwin") return undefined;
  for (const app of engineApps) {
    for (const folder of [join(root, "Applications"), join(home, "Applications")]) {
      if (await exists(join(folder, `${app}.app`))) return app;
    }
  }
  return undefined;
}

async function hasCli(surroundings: DockerSurroundings): Promise<boolean> {
  return findDockerCli(surroundings).then(
    () => true,
    () => false,
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
