"""What a company puts between its computers and the web: a proxy, and an authority of its own."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME = "models.test"
"""Nobody but the proxy knows where it is."""


def make_authority(folder: Path) -> Path:
    """A folder with an authority that nobody trusts unless told to, and a certificate of it."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test Authority")
    openssl("req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=Test")
    (folder / "names").write_text(f"subjectAltName=DNS:{NAME},IP:127.0.0.1\n")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "request.pem", "-out", "cert.pem", *signed)
    return folder


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments: object) -> None:
        """A client that doesn't trust this server breaks off."""


def running(server: ThreadingHTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


class Proxy:
    """Passes bytes on, to this computer whatever the name, and notes for whom."""

    def __init__(self) -> None:
        self.targets: list[tuple[str, str | None]] = []
        """Host and port, and the login that was shown."""
        self.status = 200
        self.port = 0


def proxy_here() -> Iterator[Proxy]:
    noted = Proxy()

    class Passes(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            noted.targets.append((self.path, self.headers.get("Proxy-Authorization")))
            self.send_response(noted.status)
            self.end_headers()
            if noted.status != 200:
                return
            with socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2]))) as target:
                back = threading.Thread(target=pump, args=(target, self.connection))
                back.start()
                pump(self.connection, target)
                back.join()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Passes)
    noted.port = server.server_port
    for _ in running(server):
        yield noted


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
