from __future__ import annotations

import json
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from torbiz.engines import other_server
from torbiz.engines.base import AskError, Cancelled, Delta, Finished, Message, OtherServer, Progress, Question, Sampling

Handler = BaseHTTPRequestHandler
Answer = Callable[[Handler], None]
LIMIT_SECONDS = 60
QUESTION = "What do birds sing about?"
KEY = "sk-very-secret"


@dataclass
class Scripted:
    """A real HTTP server that answers as told, and what it was asked."""

    url: str
    answer: Answer = lambda _handler: None
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when the client has closed the connection of the last answer."""


@pytest.fixture(scope="module")
def running() -> Iterator[Scripted]:
    class Requests(Handler):
        def do_POST(self) -> None:
            scripted.paths.append(self.path)
            scripted.headers.append(dict(self.headers))
            scripted.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            with suppress(OSError):
                scripted.answer(self)
            scripted.gone.set()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    server.daemon_threads = True
    scripted = Scripted(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield scripted
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(running: Scripted) -> Scripted:
    running.bodies, running.headers, running.paths = [], [], []
    running.gone.clear()
    return running


def streams(*parts: object, kind: str = "text/event-stream") -> Answer:
    """Sends events, each of them an object or raw bytes, and closes the connection."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        for part in parts:
            handler.wfile.write(part if isinstance(part, bytes) else b"data: " + json.dumps(part).encode() + b"\n\n")

    return answer


def refuses(status: int, body: object, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def says(text: str | None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


DONE = b"data: [DONE]\n\n"
ODD_TEXT = "日本語と한국어, 👩‍👩‍👧‍👦 e\u0301 ñ 🇫🇷 ok"
"""Characters of up to four bytes, a family of seven code points, a letter with a combining accent."""


def in_chunks(*chunks: bytes, whole: bool = True) -> Answer:
    """Sends them as HTTP's own chunks, each in a packet of its own, the last one perhaps only in half."""

    def answer(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for chunk in chunks:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        handler.wfile.write(b"0\r\n\r\n" if whole else b"ff\r\ndata: {")
        handler.close_connection = True

    return answer


def ask(
    url: str,
    key: str | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    sampling: Sampling | None = None,
    heard: list[str] | None = None,
    messages: tuple[Message, ...] = (Message(role="user", content=QUESTION),),
) -> tuple[str, Finished]:
    texts: list[str] = [] if heard is None else heard

    def take(piece: Progress | Delta) -> None:
        assert isinstance(piece, Delta)
        texts.append(piece.text)

    question = Question("bird:1b", OtherServer(url, key), messages, sampling or Sampling())
    assert KEY not in repr(question)
    finished = other_server.OtherServerEngine().answer(question, take, cancelled)
    return "".join(texts), finished


def failure(url: str, key: str | None = None, heard: list[str] | None = None) -> AskError:
    with pytest.raises(AskError) as failed:
        ask(url, key, heard=heard)
    assert QUESTION not in str(failed.value)
    assert KEY not in str(failed.value)
    return failed.value


def test_an_answer_is_passed_on_with_all_that_was_asked(server: Scripted) -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}
    server.answer = streams(
        b": waiting\r\n\r\n",
        {"choices": [{"delta": {"role": "assistant"}}]},
        says("Über 🐦"),
        b"event: more\n",
        says(None),
        says(" 愛"),
        says("", "length"),
        {"choices": [], "usage": usage},
        DONE,
    )
    sampling = Sampling(max_tokens=9, temperature=0.5, top_p=0.9, seed=3, stop=("x",))
    assert ask(server.url + "/", KEY, sampling=sampling) == ("Über 🐦 愛", Finished("", "length", 12, 9, 4))
    assert server.paths == ["/v1/chat/completions"]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert server.bodies[0] == {
        "model": "bird:1b",
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "stream_options": {"include_usage": True},
        **{"temperature": 0.5, "top_p": 0.9, "max_tokens": 9, "seed": 3, "stop": ["x"]},
    }


def test_characters_come_whole_wherever_the_network_cuts_them(server: Scripted) -> None:
    event = f"data: {json.dumps(says(ODD_TEXT, 'stop'), ensure_ascii=False)}\n\n".encode()
    server.answer = in_chunks(*(event[place : place + 1] for place in range(len(event))), DONE)
    assert ask(server.url)[0] == ODD_TEXT
    # A server may as well spread them over events, by what its tokens are.
    server.answer = in_chunks(*(b"data: %b\r\n\r\n" % json.dumps(says(each)).encode() for each in ODD_TEXT), DONE)
    heard: list[str] = []
    assert failure(server.url, heard=heard).code == "answer-cut"
    assert "".join(heard) == ODD_TEXT


def test_characters_come_whole_from_a_server_that_sends_their_halves(server: Scripted) -> None:
    first, second = (
        "😀".encode("utf-16-le")[place : place + 2].decode("utf-16-le", "surrogatepass") for place in (0, 2)
    )
    heard: list[str] = []
    server.answer = streams(says(f"a{first}"), says(f"{second}b"), says(first, "stop"), DONE)
    assert ask(server.url, heard=heard) == ("a😀b", Finished("\ufffd", "stop", 0, 3, 0))
    assert heard == ["a", "😀b", ""]


def test_what_is_to_be_gone_on_with_is_sent_as_it_is(server: Scripted) -> None:
    messages = (Message(role="user", content=QUESTION), Message(role="assistant", content="They sing "))
    server.answer = streams(says("of love."), says(None, "stop"), DONE)
    assert ask(server.url, messages=messages)[0] == "of love."
    assert server.bodies[0]["messages"] == list(messages)


def test_without_key_usage_and_done_mark_an_answer_is_whole_by_its_finish_reason(server: Scripted) -> None:
    server.answer = streams(says("Love"), says(".", "stop"))
    assert ask(server.url) == ("Love.", Finished("", "stop", 0, 2, 0))
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (refuses(401, {"error": {"message": f"Incorrect API key: {KEY}"}}), "server-key-wrong", "API key"),
        (refuses(403, b""), "server-key-wrong", "API key"),
        (refuses(404, {"error": {"message": "model 'x'\nnot found."}}), "server-refused", "404): model 'x' not found."),
        (refuses(400, {"error": f"Can't answer: {QUESTION}"}), "server-refused", "(HTTP 400)."),
        (refuses(500, b"\xff<html>" * 99), "server-refused", "(HTTP 500)."),
        (refuses(503, {"error": {"message": "Overloaded"}}), "server-refused", "(HTTP 503): Overloaded."),
        (refuses(429, {"error": {"message": f"Too often with {KEY}"}}), "server-refused", "(HTTP 429)."),
        (refuses(307, b"", Location="http://127.0.0.1:9/v1"), "server-refused", "another address"),
        (streams(b"<html>", kind="text/html"), "ask-failed", "can't be read"),
        (streams(b"data: {nonsense\n\n"), "ask-failed", "can't be read"),
        (streams(b"data: [1]\n\n"), "ask-failed", "can't be read"),
        (streams({"choices": [{"delta": {"content": 5}}]}), "ask-failed", "can't be read"),
        (streams({"choices": 5}), "ask-failed", "can't be read"),
        (streams(says("a"), {"error": {"message": "out of memory"}}), "ask-failed", "failed: out of memory."),
        (streams(says("a")), "answer-cut", "in the middle"),
        (streams(says("a"), b'data: {"choices": [{"del'), "answer-cut", "in the middle"),
        (streams(says("a"), DONE), "answer-cut", "in the middle"),
        (in_chunks(b"data: %b\n\n" % json.dumps(says("a")).encode(), whole=False), "answer-cut", "broke"),
        (lambda _handler: None, "answer-cut", "broke"),
    ],
)
def test_each_failure_has_its_own_sentence(
    server: Scripted, answer: Answer, code: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answer = answer
    error = failure(server.url, KEY)
    assert (error.code, text in str(error)) == (code, True), str(error)
    assert KEY not in caplog.text
    assert QUESTION not in caplog.text


def test_no_other_address_gets_the_question_or_the_key(server: Scripted) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as elsewhere:
        for status in (301, 302, 303, 307, 308):
            server.answer = refuses(
                status, b"", Location=f"http://127.0.0.1:{elsewhere.server_port}/v1/chat/completions"
            )
            assert failure(server.url, KEY).code == "server-refused"
        waiting, _, _ = select.select([elsewhere], [], [], 0.5)
        assert waiting == [], "somebody connected"
    assert len(server.headers) == 5


def test_what_came_before_a_cut_is_kept(server: Scripted) -> None:
    server.answer = streams(says("They sing"), says(" of"), b"data: {")
    heard: list[str] = []
    assert failure(server.url, heard=heard).code == "answer-cut"
    assert heard == ["They sing", " of"]


def test_addresses_that_nobody_answers_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (
        f"http://127.0.0.1:{port}/v1",
        "ftp://127.0.0.1",
        "http://",
        "nonsense",
        "http://a:99999/v1",
        "http://..",
    ):
        assert failure(url).code == "server-unreachable"
    assert failure("http://127.0.0.1:1/v1", "key\r\nX: y").code == "server-key-wrong"


def test_a_silent_server_is_given_up(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answer = waits
    monkeypatch.setattr(other_server, "SILENCE_SECONDS", 0.3)
    assert failure(server.url).code == "ask-timeout"
    assert server.gone.wait(LIMIT_SECONDS)


@pytest.mark.parametrize("parts", [None, (), (says("a"),)], ids=["before it answers", "before text", "in the text"])
def test_a_stop_closes_the_connection_while_nothing_comes(server: Scripted, parts: tuple[object, ...] | None) -> None:
    def answer(handler: Handler) -> None:
        if parts is not None:
            streams(*parts)(handler)
        waits(handler)

    server.answer = answer
    asked = time.monotonic()
    with pytest.raises(Cancelled):
        ask(server.url, cancelled=lambda: bool(server.bodies) and time.monotonic() > asked + 0.2)
    assert server.gone.wait(LIMIT_SECONDS)


def waits(handler: Handler) -> None:
    """Says nothing until the client closes."""
    handler.connection.settimeout(LIMIT_SECONDS * 2)
    with suppress(ConnectionResetError):
        assert handler.connection.recv(1) == b""
