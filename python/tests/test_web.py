from __future__ import annotations

import json
import ssl
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import pytest

from tests.way import NAME, Proxy, Quiet, make_authority, proxy_here, running
from torbiz.engines.base import AskError, Message, OtherServer, Question, Sampling
from torbiz.engines.other_server import OtherServerEngine
from torbiz.web import proxy_for, trust


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables of this computer's."""
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    yield from proxy_here()


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


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"])
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


@pytest.mark.parametrize(
    ("entries", "host", "excepted"),
    [
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:8443", "10.1.2.3", True),
        ("10.1.2.3:8080", "10.1.2.3", False),
        ("a.test, 10.0.0.0/8", "10.1.2.3", True),
        ("10.9.9.9/8", "10.1.2.3", True),
        ("192.168.1.128/25", "192.168.1.127", False),
        ("169.254/16", "169.254.7.7", True),
        ("169.254", "169.254.7.7", False),
        ("10.0.0.0/33", "10.1.2.3", False),
        ("10.0.0.0/", "10.1.2.3", False),
        ("10.0.0.0/-1", "10.1.2.3", False),
        ("2001:db8::1", "[2001:db8::1]", True),
        ("[2001:DB8:0::1]", "[2001:db8::1]", True),
        ("2001:db8::1", "[2001:db8::2]", False),
        ("2001:db8::/32", "[2001:db8:7::1]", True),
        ("2001:db8::/129", "[2001:db8::1]", False),
        ("2001:db8::/32", "10.1.2.3", False),
        ("0.0.0.0/0,::/0", NAME, False),
    ],
)
def test_a_network_is_excepted_as_such(
    entries: str, host: str, excepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = urlsplit(f"http://{host}:8443/v1")
    # As a container is told of it, and by this computer's own variables.
    assert (proxy_for(url, {"http": "proxy.test:1", "no": entries}) is None) is excepted
    monkeypatch.setenv("HTTP_PROXY", "proxy.test:1")
    monkeypatch.setenv("NO_PROXY", entries)
    assert (proxy_for(url) is None) is excepted


def test_a_proxy_that_refuses_or_is_none_is_named(plain: int, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://{NAME}:{plain}/v1"
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    proxy.status = 407
    assert failure(url) == "The server can't be reached: the proxy 127.0.0.1 wants a user name and a password."
    monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
    refused = "the proxy 127.0.0.1 doesn't accept the user name and password."
    assert failure(url) == f"The server can't be reached: {refused}"
    proxy.status = 502
    assert failure(url) == "The server can't be reached: the proxy 127.0.0.1 doesn't lead there."
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert failure(url) == "The server can't be reached: the proxy 127.0.0.1 doesn't lead there."
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:9")
    assert failure(url) == "The server can't be reached: the proxy that is set isn't an http:// address."
