import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { Surroundings } from "../context";
import { TorbizError } from "../errors";
import { isRecord } from "../json";
import { socketPath as socketPathIn } from "../socket-path";
import { tellsOfNoSpace } from "./disk-space";
import type { Environment } from "./environment";
import { privately } from "../privately";
import { DOWNLOAD_SETTINGS, pythonEnv } from "./python-env";
import { callServer } from "./server-call";

/** Which of the resident servers: the one that answers on this computer and passes on to others, or the swarm's client. */
export type AskServerKind = "local" | "swarm";

type ServerSurroundings = Pick<Surroundings, "paths" | "env" | "home" | "platform" | "runtimeFiles">;

export interface AskServerOptions {
  surroundings: ServerSurroundings;
  /** Its kind is the server's. */
  environment: Environment;
  /** The GGUF file that the first question is for: a new server gets ready for it while it starts. */
  modelPath?: string;
  /** How long a new server stays without a question. */
  idleMinutes?: number;
  signal?: AbortSignal;
  /** How long it may take until it answers, milliseconds. */
  limitMs?: number;
  /** How long one request may go unanswered before the server counts as hung, milliseconds. */
  answerMs?: number;
  /** How long a server of another version may go on with somebody's answer before it is sent away, milliseconds. */
  busyMs?: number;
}

const LIMIT_MS = 60_000;
const ANSWER_MS = 20_000;
/** One that is slower than this is looked at with more patience. */
const LOOK_MS = 1_000;
const BUSY_MS = 60_000;
const LAST_LINES = 20;
/** Where native code crashed, Python writes up to 100 frames of each thread. */
const CRASH_LINES = 2_000;

/**
 * The resident ask server of an environment: the one that runs, or a new one. One of another version is sent away first,
 * one that hangs is ended. It goes on when we end, and leaves by itself when nobody asks for a while.
 *
 * @returns the path of its socket
 * @throws TorbizError ask-server-failed with the last lines of its log, disk-full, interrupted
 */
export async function ensureAskServer(options: AskServerOptions): Promise<string> {
  const { surroundings, environment, signal, limitMs = LIMIT_MS, answerMs = ANSWER_MS, busyMs = BUSY_MS } = options;
  const { paths } = surroundings;
  const files = filesOf(paths, environment.kind);
  const build = buildId(environment.python, surroundings);
  const patientUntil = Date.now() + busyMs;
  let deadline = Date.now() + limitMs;
  let started = false;
  while (Date.now() < deadline) {
    if (signal?.aborted) throw new TorbizError("interrupted", "Starting the ask server was stopped.");
    const health = await getHealth(files.socket, answerMs);
    if (health === "hung") {
      kill(files.lock);
    } else if (health === "absent") {
      // Returns at once with success when another one is just starting or ending: then it is looked at again.
      if (started) await sleep(200);
      await start(options, files, build, deadline - Date.now());
      started = true;
      continue;
    } else if (health.build === build) {
      return files.socket;
    } else if (health.busy && Date.now() < patientUntil) {
      deadline = Date.now() + limitMs;
    } else {
      await callServer(files.socket, "POST", "/torbiz/shutdown", answerMs);
    }
    await sleep(50);
  }
  throw failure("The ask server doesn't answer.", files.log, lastLines(files.log));
}

/** A server that answers. */
export interface RunningServer {
  socketPath: string;
  /** Path of the model that is loaded; null when none is. */
  engine: string | null;
}

/**
 * The server of a kind that runs and is the one that `ensureAskServer` would start: a look that takes a millisecond,
 * where finding the environment takes many.
 */
export async function findAskServer(
  surroundings: ServerSurroundings,
  kind: AskServerKind,
): Promise<RunningServer | undefined> {
  const socketPath = askSocket(surroundings, kind);
  if (!existsSync(socketPath)) return undefined;
  const health = await getHealth(socketPath, LOOK_MS);
  if (typeof health === "string" || !existsSync(health.python)) return undefined;
  const environment = relative(surroundings.paths.envs, dirname(dirname(health.python)));
  if (!new RegExp(`^${kind}-[0-9a-f]+$`).test(environment)) return undefined;
  if (health.build !== buildId(health.python, surroundings)) return undefined;
  return { socketPath, engine: health.engine };
}

/** Where a kind's server listens, when it runs. */
export function askSocket({ paths }: Pick<Surroundings, "paths">, kind: AskServerKind): string {
  return filesOf(paths, kind).socket;
}

/** Ends a server that hangs, so that nothing of what it wrote before can go on when it comes to life again. */
export async function endHungServer(
  { paths }: Pick<Surroundings, "paths">,
  kind: AskServerKind,
  answerMs = ANSWER_MS,
): Promise<void> {
  const { socket, lock } = filesOf(paths, kind);
  if ((await getHealth(socket, answerMs)) === "hung") kill(lock);
}

/** Ends the server of a kind, if one runs. An answer on its way is kept as far as it has come. */
export async function endAskServer({ paths }: Pick<Surroundings, "paths">, kind: AskServerKind): Promise<void> {
  const { socket, lock } = filesOf(paths, kind);
  for (const end = Date.now() + ANSWER_MS; Date.now() < end; await sleep(100)) {
    const health = await getHealth(socket, LOOK_MS);
    if (health === "absent") return;
    if (health !== "hung") await callServer(socket, "POST", "/torbiz/shutdown", LOOK_MS);
  }
  kill(lock);
}

/** Why a server that was just there is gone, as far as its log tells. */
export interface ServerEnd {
  /** A sentence; empty when another one runs already. */
  reason: string;
  log: string;
  /** The end of its log. */
  lines: string[];
}

/** Reads the end of a server's log. Call it when the server is gone without a word. */
export function whyGone({ paths }: Pick<Surroundings, "paths">, kind: AskServerKind): ServerEnd {
  const { log } = filesOf(paths, kind);
  const lines = lastLines(log);
  const all = lastLines(log, CRASH_LINES);
  const start = all.findLastIndex((line) => /: Starting: version /.test(line));
  const life = all.slice(Math.max(0, start)).join("\n");
  const [, crash] = /^Fatal Python error: (.+)$/m.exec(life) ?? [];
  const [, pid] = /, process (\d+)$/m.exec(life) ?? [];
  const end = { log, lines };
  if (crash) return { ...end, reason: `It crashed (${crash}).` };
  if (/: Leaving: the engine hangs$/m.test(life)) return { ...end, reason: "Its engine hung." };
  if (/: Stopped$/m.test(life)) return { ...end, reason: "It was told to end." };
  if (pid && isAlive(Number(pid))) return { ...end, reason: "" };
  return { ...end, reason: "Something else ended it, such as the system where memory runs out." };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

interface ServerFiles {
  socket: string;
  lock: string;
  log: string;
}

function filesOf(paths: Surroundings["paths"], kind: string): ServerFiles {
  const name = `ask-${kind}`;
  return {
    socket: socketPathIn(paths, `${name}.sock`),
    lock: join(paths.run, `${name}.lock`),
    log: join(paths.logs, `${name}.log`),
  };
}

/**
 * Stands for everything that makes a server what it is: the Python that was wished for and the one of its environment,
 * what that was made from, and Torbiz's own code.
 */
function buildId(python: string, { env, runtimeFiles }: ServerSurroundings): string {
  const folder = join(runtimeFiles, "python");
  const hash = createHash("sha256").update(`${env.TORBIZ_PYTHON ?? ""}\0${python}`);
  for (const [part, ending] of [
    ["torbiz", ".py"],
    ["requirements", ".txt"],
  ] as const) {
    const files = readdirSync(join(folder, part), { recursive: true, encoding: "utf8" });
    for (const file of files.filter((name) => name.endsWith(ending)).sort()) {
      hash.update(`\0${file}\0`).update(readFileSync(join(folder, part, file)));
    }
  }
  return hash.digest("hex").slice(0, 16);
}

/** Starts it and waits until it answers. The command that starts it is short-lived; the server is nobody's child. */
async function start(
  { surroundings, environment, modelPath, idleMinutes, signal }: AskServerOptions,
  files: ServerFiles,
  build: string,
  limitMs: number,
): Promise<void> {
  const { file, args } = privately(environment.python, [
    ...["-m", "torbiz.ask_server", "--detach", "--build", build],
    ...["--socket", files.socket, "--lock", files.lock, "--log", files.log],
    ...(modelPath === undefined ? [] : ["--model", modelPath]),
    ...(idleMinutes === undefined ? [] : ["--idle-seconds", String(idleMinutes * 60)]),
  ]);
  const result = await execa(file, args, {
    env: serverEnv(surroundings, environment.kind),
    extendEnv: false,
    stdin: "ignore",
    // Only what comes before the server has its log file, which it needs in order to answer.
    all: true,
    reject: false,
    timeout: limitMs,
    cancelSignal: signal,
  });
  if (result.isCanceled) throw new TorbizError("interrupted", "Starting the ask server was stopped.");
  if (!result.failed) return;
  if (tellsOfNoSpace(result.all)) {
    throw new TorbizError("disk-full", "No space is left for what the ask server has to write.");
  }
  const lines = [...lastLines(files.log), ...result.all.split("\n")].filter(Boolean).slice(-LAST_LINES);
  const message = result.timedOut
    ? "The ask server takes too long to start."
    : "The ask server ended while it started.";
  throw failure(message, files.log, lines);
}

function serverEnv({ env, home, platform, runtimeFiles }: ServerSurroundings, kind: string): NodeJS.ProcessEnv {
  const common = {
    PYTHONPATH: join(runtimeFiles, "python"),
  };
  if (kind === "local") return { ...pythonEnv(env, home, DOWNLOAD_SETTINGS), ...common };
  return {
    ...pythonEnv(env, home),
    ...common,
    OMP_NUM_THREADS: String(Math.min(4, availableParallelism())),
    // hivemind forks; macOS forbids that to programs that have used its frameworks, and reads this at the start only.
    ...(platform === "darwin" && { OBJC_DISABLE_INITIALIZE_FORK_SAFETY: "YES", no_proxy: "*" }),
  };
}

/** Ends a server that hangs. Its process id is in the lock file, which it has held since before it listened. */
function kill(lockFile: string): void {
  try {
    const pid = Number.parseInt(readFileSync(lockFile, "utf8"), 10);
    if (pid > 1) process.kill(pid, "SIGKILL");
  } catch {
    // It has just ended by itself.
  }
}

interface Health {
  build: string;
  busy: boolean;
  python: string;
  engine: string | null;
}

async function getHealth(socketPath: string, answerMs: number): Promise<Health | "absent" | "hung"> {
  const reply = await callServer(socketPath, "GET", "/health", answerMs);
  if (typeof reply === "string") return reply;
  const { status, build, busy, python, engine } = isRecord(reply.body) ? reply.body : {};
  return {
    // One that leaves takes no more questions, as one of another version.
    build: typeof build === "string" && status !== "leaving" ? build : "",
    busy: busy === true,
    python: typeof python === "string" ? python : "",
    engine: typeof engine === "string" ? engine : null,
  };
}

function lastLines(file: string, count = LAST_LINES): string[] {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-count);
  } catch {
    return [];
  }
}

function failure(message: string, log: string, lines: string[]): TorbizError {
  return new TorbizError("ask-server-failed", message, {
    hint: `Read ${log}, then try again.`,
    details: { log, lines },
  });
}
