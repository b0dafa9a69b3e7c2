"""A model hub on this computer, as far as a download meets one, with faults on demand.

It serves the folders ``ROOT/OWNER/NAME``, each a model at one commit. Tests in Python hold a ``HubStandIn``; others
start it and are told its address by the first line that it prints:

    python -m tests.hub ROOT [--host 0.0.0.0]

They set faults by ``PUT /_faults`` (a JSON list of ``Fault``) and read what was asked by ``GET /_requests`` (a JSON
list of ``Request``).
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

STORED_ELSEWHERE = re.compile(r"\.(safetensors|bin|gguf)$")
"""Such files have a SHA-256 for a name and come from the store, after a redirect."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong, for the files (or ``api``) whose name fits. Where several fit, the first one happens."""

    file: str = "*"
    place: str | None = None
    """Only there, as in ``Request``."""
    status: int | None = None
    """Answers so."""
    code: str = ""
    """With this ``X-Error-Code``."""
    silent_after: int | None = None
    """So many bytes come, then nothing more; 0: not even an answer."""
    cut_after: int | None = None
    """The connection breaks off after so many bytes."""
    bytes_per_second: float | None = None
    wrong: bool = False
    """Another content comes than the hash says."""
    whole: bool = False
    """The whole file comes, whatever range is asked for."""
    times: int | None = None
    """It happens so often; None is always."""


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    method: str
    path: str
    place: str
    """``api``, ``hub`` or ``store``."""
    file: str
    range: str | None = None
    token: str | None = None


@dataclass
class State:
    """What the handlers share."""

    root: Path
    token: str | None = None
    """Where one is set, only those who have it are let in."""
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    happened: dict[Fault, int] = field(default_factory=dict)
    closing: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)


class HubStandIn:
    """The hub, while it is entered."""

    def __init__(self, root: Path, host: str = "127.0.0.1", certificate: Path | None = None) -> None:
        self.state = State(root)
        self._host = host
        handler = type("Handler", (_Handler,), {"state": self.state})
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    @property
    def url(self) -> str:
        """For ``HF_ENDPOINT``."""
        return f"http://{self._host}:{self.port}"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def requests(self) -> list[Request]:
        return self.state.requests

    def fail(self, *faults: Fault) -> None:
        """From now on these happen, and no others; what was asked before is forgotten."""
        with self.state.guard:
            self.state.faults = list(faults)
            self.state.happened.clear()
            self.state.requests.clear()

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        self.state.closing.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def hub(root: Path, certificate: Path | None = None) -> Iterator[HubStandIn]:
    """A hub that serves ``root`` in a thread; by TLS where it has a folder with certificate and key."""
    stand_in = HubStandIn(root, certificate=certificate)
    thread = threading.Thread(target=stand_in.serve, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.close()
        thread.join()


def commit_of(folder: Path) -> str:
    """A model's only commit: 40 hex digits."""
    return hashlib.sha1("".join(names_in(folder)).encode()).hexdigest()


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def etag_of(path: Path) -> str:
    """As the hub has it: the SHA-256 of a file that is stored elsewhere, git's name of any other."""
    content = path.read_bytes()
    if STORED_ELSEWHERE.search(path.name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        faults = [Fault(**fault) for fault in json.loads(self.rfile.read(int(self.headers["Content-Length"])))]
        with self.state.guard:
            self.state.faults = faults
            self.state.happened.clear()
            self.state.requests.clear()
        self._send(b"")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == "/_requests":
            return self._send(json.dumps([asdict(request) for request in self.state.requests]).encode())
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            return self._api(found[1], found[2] or "main")
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve(found[1], found[2], found[3])
        if found := re.fullmatch(r"/_store/([^/]+/[^/]+)/(.+)", path):
            return self._store(found[1], found[2])
        return self._refuse(404)

    def _api(self, repository: str, revision: str) -> None:
        folder = self.state.root / repository
        fault = self._note("api", "api")
        if self._fails(fault) or self._lacks(folder, revision):
            return
        files = [{"rfilename": name, "size": (folder / name).stat().st_size} for name in names_in(folder)]
        answer = {"id": repository, "sha": commit_of(folder), "siblings": files, "gated": False}
        self._send(json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repository: str, revision: str, name: str) -> None:
        folder = self.state.root / repository
        fault = self._note("hub", name)
        if self._fails(fault) or self._lacks(folder, revision):
            return
        path = folder / name
        if not path.is_file():
            self._refuse(404, "EntryNotFound")
            return
        headers = {"X-Repo-Commit": commit_of(folder)}
        if STORED_ELSEWHERE.search(name):
            headers["X-Linked-Etag"] = f'"{etag_of(path)}"'
            headers["X-Linked-Size"] = str(path.stat().st_size)
            headers["Location"] = f"//{self.headers['Host']}/_store/{repository}/{name}"
            self._send(b"", headers, 302)
        else:
            self._send_file(path, {**headers, "ETag": f'"{etag_of(path)}"'}, fault)

    def _store(self, repository: str, name: str) -> None:
        fault = self._note("store", name)
        if fault is not None and fault.status is not None:
            self._refuse(fault.status, fault.code)
        elif fault is not None and fault.silent_after == 0:
            self._be_silent()
        else:
            self._send_file(self.state.root / repository / name, {}, fault)

    def _note(self, place: str, file: str) -> Fault | None:
        """Notes a request. The fault that is to happen."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        request = Request(self.command, self.path, place, file, self.headers.get("Range"), token)
        with self.state.guard:
            self.state.requests.append(request)
            for fault in self.state.faults:
                count = self.state.happened.get(fault, 0)
                if self._fits(fault, place, file) and (fault.times is None or count < fault.times):
                    self.state.happened[fault] = count + 1
                    return fault
        return None

    def _fits(self, fault: Fault, place: str, file: str) -> bool:
        # Other faults than refusals happen to what is sent: by the store, where there is one.
        sends = self.command == "GET" and (place == "store" or not (place == "api" or STORED_ELSEWHERE.search(file)))
        refuses = fault.status is not None or fault.silent_after == 0
        if not (sends or refuses):
            return False
        return fault.place in (None, place) and fnmatch.fnmatch(file, fault.file)

    def _fails(self, fault: Fault | None) -> bool:
        token = self.state.token
        if fault is not None and fault.status is not None:
            self._refuse(fault.status, fault.code)
        elif fault is not None and fault.silent_after == 0:
            self._be_silent()
        elif token is not None and self.headers.get("Authorization") != f"Bearer {token}":
            self._refuse(401, "GatedRepo")
        else:
            return False
        return True

    def _lacks(self, folder: Path, revision: str) -> bool:
        if not folder.is_dir():
            # To strangers the hub doesn't say which private models there are.
            self._refuse(404 if self.headers.get("Authorization") else 401, "RepoNotFound")
        elif revision not in ("main", commit_of(folder)):
            self._refuse(404, "RevisionNotFound")
        else:
            return False
        return True

    def _refuse(self, status: int, code: str = "") -> None:
        self._send(b"{}", {"X-Error-Code": code} if code else {}, status)

    def _be_silent(self) -> None:
        self.state.closing.wait()
        self.close_connection = True

    def _send(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_file(self, path: Path, headers: dict[str, str], fault: Fault | None) -> None:
        fault = fault or Fault()
        content = path.read_bytes()
        if fault.wrong:
            content = content[:-1] + bytes([content[-1] ^ 1])
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked and not fault.whole else 0
        if start >= len(content) > 0:
            self._refuse(416)
            return
        rest = content[start:]
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send_response(206 if start else 200)
        for name, value in {"Content-Length": str(len(rest)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        ends = [end for end in (fault.cut_after, fault.silent_after) if end is not None]
        sent = rest[: min(ends)] if ends else rest
        with suppress(OSError):  # who asked has gone
            self._write_slowly(sent, fault.bytes_per_second)
            if fault.silent_after is not None:
                self._be_silent()
        if ends:
            self.close_connection = True

    def _write_slowly(self, content: bytes, speed: float | None) -> None:
        step = len(content) if speed is None else max(1, int(speed / 20))
        for start in range(0, len(content), step or 1):
            if self.state.closing.is_set():
                return
            self.wfile.write(content[start : start + step])
            if speed is not None:
                time.sleep(step / speed)


def main() -> None:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    arguments = parser.parse_args()
    stand_in = HubStandIn(arguments.root, arguments.host)
    print(stand_in.url, flush=True)  # noqa: T201  (who started it reads this)
    stand_in.serve()


if __name__ == "__main__":
    main()
