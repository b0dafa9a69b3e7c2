import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { findPython } from "../../../src/lib/ask/python";
import { ensureAskServer, type AskServer, type AskServerOptions } from "../../../src/lib/ask/server";
import { resolvePaths, prepareHome } from "../../../src/lib/paths";

const LIMIT_MS = 60_000;

/** Keeps the real server's contract (options, lock, socket, /health, /torbiz/shutdown) with Python's own library only. */
const SERVER = `
import argparse, fcntl, http.server, json, os, socketserver, sys
parser = argparse.ArgumentParser()
for name in ("socket", "lock", "log", "build"):
    parser.add_argument("--" + name)
parser.add_argument("--detach", action="store_true")
args = parser.parse_args()
if os.environ.get("LANG") == "fail":
    sys.exit("it can't start")
receive, send = os.pipe()
if os.fork():
    os.close(send)
    sys.exit(0 if os.read(receive, 1) else 1)
os.setsid()
lock = open(args.lock, "a+")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    os.write(send, b"1")
    os._exit(0)
lock.truncate(0)
lock.write(str(os.getpid()))
lock.flush()
log = os.open(args.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.dup2(log, 1), os.dup2(log, 2)
print("ENV " + json.dumps(dict(os.environ)), flush=True)

class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "unix"
    def log_message(self, *_):
        pass
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer({"status": "ok", "build": args.build, "pid": os.getpid()})
    def do_POST(self):
        self.answer({})
        os.unlink(args.socket)
        os._exit(0)

if os.path.exists(args.socket):
    os.unlink(args.socket)
server = socketserver.UnixStreamServer(args.socket, Handler)
os.write(send, b"1")
os.close(send)
server.serve_forever()
`;

let root: string;
let options: AskServerOptions;
let pids: number[];

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "ask é "));
  mkdirSync(join(root, "files/python/torbiz"), { recursive: true });
  writeFileSync(join(root, "files/python/torbiz/__init__.py"), "");
  writeFileSync(join(root, "files/python/torbiz/ask_server.py"), SERVER);
  const paths = resolvePaths({ TORBIZ_HOME: join(root, "home") });
  prepareHome(paths);
  const { path } = await findPython({ env: process.env, home: homedir(), platform: process.platform });
  options = {
    surroundings: {
      paths,
      env: { ...process.env, HF_TOKEN: "canary", PYTHONSTARTUP: "/elsewhere", LANG: "C.UTF-8" },
      home: homedir(),
      platform: process.platform,
      runtimeFiles: join(root, "files"),
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

async function ensure(more: Partial<AskServerOptions> = {}): Promise<AskServer> {
  const server = await ensureAskServer({ ...options, ...more });
  pids.push(server.pid);
  return server;
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
  "gives it no secrets and no settings of another Python",
  async () => {
    const { log } = await ensure();
    const given = JSON.parse(/^ENV (.*)$/m.exec(readFileSync(log, "utf8"))?.[1] ?? "{}") as Record<string, string>;
    expect(given.PYTHONPATH).toBe(join(root, "files/python"));
    expect(Number(given.OMP_NUM_THREADS)).toBeGreaterThan(0);
    expect(Object.keys(given)).not.toContain("PYTHONSTARTUP");
    expect(JSON.stringify(given)).not.toContain("canary");
  },
  LIMIT_MS,
);

it.each([
  ["code", () => writeFileSync(join(root, "files/python/torbiz/new.py"), "")],
  ["packages", () => (options = { ...options, environment: { ...options.environment, lockHash: "f".repeat(16) } })],
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

it(
  "tells the last lines when it can't start, at once",
  async () => {
    const surroundings = { ...options.surroundings, env: { ...options.surroundings.env, LANG: "fail" } };
    const failure = await ensure({ surroundings }).catch((error: unknown) => error);
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
