import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pythonFor } from "../../../src/lib/ask/ask-environments";
import { findPython } from "../../../src/lib/ask/python";
import { ensureAskServer, whyGone, type AskServerOptions } from "../../../src/lib/ask/server";
import { resolvePaths, prepareHome } from "../../../src/lib/paths";
import { writeRuntimeFiles } from "./python-server";

const LIMIT_MS = 60_000;

let root: string;
let options: AskServerOptions;
let pids: number[];

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "ask é "));
  const paths = resolvePaths({ TORBIZ_HOME: join(root, "home") });
  prepareHome(paths);
  const { path } = await findPython(
    { env: process.env, home: homedir(), platform: process.platform, paths: { pythons: "/nonexistent" } },
    pythonFor("local"),
  );
  options = {
    surroundings: {
      paths,
      env: { ...process.env, HF_TOKEN: "canary", PYTHONSTARTUP: "/elsewhere", LANG: "C.UTF-8" },
      home: homedir(),
      platform: process.platform,
      runtimeFiles: writeRuntimeFiles(root),
    },
    environment: { kind: "swarm", folder: root, python: path, lockHash: "0123456789abcdef" },
    limitMs: 30_000,
    answerMs: 1_000,
  };
  pids = [];
});

afterEach(() => {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
  rmSync(root, { recursive: true, force: true });
});

async function ensure(more: Partial<AskServerOptions> = {}): Promise<{ socketPath: string; pid: number }> {
  const socketPath = await ensureAskServer({ ...options, ...more });
  const pid = Number(readFileSync(join(options.surroundings.paths.run, "ask-swarm.lock"), "utf8"));
  pids.push(pid);
  return { socketPath, pid };
}

function log(): string {
  return readFileSync(join(options.surroundings.paths.logs, "ask-swarm.log"), "utf8");
}

function behaving(how: string): AskServerOptions["surroundings"] {
  return { ...options.surroundings, env: { ...options.surroundings.env, LANG: how } };
}

/** Whether a process runs. An ended one that nobody has collected yet (some containers' init never does) doesn't. */
function lives(pid: number): boolean {
  const state = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).stdout.trim();
  return state !== "" && !state.startsWith("Z");
}

it(
  "starts one and uses it again",
  async () => {
    const first = await ensure();
    expect(first.socketPath).toBe(join(root, "home/run/ask-swarm.sock"));
    expect(await ensure()).toEqual(first);
  },
  LIMIT_MS,
);

it(
  "starts one for many who come at once",
  async () => {
    const servers = await Promise.all([ensure(), ensure(), ensure()]);
    expect(new Set(servers.map(({ pid }) => pid)).size).toBe(1);
  },
  LIMIT_MS,
);

it(
  "tells a new one how long to stay",
  async () => {
    await ensure({ idleMinutes: 7 });
    expect(log()).toContain('OPTIONS ["420"]');
  },
  LIMIT_MS,
);

it(
  "gives it no secrets and no settings of another Python",
  async () => {
    await ensure();
    const given = JSON.parse(/^ENV (.*)$/m.exec(log())?.[1] ?? "{}") as Record<string, string>;
    expect(given.PYTHONPATH).toBe(join(root, "files/python"));
    expect(Number(given.OMP_NUM_THREADS)).toBeGreaterThan(0);
    expect(Object.keys(given)).not.toContain("PYTHONSTARTUP");
    expect(JSON.stringify(given)).not.toContain("canary");
  },
  LIMIT_MS,
);

it.each([
  ["code", () => writeFileSync(join(root, "files/python/torbiz/new.py"), "")],
  ["packages", () => writeFileSync(join(root, "files/python/requirements/local.txt"), "# new")],
  [
    "wishes for a Python",
    () => (options.surroundings.env = { ...options.surroundings.env, TORBIZ_PYTHON: "/usr/bin/a" }),
  ],
])(
  "replaces one with other %s",
  async (_what, change) => {
    const first = await ensure();
    change();
    const second = await ensure();
    expect(second.pid).not.toBe(first.pid);
    expect(second.socketPath).toBe(first.socketPath);
    expect(lives(first.pid)).toBe(false);
  },
  LIMIT_MS,
);

it.each([
  ["waits for somebody's answer before it replaces another version", 30_000, "IDLE"],
  ["doesn't wait for ever", 200, "BUSY"],
])(
  "%s",
  async (_name, busyMs, expected) => {
    const { pid } = await ensure({ surroundings: behaving("busy") });
    writeFileSync(join(root, "files/python/torbiz/new.py"), "");
    expect((await ensure({ busyMs })).pid).not.toBe(pid);
    expect(log()).toContain(`SENT AWAY ${expected}`);
  },
  LIMIT_MS,
);

it.each(["SIGSTOP", "SIGKILL"] as const)(
  "replaces one that got %s",
  async (signal) => {
    const first = await ensure();
    process.kill(first.pid, signal);
    const second = await ensure();
    expect(second.pid).not.toBe(first.pid);
    expect(lives(first.pid)).toBe(false);
  },
  LIMIT_MS,
);

it.each([
  ["waits for one that loads a model", 0, true],
  ["doesn't wait for ever for one that loads", 1_000, false],
])(
  "%s",
  async (_name, sinceSeconds, kept) => {
    const first = await ensure();
    const note = `${first.socketPath}.loading`;
    writeFileSync(note, "");
    const since = Date.now() / 1000 - sinceSeconds;
    utimesSync(note, since, since);
    process.kill(first.pid, "SIGSTOP");
    const second = ensure({ answerMs: 1_000 });
    await sleep(1_500);
    rmSync(note);
    // The other has been ended by then.
    if (kept) process.kill(first.pid, "SIGCONT");
    expect((await second).pid === first.pid).toBe(kept);
  },
  LIMIT_MS,
);

it(
  "tells the last lines when it can't start, at once",
  async () => {
    const failure = await ensure({ surroundings: behaving("fail") }).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: "ask-server-failed",
      message: "The ask server ended while it started.",
      details: { lines: expect.arrayContaining(["it can't start"]) },
    });
  },
  LIMIT_MS,
);

it(
  "stops waiting when told to",
  async () => {
    const signal = AbortSignal.abort();
    await expect(ensure({ signal })).rejects.toMatchObject({ code: "interrupted" });
  },
  LIMIT_MS,
);

it.each([
  [
    "a crash",
    "Fatal Python error: Segmentation fault\n\nThread 0x1 (most recent call first):\n  File x",
    "It crashed (Segmentation fault).",
  ],
  ["an engine that hung", "t ERROR torbiz.ask_server: Leaving: the engine hangs", "Its engine hung."],
  ["an end that was wanted", "t INFO torbiz.ask_server: Stopped", "It was told to end."],
  ["nothing", "", "Something else ended it, such as the system where memory runs out."],
])("tells why a server is gone: its log ends with %s", (_what, end, reason) => {
  const { pid: gone } = spawnSync("true");
  const file = join(options.surroundings.paths.logs, "ask-swarm.log");
  const start = (pid: number) => `t INFO torbiz.ask_server: Starting: version 1, build b, process ${pid}`;
  writeFileSync(file, `${start(1)}\nt INFO torbiz.ask_server: Stopped\n${start(gone)}\n${end}\n`);
  expect(whyGone(options.surroundings, "swarm")).toMatchObject({ reason, log: file });
  // By then another one has been started.
  writeFileSync(file, `${start(gone)}\n${start(process.pid)}\n`);
  expect(whyGone(options.surroundings, "swarm").reason).toBe("");
});
