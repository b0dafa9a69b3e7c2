import { isPortTaken } from "../docker/port-taken";
import { LABELS } from "../names";

/** What sharing is doing, in one word. */
export type SharingState =
  | "absent"
  | "building"
  | "starting"
  | "online"
  | "finishing"
  | "stopping"
  | "paused"
  | "exited"
  | "foreign"
  | "unknown";

/** Blocks this computer serves: `start` (inclusive) to `end` (exclusive) of the model's, `loaded` of `total` so far. */
export interface BlockStatus {
  loaded: number;
  total: number;
  start: number;
  end: number;
}

/** The swarm at a glance, as the share's own server reads it every half minute. */
export interface SwarmGlance {
  /** Other servers that are online. */
  peers: number;
  /** Of each block of the model, how many online servers it has, this computer's among them. */
  online: number[];
}

/** A file that comes from the model hub: `done` of `total` bytes, after `filesDone` others of `files`. */
export interface DownloadStatus {
  file: string;
  done: number;
  total: number;
  files: number;
  filesDone: number;
  /** null until it is known. */
  bytesPerSecond: number | null;
}

/** Everything that is known of a share. Times are ISO-8601 UTC. Fields that nobody told are null or empty. */
export interface SharingStatus {
  state: SharingState;
  /**
   * Petals' own stage: starting, connecting, measuring, joining, downloading, loading, checking, online, finishing, stopping,
   * stopped.
   */
  stage: string | null;
  model: string | null;
  /** The commit of a model of the hub. */
  revision: string | null;
  swarm: string | null;
  port: number | null;
  blocks: BlockStatus | null;
  /** While its files come from a model hub. */
  download: DownloadStatus | null;
  peerId: string | null;
  /** Multiaddrs by which peers reach this server. */
  addresses: string[];
  reachability: string | null;
  /** Open sessions: of people who are being served, or who may ask on. */
  sessions: number;
  /** Answers on their way: of these, and of others' that only pass through this computer. */
  active: number;
  /** Tokens served since the start, prompts included. */
  tokens: number;
  /** Tokens a second, as announced to peers. */
  throughput: number | null;
  /** Tokens a second that one session got, as measured while serving. */
  served: number | null;
  /** Since when it is online. */
  since: string | null;
  /** When it last computed for somebody. */
  lastActivity: string | null;
  /** While it finishes: when answers that are still on their way break off. */
  finishBy: string | null;
  /** What there is to know while it serves; `noticesOf` has the words. A newer seeder may know more of them. */
  notices: string[];
  /** Who serves the model's blocks; null while its server doesn't know. */
  glance: SwarmGlance | null;
  /** Of the seeder's report: "ok", "stale" when it is old though the container runs, null when there is none yet. */
  health: "ok" | "stale" | null;
  exitCode: number | null;
  /** One sentence where there is something to say: why it ended, what is wrong. */
  message: string | null;
  /** How far the build is, while the image is built. */
  build: { step: number; steps: number; percent: number; secondsLeft: number | null } | null;
  /** How the last build of the image ended, while nothing is shared or built. */
  lastBuild: { outcome: "done" | "failed" | "cancelled"; at: string; message: string | null } | null;
}

/**
 * Petals' stages on the way to online, in order. In one's own swarm nobody checks whether peers can connect: nobody is
 * there yet. `downloading` is a part of `loading`: only a model of a hub has it, and only once.
 */
export const STAGES: readonly { stage: string; title: string }[] = [
  { stage: "starting", title: "Starting Petals" },
  { stage: "connecting", title: "Connecting to the swarm" },
  { stage: "measuring", title: "Measuring this computer's speed" },
  { stage: "joining", title: "Joining the swarm" },
  { stage: "loading", title: "Loading blocks" },
  { stage: "checking", title: "Checking whether peers can connect" },
  { stage: "online", title: "Online: peers can use it" },
];

/** The stages of a share in that swarm, as its label has it. */
export function stagesIn(swarm: string | null): typeof STAGES {
  return swarm !== "private" ? STAGES : STAGES.filter(({ stage }) => stage !== "checking");
}

/** The seeder renews its report every 5 s and the engine reads it every 5 s: much older than both means that it is frozen. */
const STALE_AFTER_MS = 30_000;

/** More than any model has: what a damaged report could ask for. */
const MOST_BLOCKS = 10_000;

const NOTHING: SharingStatus = {
  state: "absent",
  stage: null,
  model: null,
  revision: null,
  swarm: null,
  port: null,
  blocks: null,
  download: null,
  peerId: null,
  addresses: [],
  reachability: null,
  sessions: 0,
  active: 0,
  tokens: 0,
  throughput: null,
  served: null,
  since: null,
  lastActivity: null,
  finishBy: null,
  notices: [],
  glance: null,
  health: null,
  exitCode: null,
  message: null,
  build: null,
  lastBuild: null,
};

/** The part of `docker inspect` that is read here, with nothing taken for granted. */
export interface InspectedContainer {
  State?: InspectedState | null;
  Config?: { Image?: string; Labels?: Readonly<Record<string, string>> | null } | null;
}

interface InspectedState {
  Status?: string;
  Error?: string;
  ExitCode?: number;
  OOMKilled?: boolean;
  StartedAt?: string;
  Health?: { Status?: string; Log?: readonly HealthCheck[] | null } | null;
}

interface HealthCheck {
  Start?: string;
  End?: string;
  /** Of the check's own command; -1 where the engine couldn't run it in time. */
  ExitCode?: number;
  Output?: string;
}

/**
 * Reads the whole state of a share out of one `inspect` answer: the container's state and labels, and the seeder's report
 * in the output of the last health check. `State.Running` outranks that report.
 *
 * @param container the answer, or undefined when there is no such container
 */
export function readStatus(container: InspectedContainer | undefined): SharingStatus {
  if (!container) return NOTHING;
  const labels = container.Config?.Labels ?? {};
  if (labels[LABELS.managed] !== "1") {
    return {
      ...NOTHING,
      state: "foreign",
      message: `Another program's container already uses Torbiz's name (image ${container.Config?.Image ?? "unknown"}).`,
    };
  }
  const status: SharingStatus = {
    ...NOTHING,
    model: labels[LABELS.model] ?? null,
    revision: labels[LABELS.revision] ?? null,
    swarm: labels[LABELS.swarm] ?? null,
    port: Number(labels[LABELS.port]) || null,
  };
  const { State } = container;
  switch (State?.Status) {
    case "created":
      return State.Error
        ? { ...status, state: "exited", exitCode: State.ExitCode ?? null, message: startMessage(State.Error) }
        : { ...status, state: "starting", stage: "starting" };
    case "running":
      return readReport(status, State);
    case "paused":
      return {
        ...readReport(status, State),
        state: "paused",
        message: "Peers can't use it while its container is paused.",
      };
    case "removing":
      return { ...status, state: "stopping" };
    case "exited":
    case "dead":
      return { ...status, state: "exited", exitCode: State.ExitCode ?? null, message: endMessage(State) };
    default:
      return { ...status, state: "unknown", message: `The container's state is ${State?.Status ?? "not told"}.` };
  }
}

function readReport(status: SharingStatus, state: InspectedState): SharingStatus {
  const report = lastReport(state);
  if (!report) {
    // A server that has only begun has no file to print, and that check ends by itself.
    return state.Health?.Status === "unhealthy" && checksOf(state).at(-1)?.ExitCode === -1
      ? { ...status, state: "unknown", message: "Docker's last checks of it failed: what it does isn't known." }
      : { ...status, state: "starting", stage: "starting" };
  }
  const age = Date.parse(checksOf(state).at(-1)?.End ?? "") - Date.parse(report.time);
  const stage = report.stage;
  return {
    ...status,
    ...report.facts,
    stage,
    state: STATE_OF[stage] ?? "starting",
    health: age > STALE_AFTER_MS ? "stale" : "ok",
    message: age > STALE_AFTER_MS ? "The seeder hasn't reported for a while: it may be frozen." : report.message,
  };
}

/** By the seeder's stage; the others are on the way to online. */
const STATE_OF: Readonly<Record<string, SharingState>> = {
  online: "online",
  finishing: "finishing",
  stopping: "stopping",
  stopped: "stopping",
};

interface Report {
  time: string;
  stage: string;
  message: string | null;
  facts: Pick<
    SharingStatus,
    | "blocks"
    | "download"
    | "peerId"
    | "addresses"
    | "reachability"
    | "sessions"
    | "active"
    | "tokens"
    | "throughput"
    | "served"
    | "since"
    | "lastActivity"
    | "finishBy"
    | "notices"
    | "glance"
  >;
}

/** Of the last checks: one that took too long, as in a computer's sleep, has nothing to tell. */
function lastReport(state: InspectedState): Report | undefined {
  return checksOf(state)
    .map(({ Output }) => parseReport(Output))
    .findLast((report) => report !== undefined);
}

/** Oldest first. The engine keeps those of an earlier run of the same container, too. */
function checksOf({ StartedAt = "", Health }: InspectedState): readonly HealthCheck[] {
  const started = Date.parse(StartedAt);
  return (Health?.Log ?? []).filter(({ Start = "" }) => !(Date.parse(Start) < started));
}

/** The seeder's status file out of a health check's output, or undefined when it isn't one. */
function parseReport(output: string | undefined): Report | undefined {
  let value: unknown;
  try {
    value = JSON.parse(output ?? "");
  } catch {
    return undefined; // not written yet, or the check itself failed
  }
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as Record<string, unknown>;
  if (typeof fields.stage !== "string") return undefined;
  return {
    time: text(fields.time) ?? "",
    stage: fields.stage,
    message: text(fields.message),
    facts: {
      blocks: isBlocks(fields.blocks) ? fields.blocks : null,
      download: readDownload(fields.download),
      peerId: text(fields.peerId),
      addresses: texts(fields.addresses),
      reachability: text(fields.reachability),
      sessions: number(fields.sessions) ?? 0,
      active: number(fields.active) ?? 0,
      tokens: number(fields.tokens) ?? 0,
      throughput: number(fields.throughput),
      served: number(fields.served),
      since: text(fields.since),
      lastActivity: text(fields.lastActivity),
      finishBy: text(fields.finishBy),
      notices: texts(fields.notices),
      glance: readGlance(fields.swarm),
    },
  };
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function isBlocks(value: unknown): value is BlockStatus {
  if (typeof value !== "object" || value === null) return false;
  const { loaded, total, start, end } = value as Record<string, unknown>;
  return [loaded, total, start, end].every((field) => typeof field === "number");
}

/** Of `{"peers": 1, "coverage": [[1, 12], [0, 4]]}`: 12 blocks with one server, then 4 with none. */
function readGlance(value: unknown): SwarmGlance | null {
  if (typeof value !== "object" || value === null) return null;
  const { peers, coverage } = value as Record<string, unknown>;
  if (!isCount(peers) || !Array.isArray(coverage)) return null;
  const runs = coverage.filter(
    (run): run is [number, number] => Array.isArray(run) && run.length === 2 && run.every(isCount),
  );
  const blocks = runs.reduce((sum, [, length]) => sum + length, 0);
  if (runs.length !== coverage.length || blocks > MOST_BLOCKS) return null;
  return { peers, online: runs.flatMap(([count, length]) => Array<number>(length).fill(count)) };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function readDownload(value: unknown): DownloadStatus | null {
  if (typeof value !== "object" || value === null) return null;
  const { file, bytesPerSecond, ...numbers } = value as Record<string, unknown>;
  const [done, total, files, filesDone] = ["done", "total", "files", "filesDone"].map((name) => number(numbers[name]));
  if (typeof file !== "string" || done == null || total == null || files == null || filesDone == null) return null;
  return { file, done, total, files, filesDone, bytesPerSecond: number(bytesPerSecond) };
}

/** Why the engine could not start the container, without the engine's own words: those are for people who know Docker. */
function startMessage(error: string): string {
  return isPortTaken(error) ? "The port is in use by another program." : "Docker couldn't start the container.";
}

function endMessage(state: InspectedState): string {
  if (state.OOMKilled) return "It ran out of memory.";
  if (state.ExitCode === 0) {
    return lastReport(state)?.stage === "finishing" ? "It has finished." : "It ended by itself or was stopped.";
  }
  if (state.ExitCode === 137) return "It was killed: peers were not told.";
  return `It ended with exit code ${state.ExitCode ?? "unknown"}.`;
}
