"""The real ask server. What needs no swarm is here; see test_ask_swarm.py for the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ask_process import LIMIT_SECONDS, AskServer, UnixConnection, wait_for
from tests.ports import free_port
from tests.prepare import PYTHON

NOWHERE: dict[str, object] = {
    "kind": "swarm",
    "modelPath": "/nonexistent",
    "dhtPrefix": "p",
    "initialPeers": ["/ip4/127.0.0.1/tcp/1/p2p/QmNothing"],
}
QUESTION: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "a secret question"}]}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, as a socket's path may be: pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="ask") as name:
        yield Path(name)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., AskServer]]:
    started: list[AskServer] = []

    def begin(*options: str, name: str = "ask") -> AskServer:
        started.append(AskServer(folder, *options, name=name))
        return started[-1]

    yield begin
    for server in started:
        server.clean_up()


def test_it_tells_who_it_is_to_its_owner_only(start: Callable[..., AskServer]) -> None:
    server = start()
    server.wait_ready()
    assert server.get("/health") == {
        "status": "ok",
        "version": "0.1.0",
        "build": "test",
        "pid": server.process.pid,
        "python": sys.executable,
        "busy": False,
        "engine": None,
    }
    assert server.get("/v1/models") == {"object": "list", "data": []}
    assert server.socket.stat().st_mode & 0o777 == 0o600
    assert server.socket.parent.stat().st_mode & 0o777 == 0o700
    assert server.log_file.stat().st_mode & 0o777 == 0o600
    assert int(server.lock.read_text()) == server.process.pid


def test_of_two_one_serves_and_the_other_goes_quietly(start: Callable[..., AskServer]) -> None:
    servers = [start(name="one"), start(name="two")]
    wait_for(lambda: any(server.process.poll() is not None for server in servers))
    loser = next(server for server in servers if server.process.poll() is not None)
    winner = next(server for server in servers if server is not loser)
    assert loser.process.wait() == 0
    winner.wait_ready()
    assert winner.get("/health")["pid"] == winner.process.pid


def test_a_killed_servers_socket_is_in_nobodys_way(start: Callable[..., AskServer]) -> None:
    first = start()
    first.wait_ready()
    first.end(signal.SIGKILL)
    assert first.socket.exists()
    second = start()
    second.wait_ready()
    assert second.get("/health")["pid"] == second.process.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(start: Callable[..., AskServer], number: signal.Signals) -> None:
    server = start()
    server.wait_ready()
    assert server.end(number) == 0
    assert not server.socket.exists()
    assert server.log.splitlines()[-1].endswith("Stopped")
    assert "Traceback" not in server.log


def test_it_ends_when_asked_to(start: Callable[..., AskServer]) -> None:
    server = start()
    server.wait_ready()
    assert server.send("POST", "/torbiz/shutdown")[0] == 200
    assert server.process.wait(LIMIT_SECONDS) == 0


def test_it_leaves_when_idle_for_as_long_as_the_last_question_wished(start: Callable[..., AskServer]) -> None:
    server = start("--idle-seconds", "300")
    server.wait_ready()
    status, answer = server.chat({**QUESTION, "torbiz": {"engine": NOWHERE, "idleSeconds": 0.5}})
    assert (status, answer["error"]["code"]) == (400, "swarm-invalid")
    assert server.process.wait(timeout=30) == 0


def test_it_leaves_when_idle(start: Callable[..., AskServer]) -> None:
    server = start("--idle-seconds", "1")
    assert server.process.wait(LIMIT_SECONDS) == 0
    assert "Leaving: no question for 1 s" in server.log
    assert not server.socket.exists()


def test_detached_it_answers_when_the_command_returns(folder: Path) -> None:
    files = ["--socket", str(folder / "s"), "--lock", str(folder / "l"), "--log", str(folder / "log")]
    command = [sys.executable, "-m", "torbiz.ask_server", *files, "--detach"]
    env = {**os.environ, "PYTHONPATH": str(PYTHON)}
    for _ in range(2):  # the second finds the first
        assert subprocess.run(command, env=env, timeout=LIMIT_SECONDS, check=False).returncode == 0
    pid = int((folder / "l").read_text())
    try:
        assert os.getsid(pid) not in (0, os.getsid(0))
        connection = UnixConnection(folder / "s")
        connection.request("GET", "/health")
        assert json.load(connection.getresponse())["pid"] == pid
    finally:
        os.kill(pid, signal.SIGTERM)


def test_detached_it_tells_that_it_could_not_start(folder: Path) -> None:
    (folder / "s").mkdir()  # where the socket should be
    files = ["--socket", str(folder / "s"), "--lock", str(folder / "l"), "--log", str(folder / "log")]
    command = [sys.executable, "-m", "torbiz.ask_server", *files, "--detach"]
    env = {**os.environ, "PYTHONPATH": str(PYTHON)}
    assert subprocess.run(command, env=env, timeout=LIMIT_SECONDS, check=False).returncode == 1
    assert "The server failed" in (folder / "log").read_text()


def test_a_large_log_is_cut_at_the_start(start: Callable[..., AskServer], folder: Path) -> None:
    (folder / "ask.log").write_text("".join(f"line {number}\n" for number in range(200_000)))
    server = start()
    server.wait_ready()
    lines = server.log.splitlines()
    assert server.log_file.stat().st_size < 1 << 20
    assert lines[0].startswith("line ")
    assert "line 199999" in lines


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "model"),
        ({**QUESTION, "messages": []}, "messages"),
        ({**QUESTION, "messages": [{"role": "user"}]}, "messages.0.content"),
        ({**QUESTION, "temperature": 3}, "temperature"),
        ({**QUESTION, "max_tokens": 0}, "max_tokens"),
        ({**QUESTION, "n": 2}, "n"),
        ({**QUESTION, "torbiz": {"engine": {"kind": "oracle"}}}, "torbiz.engine.kind"),
        ({**QUESTION, "torbiz": {"engine": {"kind": "swarm", "modelPath": "/x"}}}, "torbiz.engine.dhtPrefix"),
    ],
)
def test_a_wrong_request_is_told_by_its_field(start: Callable[..., AskServer], body: object, named: str) -> None:
    server = start()
    server.wait_ready()
    status, answer = server.chat(body)
    assert status == 400
    assert (answer["error"]["code"], answer["error"]["type"]) == ("usage", "invalid_request_error")
    assert answer["error"]["message"].startswith(f"{named}: ")
    assert "secret" not in json.dumps(answer)


def test_without_an_engine_it_says_so(start: Callable[..., AskServer]) -> None:
    server = start()
    server.wait_ready()
    status, answer = server.chat(QUESTION)
    assert (status, answer["error"]["code"]) == (404, "model-unknown")


def test_failures_have_a_name_and_the_question_is_nowhere(start: Callable[..., AskServer], folder: Path) -> None:
    server = start()
    server.wait_ready()
    status, answer = server.chat({**QUESTION, "torbiz": {"engine": NOWHERE}})
    assert (status, answer["error"]["code"]) == (400, "swarm-invalid")
    peers = [f"/ip4/127.0.0.1/tcp/{free_port()}/p2p/QmcMt3iRThm49CZuZNDnqN5XhwQZKHfT1JZoJHNYQaaYn9"]
    status, answer = server.chat({**QUESTION, "torbiz": {"engine": {**NOWHERE, "initialPeers": peers}}})
    assert (status, answer["error"]["code"]) == (500, "model-broken")
    for file in folder.rglob("*"):
        assert not file.is_file() or b"secret" not in file.read_bytes()
