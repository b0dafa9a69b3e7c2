import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Keeps the real server's contract (options, lock, socket, HTTP, records in the conversation's file) with Python's own
 * library only. LANG tells it how to behave: `fail` at the start; `busy` for two seconds; and once, `leave-idle` when its
 * health was told, or `leave-asked` at the question. The last message tells it what to answer: "Paris" in two pieces, and
 * between them to a question with "hold" it waits for its stop or for the file `go` next to its lock, at "die" it is
 * killed, at "freeze" it stops as by SIGSTOP. "broken" is refused as a model that can't be loaded is. An answer that it goes on from gets the rest of "Paris".
 */
const SERVER = `
import argparse, fcntl, http.server, json, os, pathlib, signal, socketserver, sys, threading, time
parser = argparse.ArgumentParser()
for name in ("socket", "lock", "log", "build", "model", "idle-seconds"):
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
print("OPTIONS " + json.dumps([args.idle_seconds]), flush=True)
busy_until = time.monotonic() + (2 if how == "busy" else 0)
left = pathlib.Path(args.lock + ".left")
go = pathlib.Path(args.lock).with_name("go")
generations = {}

def leave(moment, last_words=lambda: None):
    if how == moment and not left.exists():
        left.touch()
        os.unlink(args.socket)
        last_words()
        os._exit(0)

class Generation:
    def __init__(self, request):
        self.order = request["torbiz"]["generation"]
        self.last = request["messages"][-1]
        self.events, self.seq, self.stopped, self.ended = [], 0, False, False
        self.record(type="generation", id=self.order["id"], parent=self.order["parent"],
                    continues=self.order["continues"], engine=self.order["engine"], at="2026-01-02T03:04:05Z")
        generations[self.order["id"]] = self
        print("ASKED " + json.dumps([request["torbiz"]["engine"], request["messages"]]), flush=True)
        threading.Thread(target=self.run).start()
    def record(self, **fields):
        with open(self.order["file"], "a") as file:
            file.write(json.dumps(fields) + "\\n")
    def piece(self, text):
        self.record(type="delta", of=self.order["id"], seq=self.seq + 1, text=text)
        self.seq += 1
        self.events.append((self.seq, {"choices": [{"delta": {"content": text}}]}))
    def run(self):
        word = self.last["content"]
        if self.last["role"] == "assistant":
            return self.end("Paris"[len(word):])
        self.piece("Par")
        if "die" in word:
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)
        if "freeze" in word:
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGSTOP)
            while not go.exists():
                time.sleep(0.01)
        while "hold" in word and not self.stopped and not go.exists():
            time.sleep(0.01)
        self.end("" if self.stopped else "is")
    def end(self, text):
        if text:
            self.piece(text)
        reason = "stopped" if self.stopped else "stop"
        figures = {"route": None, "firstTokenSeconds": 0.5, "tokensPerSecond": 7}
        self.record(type="end", of=self.order["id"], reason=reason, error=None, at="2026-01-02T03:04:06Z",
                    usage={"promptTokens": 3, "completionTokens": 2, "cachedTokens": 1}, **figures)
        self.events.append((None, {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2},
                                   "torbiz": {"end": {"reason": reason, "seq": self.seq, "cachedTokens": 1,
                                                      **figures}}}))
        self.ended = True

class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "unix"
    def log_message(self, *_):
        pass
    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def unknown(self):
        self.answer({"error": {"code": "generation-unknown", "message": "Unknown."}}, 404)
    def do_GET(self):
        if self.path == "/health":
            busy = time.monotonic() < busy_until
            health = {"build": args.build, "busy": busy, "python": sys.executable, "engine": None}
            leave("leave-idle", lambda: self.answer(health)) # nobody can ask it any more by then
            self.answer(health)
        elif self.path == "/torbiz/generations":
            running = [each.order for each in generations.values() if not each.ended]
            fields = [{"id": each["id"], "conversation": each["conversation"], "model": each["engine"]["model"],
                       "startedAt": "2026-01-02T03:04:05Z", "seq": 1} for each in running]
            self.answer({"generations": fields})
        else:
            known = generations.get(self.path.split("/")[3])
            self.stream(known, int(self.path.split("=")[1])) if known else self.unknown()
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/torbiz/shutdown":
            print("SENT AWAY " + ("BUSY" if time.monotonic() < busy_until else "IDLE"), flush=True)
            self.answer({})
            os.unlink(args.socket)
            os._exit(0)
        if self.path == "/v1/chat/completions":
            leave("leave-asked")
            request = json.loads(body)
            if "broken" in request["messages"][-1]["content"]:
                return self.answer({"error": {"code": "model-broken", "message": "It can't be read."}}, 500)
            return self.stream(Generation(request), 0)
        known = generations.get(self.path.split("/")[3])
        if not known or known.ended:
            return self.unknown()
        known.stopped = True
        while not known.ended:
            time.sleep(0.01)
        self.answer({"status": "stopped"})
    def stream(self, generation, after):
        # In chunks, so that an end without the last one is a broken connection.
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n")
        sent = after
        while not generation.ended or sent < len(generation.events):
            if sent == len(generation.events):
                time.sleep(0.01)
                continue
            seq, chunk = generation.events[sent]
            sent += 1
            self.chunk((f"id: {seq}\\n" if seq else "") + "data: " + json.dumps(chunk))
        self.chunk("data: [DONE]")
        self.wfile.write(b"0\\r\\n\\r\\n")
        self.close_connection = True
    def chunk(self, text):
        data = text.encode() + b"\\n\\n"
        self.wfile.write(b"%x\\r\\n%b\\r\\n" % (len(data), data))
        self.wfile.flush()

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    def handle_error(self, *_):
        pass

if os.path.exists(args.socket):
    os.unlink(args.socket)
server = Server(args.socket, Handler)
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
  for (const lock of ["local.txt", "build.txt", "swarm.txt"]) {
    writeFileSync(join(files, "python/requirements", lock), "");
  }
  return files;
}
