import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { openEngine, openSurroundings, type EngineContext } from "../../src/lib/context";
import { findDockerCli } from "../../src/lib/docker/cli";

/** The checkout's root: what a user has. */
export const ROOT = resolve(import.meta.dirname, "../..");

/** An event of `--json` output. */
export interface Event {
  event: string;
  [field: string]: unknown;
}

export interface Ended {
  /** Exit code, or null when a signal ended it. */
  code: number | null;
  events: Event[];
  /** The last event: the result, or the error. */
  last: Event;
  stderr: string;
}

/** A `torbiz` command that runs. */
export interface Running {
  child: ChildProcess;
  /** Resolves with the first event that fits, rejects when the command ends before. */
  waitFor(fits: (event: Event) => boolean): Promise<Event>;
  ended: Promise<Ended>;
}

export interface RunOptions {
  env?: NodeJS.ProcessEnv;
  /** What stdin holds; null keeps it open and empty. */
  input?: string | null;
  /** Run without root's capabilities, which go past file modes; without them root is a user like any other. */
  plainUser?: boolean;
}

/** What Node says of an exception or a rejection that nobody handled. */
const CRASH = /^Node\.js v\d|UnhandledPromise/m;

/** Starts `torbiz ARGS --json` as a user would. One that crashes fails the test, whatever it was asked for. */
export function start(args: readonly string[], { env = {}, input, plainUser }: RunOptions = {}): Running {
  const withoutCapabilities =
    plainUser && process.getuid?.() === 0 ? ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] : [];
  const [file = "", ...rest] = [
    ...withoutCapabilities,
    ...[process.execPath, resolve(ROOT, "bin/torbiz.mjs"), ...args, "--json"],
  ];
  const child = spawn(file, rest, {
    cwd: ROOT,
    env: { ...process.env, NODE_OPTIONS: "", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const events: Event[] = [];
  const waiting = new Set<() => void>();
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  createInterface({ input: child.stdout }).on("line", (line) => {
    events.push(JSON.parse(line) as Event);
    for (const look of waiting) look();
  });
  if (input !== null) child.stdin.end(input);
  const ended = new Promise<Ended>((resolveEnded, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      if (CRASH.test(stderr)) reject(new Error(`torbiz ${args.join(" ")} crashed: ${stderr}`));
      resolveEnded({ code, events, last: events.at(-1) ?? { event: "nothing" }, stderr });
      for (const look of waiting) look();
    });
  });
  const waitFor = (fits: (event: Event) => boolean) =>
    new Promise<Event>((resolveFound, reject) => {
      const look = () => {
        const found = events.find(fits);
        if (found) resolveFound(found);
        else if (child.exitCode !== null || child.signalCode !== null) {
          reject(new Error(`ended before: ${JSON.stringify(events.at(-1))} ${stderr}`));
        } else return;
        waiting.delete(look);
      };
      waiting.add(look);
      look();
    });
  return { child, waitFor, ended };
}

/** Runs `torbiz ARGS --json` to its end. */
export function torbiz(args: readonly string[], options?: RunOptions): Promise<Ended> {
  return start(args, options).ended;
}

/** What of an answer is the same at temperature 0, whatever happens to those who compute it. */
export function outcome({ last: { ok, tokens, finishReason, answer } }: Ended): object {
  return { ok, tokens, finishReason, answer };
}

/**
 * How many tokens of an answer take 12 s, as fast as an answer came: so it is still on its way when a finish is seen, which
 * the engine's look at the container tells every 5 s. At least 100, which a slow computer needs longer for.
 */
export function tokensThatLast({ last }: Ended): number {
  return Math.min(Math.max(100, Math.ceil(12 * Number(last.tokensPerSecond))), 1_000);
}

/** Runs a program to its end. */
export const exec = promisify(execFile);

/** The engine as the tests see it beside the command: same instance, same home folder. */
export function openTestEngine(env: NodeJS.ProcessEnv = {}): Promise<EngineContext> {
  const all = { ...process.env, ...env };
  if (all.TORBIZ_HOME) mkdirSync(all.TORBIZ_HOME, { recursive: true, mode: 0o700 });
  return openEngine(openSurroundings({ runtimeFiles: ROOT, env: all }));
}

/** The engine, and the docker command for what a person would do by hand; nothing is shared. */
export async function openTestBed(): Promise<{ context: EngineContext; docker: string }> {
  const context = await openTestEngine();
  await torbiz(["stop"]);
  return { context, docker: await findDockerCli(context) };
}

/** The address of a peer that isn't one: something takes connections there, on this computer's loopback only. */
export async function openDoor(): Promise<{ address: string; close: () => void }> {
  const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const address = `/ip4/127.0.0.1/tcp/${port}/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2`;
  return { address, close: () => server.close() };
}
