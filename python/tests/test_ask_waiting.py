"""The ask server with a scripted engine: questions that wait, and engines that never come back."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ask_process import LIMIT_SECONDS, UnixConnection, wait_for
from torbiz import ask_api, ask_jobs, ask_server
from torbiz.engines.base import AskError, Delta, Finished, Question, Stuck


class ScriptedEngine:
    """Answers the question ``hang`` when it is let go, ``fail`` and ``stuck`` with errors, others at once."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.discarded = 0
        self.discarding = "works"

    def answer(self, question: Question, cancelled: threading.Event) -> Iterator[Delta | Finished]:
        match question.messages[0]["content"]:
            case "hang":
                self.let_go.wait(LIMIT_SECONDS)
            case "wait":
                wait_for(lambda: self.let_go.is_set() or cancelled.is_set())
            case "fail":
                raise AskError("missing-blocks", "Nobody serves blocks 1-2 of 3.")
            case "stuck":
                raise Stuck
        yield Delta("Paris", 1)
        yield Finished("", "stop", 3, 1)

    def discard(self) -> None:
        self.discarded += 1
        if self.discarding == "stuck":
            raise Stuck
        if self.discarding == "hangs":
            self.let_go.wait(LIMIT_SECONDS)


class Serving:
    """The real server around it, in a thread."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "s"
        options = ask_server.Options(self.socket, folder / "l", folder / "log", "test", 300.0, detach=False)
        listener = ask_server.bind(self.socket)
        self.thread = threading.Thread(target=lambda: asyncio.run(ask_server.serve(options, listener, None)))
        self.thread.start()

    def lines(self, content: str, *, stream: bool = True) -> Iterator[str]:
        """The status, then the answer's lines as they come."""
        body = {
            "model": "m",
            "messages": [{"role": "user", "content": content}],
            "stream": stream,
            "torbiz": {"modelPath": "/m", "dhtPrefix": "p", "initialPeers": []},
        }
        connection = UnixConnection(self.socket)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body))
            response = connection.getresponse()
            yield str(response.status)
            for line in response:
                if line.strip():
                    yield line.decode().strip()
        finally:
            connection.close()

    def busy(self) -> bool:
        connection = UnixConnection(self.socket)
        connection.request("GET", "/health")
        return bool(json.load(connection.getresponse())["busy"])

    def stop(self) -> None:
        with suppress(OSError):
            UnixConnection(self.socket).request("POST", "/torbiz/shutdown")
        self.thread.join(LIMIT_SECONDS)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    engine = ScriptedEngine()
    monkeypatch.setattr(ask_server, "SwarmBackend", lambda: engine)
    monkeypatch.setattr(ask_api, "WAITING_SECONDS", 0.2)
    return engine


@pytest.fixture
def server(engine: ScriptedEngine) -> Iterator[Serving]:
    with tempfile.TemporaryDirectory(prefix="ask") as name:
        serving = Serving(Path(name))
        yield serving
        engine.let_go.set()
        serving.stop()


def text(lines: list[str]) -> str:
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


def test_who_waits_hears_that_the_server_lives(server: Serving, engine: ScriptedEngine) -> None:
    first, second = server.lines("wait"), server.lines("other")
    for answer in (first, second):  # the first waits for its engine, the second for the first
        assert [next(answer) for _ in range(4)] == ["200", *[": waiting"] * 3]
    engine.let_go.set()
    for answer in (first, second):
        lines = list(answer)
        assert text(lines) == "Paris"
        assert lines[-1] == "data: [DONE]"


def test_who_leaves_the_line_leaves_it_to_the_others(server: Serving, engine: ScriptedEngine) -> None:
    first, second, third = server.lines("wait"), server.lines("other"), server.lines("another")
    for answer in (first, second, third):
        assert [next(answer), next(answer)] == ["200", ": waiting"]
    second.close()  # type: ignore[attr-defined]
    first.close()  # type: ignore[attr-defined]
    assert text(list(third)) == "Paris"
    wait_for(lambda: not server.busy())
    assert engine.discarded == 0


def test_a_failure_is_a_plain_error_when_nothing_was_sent_and_else_an_event(
    server: Serving, engine: ScriptedEngine
) -> None:
    assert next(server.lines("fail")) == "503"
    first, second = server.lines("wait"), server.lines("fail")
    assert [next(first), next(second), next(second)] == ["200", "200", ": waiting"]
    engine.let_go.set()
    assert json.loads(list(second)[-1][6:])["error"]["code"] == "missing-blocks"
    assert text(list(first)) == "Paris"


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_whose_engine_is_stuck_says_so_and_leaves(server: Serving, stream: bool) -> None:
    status, body = server.lines("stuck", stream=stream)
    assert status == "500"
    assert json.loads(body)["error"]["code"] == "ask-failed"
    server.thread.join(LIMIT_SECONDS)
    assert not server.socket.exists()


@pytest.mark.parametrize("discarding", ["stuck", "hangs"])
def test_a_server_leaves_when_a_hanging_engine_cant_be_given_up(
    server: Serving, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, discarding: str
) -> None:
    shorten(monkeypatch)
    engine.discarding = discarding
    lines = list(server.lines("hang"))
    assert json.loads(lines[-1][6:])["error"]["code"] == "ask-timeout"
    server.thread.join(LIMIT_SECONDS)
    assert not server.socket.exists()


def test_a_server_goes_on_when_a_hanging_engine_was_given_up(
    server: Serving, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    lines = list(server.lines("hang"))
    assert json.loads(lines[-1][6:])["error"]["code"] == "ask-timeout"
    assert text(list(server.lines("another"))) == "Paris"
    assert engine.discarded == 1


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STALL_SECONDS", "CANCEL_SECONDS", "DISCARD_SECONDS"):
        monkeypatch.setattr(ask_jobs, name, 0.5)
    monkeypatch.setattr(ask_server, "END_SECONDS", 0.5)
