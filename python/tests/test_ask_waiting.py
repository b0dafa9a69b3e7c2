"""The ask server with a scripted engine: questions that wait, and engines that never come back."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ask_process import LIMIT_SECONDS, UnixConnection, wait_for
from torbiz import ask_api, ask_jobs, ask_server
from torbiz.ask_engines import Engines
from torbiz.engines.base import AskError, Delta, Engine, Finished, Progress, Question, Stuck, Target


class ScriptedEngine:
    """Answers the question ``hang`` when it is let go, ``fail`` and ``stuck`` with errors, others at once."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.discarded = 0
        self.discarding = "works"

    def answer(
        self, question: Question, emit: Callable[[Progress | Delta], None], cancelled: Callable[[], bool]
    ) -> Finished:
        match question.messages[0]["content"]:
            case "hang":
                self.let_go.wait(LIMIT_SECONDS)
            case "wait":
                wait_for(lambda: self.let_go.is_set() or cancelled())
            case "load":
                emit(Progress("loading-model"))
                self.let_go.wait(LIMIT_SECONDS)
            case "fail":
                raise AskError("missing-blocks", "Nobody serves blocks 1-2 of 3.")
            case "stuck":
                raise Stuck
        emit(Delta("Par", 1))
        return Finished("is", "stop", 3, 2)

    def discard(self) -> None:
        self.discarded += 1
        if self.discarding == "stuck":
            raise Stuck
        if self.discarding == "hangs":
            self.let_go.wait(LIMIT_SECONDS)


class ScriptedEngines(Engines):
    """The real choice of an engine, where all are the scripted one."""

    def __init__(self, engine: ScriptedEngine, socket: Path) -> None:
        super().__init__(-1, socket)
        self._engine = engine

    def make(self, kind: type[Target]) -> Engine:  # noqa: ARG002
        return self._engine


class Serving:
    """The real server around it, in a thread."""

    def __init__(self, folder: Path, engine: ScriptedEngine) -> None:
        self.socket = folder / "s"
        options = ask_server.Options(self.socket, folder / "l", folder / "log", "test", None, 300.0, detach=False)
        listener = ask_server.bind(self.socket)
        serving = ask_server.serve(options, listener, None, ScriptedEngines(engine, self.socket))
        self.thread = threading.Thread(target=lambda: asyncio.run(serving))
        self.thread.start()

    def lines(self, content: str, *, stream: bool = True) -> Iterator[str]:
        """The status, then the answer's lines as they come."""
        body = {
            "model": "m",
            "messages": [{"role": "user", "content": content}],
            "stream": stream,
            "torbiz": {"engine": {"kind": "server", "baseUrl": "http://127.0.0.1:1/v1"}},
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
    monkeypatch.setattr(ask_api, "WAITING_SECONDS", 0.2)
    return engine


@pytest.fixture
def server(engine: ScriptedEngine) -> Iterator[Serving]:
    with tempfile.TemporaryDirectory(prefix="ask") as name:
        serving = Serving(Path(name), engine)
        yield serving
        engine.let_go.set()
        serving.stop()


def text(lines: list[str]) -> str:
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


def test_who_waits_hears_that_the_server_lives(server: Serving, engine: ScriptedEngine) -> None:
    first, second = server.lines("wait"), server.lines("other")
    assert [next(first) for _ in range(4)] == ["200", *[": waiting"] * 3]
    assert next(second) == "200"
    progress = json.loads(next(second)[6:])["torbiz"]["progress"]
    assert progress == {"stage": "waiting", "done": None, "total": None}
    assert [next(second) for _ in range(3)] == [": waiting"] * 3
    engine.let_go.set()
    for answer in (first, second):
        lines = list(answer)
        assert text(lines) == "Paris"
        assert lines[-1] == "data: [DONE]"


def test_who_leaves_the_line_leaves_it_to_the_others(server: Serving, engine: ScriptedEngine) -> None:
    first, second, third = server.lines("wait"), server.lines("other"), server.lines("another")
    for answer in (first, second, third):
        assert next(answer) == "200"
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
    assert [next(first), next(second)] == ["200", "200"]
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


def test_a_server_waits_longer_for_a_model_that_is_loaded(
    server: Serving, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    monkeypatch.setattr(ask_jobs, "LOADING_STALL_SECONDS", 2.0)
    threading.Timer(1.0, engine.let_go.set).start()
    assert text(list(server.lines("load"))) == "Paris"
    engine.let_go.clear()
    lines = list(server.lines("load"))
    assert json.loads(lines[-1][6:])["error"]["message"] == "Nothing came for 2 seconds."


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STALL_SECONDS", "CANCEL_SECONDS", "DISCARD_SECONDS"):
        monkeypatch.setattr(ask_jobs, name, 0.5)
    monkeypatch.setattr(ask_server, "END_SECONDS", 0.5)
