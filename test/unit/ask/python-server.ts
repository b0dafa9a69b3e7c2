import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Keeps the real server's contract (options, lock, socket, /health, /torbiz/shutdown) with Python's own library only.
 * LANG tells it how to behave: `fail` at the start; `busy` for two seconds; and once, `leave-idle` when its health was
 * told, `leave-asked` at the question, or `leave-waiting` before the answer begins.
 */
const SERVER = `
import argparse, fcntl, http.server, json, os, pathlib, socketserver, sys, time
parser = argparse.ArgumentParser()
for name in ("socket", "lock", "log", "build"):
    parser.add_argument("--" + name)
parser.add_argument("--detach", action="store_true")
args = parser.parse_args()
how = os.environ.get("LANG")
if how == "fail":
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
busy_until = time.monotonic() + (2 if how == "busy" else 0)
left = pathlib.Path(args.lock + ".left")

def leave(moment):
    if how == moment and not left.exists():
        left.touch()
        os.unlink(args.socket)
        os._exit(0)

def event(value):
    return b"data: " + json.dumps(value).encode() + b"\\n\\n"

class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "unix"
    def log_message(self, *_):
        pass
    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        health = {"status": "ok", "build": args.build, "pid": os.getpid(), "busy": time.monotonic() < busy_until}
        self.answer(json.dumps(health).encode())
        leave("leave-idle")
    def do_POST(self):
        if self.path == "/torbiz/shutdown":
            print("SENT AWAY " + ("BUSY" if time.monotonic() < busy_until else "IDLE"), flush=True)
            self.answer(b"{}")
            os.unlink(args.socket)
            os._exit(0)
        self.rfile.read(int(self.headers["content-length"]))
        leave("leave-asked")
        # In chunks, so that an end without the last one is a broken connection.
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n")
        self.chunk(b": waiting\\n\\n")
        leave("leave-waiting")
        self.chunk(event({"choices": [{"delta": {"content": "Paris"}, "finish_reason": "stop"}]}))
        self.chunk(event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}))
        self.chunk(b"data: [DONE]\\n\\n")
        self.chunk(b"")
        self.close_connection = True
    def chunk(self, data):
        self.wfile.write(b"%x\\r\\n%b\\r\\n" % (len(data), data))

if os.path.exists(args.socket):
    os.unlink(args.socket)
server = socketserver.UnixStreamServer(args.socket, Handler)
os.write(send, b"1")
os.close(send)
server.serve_forever()
`;

/** Writes it as Torbiz's own files, with locks that have no packages, and returns their folder. */
export function writeRuntimeFiles(root: string): string {
  const files = join(root, "files");
  mkdirSync(join(files, "python/torbiz"), { recursive: true });
  mkdirSync(join(files, "python/requirements"));
  writeFileSync(join(files, "python/torbiz/__init__.py"), "");
  writeFileSync(join(files, "python/torbiz/ask_server.py"), SERVER);
  for (const lock of ["build.txt", "swarm.txt"]) writeFileSync(join(files, "python/requirements", lock), "");
  return files;
}
