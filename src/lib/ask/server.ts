import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { Surroundings } from "../context";
import { TorbizError } from "../errors";
import { socketPath as socketPathIn } from "../socket-path";
import type { Environment } from "./environment";
import { pythonEnv } from "./python-env";

export interface AskServerOptions {
  surroundings: Pick<Surroundings, "paths" | "env" | "home" | "platform" | "runtimeFiles">;
  environment: Environment;
  signal?: AbortSignal;
  /** How long it may take until it answers, milliseconds. */
  limitMs?: number;
  /** How long one request may go unanswered before the server counts as hung, milliseconds. */
  answerMs?: number;
  /** How long a server of another version may go on with somebody's answer before it is sent away, milliseconds. */
  busyMs?: number;
}

const LIMIT_MS = 60_000;
const ANSWER_MS = 5_000;
const BUSY_MS = 60_000;
const LAST_LINES = 20;

/**
 * The resident ask server of an environment: the one that runs, or a new one. One of another version is sent away first,
 * one that hangs is ended. It goes on when we end, and leaves by itself when nobody asks for a while.
 *
 * @returns the path of its socket
 * @throws TorbizError ask-server-failed with the last lines of its log, interrupted
 */
export async function ensureAskServer(options: AskServerOptions): Promise<string> {
  const { surroundings, environment, signal, limitMs = LIMIT_MS, answerMs = ANSWER_MS, busyMs = BUSY_MS } = options;
  const { paths, runtimeFiles } = surroundings;
  const name = `ask-${environment.kind}`;
  const files = {
    socket: socketPathIn(paths, `${name}.sock`),
    lock: join(paths.run, `${name}.lock`),
    log: join(paths.logs, `${name}.log`),
  };
  const build = buildId(environment, runtimeFiles);
  const patientUntil = Date.now() + busyMs;
  let deadline = Date.now() + limitMs;
  while (Date.now() < deadline) {
    if (signal?.aborted) throw new TorbizError("interrupted", "Starting the ask server was stopped.");
    const health = await getHealth(files.socket, answerMs);
    if (health === "hung") {
      kill(files.lock);
    } else if (health === "absent") {
      // Returns at once with success when another one is just starting or ending: then it is looked at again.
      await start(options, files, build, deadline - Date.now());
    } else if (health.build === build) {
      return files.socket;
    } else if (health.busy && Date.now() < patientUntil) {
      deadline = Date.now() + limitMs;
    } else {
      await send(files.socket, "POST", "/torbiz/shutdown", answerMs);
    }
    await sleep(50);
  }
  throw failure("The ask server doesn't answer.", files.log, lastLines(files.log));
}

interface ServerFiles {
  socket: string;
  lock: string;
  log: string;
}

/** Stands for everything that makes a server what it is: its Python, its packages, and Torbiz's own code. */
function buildId({ python, lockHash }: Environment, runtimeFiles: string): string {
  const folder = join(runtimeFiles, "python", "torbiz");
  const hash = createHash("sha256").update(`${python}\0${lockHash}`);
  const sources = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".py"));
  for (const file of sources.sort()) hash.update(`\0${file}\0`).update(readFileSync(join(folder, file)));
  return hash.digest("hex").slice(0, 16);
}

/** Starts it and waits until it answers. The command that starts it is short-lived; the server is nobody's child. */
async function start(
  { surroundings, environment, signal }: AskServerOptions,
  files: ServerFiles,
  build: string,
  limitMs: number,
): Promise<void> {
  const result = await execa(
    environment.python,
    [
      ...["-m", "torbiz.ask_server", "--detach", "--build", build],
      ...["--socket", files.socket, "--lock", files.lock, "--log", files.log],
    ],
    {
      env: serverEnv(surroundings),
      extendEnv: false,
      stdin: "ignore",
      // Only what comes before the server has its log file, which it needs in order to answer.
      all: true,
      reject: false,
      timeout: limitMs,
      cancelSignal: signal,
    },
  );
  if (result.isCanceled) throw new TorbizError("interrupted", "Starting the ask server was stopped.");
  if (!result.failed) return;
  const lines = [...lastLines(files.log), ...result.all.split("\n")].filter(Boolean).slice(-LAST_LINES);
  const message = result.timedOut
    ? "The ask server takes too long to start."
    : "The ask server ended while it started.";
  throw failure(message, files.log, lines);
}

function serverEnv({ env, home, platform, runtimeFiles }: AskServerOptions["surroundings"]): NodeJS.ProcessEnv {
  return {
    ...pythonEnv(env, home),
    PYTHONPATH: join(runtimeFiles, "python"),
    // Our own folder may be read-only, and must stay as it was shipped.
    PYTHONDONTWRITEBYTECODE: "1",
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

type Health = { build: string; busy: boolean };

async function getHealth(socketPath: string, answerMs: number): Promise<Health | "absent" | "hung"> {
  const answer = await send(socketPath, "GET", "/health", answerMs);
  if (typeof answer === "string") return answer;
  try {
    const { build, busy } = JSON.parse(answer.body) as Record<string, unknown>;
    if (typeof build === "string") return { build, busy: busy === true };
  } catch {
    // Not JSON.
  }
  return { build: "", busy: false };
}

/** One small request. `absent`: nobody listens. */
async function send(
  socketPath: string,
  method: string,
  path: string,
  answerMs: number,
): Promise<{ body: string } | "absent" | "hung"> {
  const timeout = AbortSignal.timeout(answerMs);
  return new Promise((resolve) => {
    const outgoing = request({ socketPath, method, path, agent: false, signal: timeout }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => (body += text));
      response.on("close", () => resolve(response.complete ? { body } : timeout.aborted ? "hung" : "absent"));
      response.on("error", () => undefined);
    });
    outgoing.on("error", () => resolve(timeout.aborted ? "hung" : "absent"));
    outgoing.end();
  });
}

function lastLines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-LAST_LINES);
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
