from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import pytest

from torbiz.engines.base import AskError, Message, OtherServer, Question, Sampling
from torbiz.engines.other_server import OtherServerEngine
from torbiz.web import proxy_for, trust

NAME = "models.test"
"""Nobody but the proxy of these tests knows where it is."""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables of this computer's."""
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority that nobody trusts unless told to, and a certificate of it."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test Authority")
    openssl("req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=Test")
    (folder / "names").write_text(f"subjectAltName=DNS:{NAME},IP:127.0.0.1\n")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "request.pem", "-out", "cert.pem", *signed)
    return folder


class Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        event = {"choices": [{"delta": {"content": f"from {self.headers['Host']}"}, "finish_reason": "stop"}]}
        self.wfile.write(f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode())

    def log_message(self, *_arguments: object) -> None:
        pass


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


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    yield from running(Quiet(("127.0.0.1", 0), Answers))


@pytest.fixture(scope="module")
def secure(authority: Path) -> Iterator[int]:
    server = Quiet(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    yield from running(server)


class Proxy:
    """Passes bytes on, to this computer whatever the name, and notes for whom."""

    def __init__(self) -> None:
        self.targets: list[tuple[str, str | None]] = []
        """Host and port, and the login that was shown."""
        self.status = 200
        self.port = 0


@pytest.fixture
def proxy() -> Iterator[Proxy]:
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


def ask(base_url: str) -> str:
    heard: list[str] = []
    question = Question("model", OtherServer(base_url), (Message(role="user", content="Who?"),), Sampling())
    OtherServerEngine().answer(question, lambda piece: heard.append(getattr(piece, "text", "")), lambda: False)
    return "".join(heard)


def failure(base_url: str) -> str:
    with pytest.raises(AskError) as failed:
        ask(base_url)
    assert failed.value.code == "server-unreachable"
    return str(failed.value)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_server_whose_authority_is_named_is_trusted(
    secure: int, authority: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    url = f"https://127.0.0.1:{secure}/v1"
    assert failure(url) == "The server can't be reached: its certificate isn't trusted here."
    monkeypatch.setenv(name, str(authority / "ca.pem"))
    assert ask(url) == f"from 127.0.0.1:{secure}"


def test_a_python_without_authorities_has_mozillas(monkeypatch: pytest.MonkeyPatch) -> None:
    # As python.org's Python for a Mac is before its "Install Certificates.command" has run.
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/cert.pem")
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent/certs")
    assert ssl.create_default_context().cert_store_stats()["x509_ca"] == 0
    mozilla = ssl.create_default_context(cafile=certifi.where())
    assert trust().cert_store_stats() == mozilla.cert_store_stats()
    assert trust().cert_store_stats()["x509_ca"] > 50


def test_a_named_file_goes_before_mozillas(authority: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    assert trust().cert_store_stats()["x509_ca"] == 1


def test_a_question_goes_through_the_proxy_that_is_set(
    plain: int, secure: int, authority: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("https_proxy", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
    assert ask(f"http://{NAME}:{plain}/v1") == f"from {NAME}:{plain}"
    assert ask(f"https://{NAME}:{secure}/v1") == f"from {NAME}:{secure}"
    login = f"Basic {b64encode(b'me:p@ss').decode()}"
    assert proxy.targets == [(f"{NAME}:{plain}", None), (f"{NAME}:{secure}", login)]


def test_this_computer_and_what_is_excepted_are_never_reached_through_one(
    plain: int, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"127.0.0.1:{proxy.port}")
    for host in ("localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "0.0.0.0"):
        assert proxy_for(urlsplit(f"http://{host}:{plain}/v1")) is None
    assert ask(f"http://127.0.0.1:{plain}/v1") == f"from 127.0.0.1:{plain}"
    monkeypatch.setenv("NO_PROXY", f".{NAME},excepted.test:8443")
    assert proxy_for(urlsplit(f"http://{NAME}/v1")) is None
    assert proxy_for(urlsplit("https://excepted.test:8443/v1")) is None
    assert proxy_for(urlsplit("https://excepted.test/v1")) is not None
    assert failure(f"http://{NAME}:{plain}/v1") == "The server can't be reached: nothing answers there."
    assert proxy.targets == []


def test_a_proxy_that_refuses_or_is_none_is_named(plain: int, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://{NAME}:{plain}/v1"
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    proxy.status = 407
    assert failure(url) == "The server can't be reached: the proxy 127.0.0.1 doesn't lead there."
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert failure(url) == "The server can't be reached: the proxy 127.0.0.1 doesn't lead there."
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:9")
    assert failure(url) == "The server can't be reached: the proxy that is set isn't an http:// address."
