"""Finish, with a real seeder and Petals' own client."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from hivemind.proto import runtime_pb2

from tests.test_seeder import LIMIT_SECONDS, Seeder, SessionClient, online
from torbiz.counters import IDLE_SECONDS, Counters, SessionRefused
from torbiz.finishing import FINISH_SECONDS, REFUSAL, Finish
from torbiz.serving import watch_sessions
from torbiz.status import Status, StatusFile

BLOCKS = 2
OUTSIDE = ["forward 3", "train 3", "forward 600", "train 600"]
"""Requests that need no session; the last two are so large that Petals streams them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: a seeder measures its speed once a cache."""
    return tmp_path_factory.mktemp("finish")


@pytest.fixture
def start(folder: Path, model: Path) -> Iterator[Callable[..., tuple[Seeder, SessionClient]]]:
    """Starts a seeder that is online, and a client of it that has a session with one step."""
    started: list[Any] = []

    def begin(*options: str) -> tuple[Seeder, SessionClient]:
        seeder = Seeder(folder, model, "--new-swarm", "--blocks", str(BLOCKS), *options)
        started.append(seeder.clean_up)
        client = SessionClient(model, seeder.wait_for(online)["addresses"][0], BLOCKS)
        started.append(client.end)
        assert client.do("open") == "opened"
        assert client.do("step 3") == "stepped 3 tokens"
        return seeder, client

    yield begin
    for clean_up in reversed(started):
        clean_up()


def finish(seeder: Seeder) -> dict[str, Any]:
    """Asks for it, and returns the status once it has begun."""
    seeder.process.send_signal(signal.SIGUSR1)
    return seeder.wait_for(lambda status: status["stage"] == "finishing")


def seconds_to_end(seeder: Seeder) -> float:
    began = time.monotonic()
    assert seeder.process.wait(timeout=LIMIT_SECONDS) == 0
    return time.monotonic() - began


def test_an_answer_on_its_way_comes_to_its_end_and_nothing_new_begins(
    start: Callable[..., tuple[Seeder, SessionClient]],
) -> None:
    seeder, client = start()
    assert client.do("state") == "ONLINE"
    for outside in OUTSIDE:
        assert client.do(outside) == f"computed {outside.split()[1]} tokens"
    asked = time.time()
    status = finish(seeder)
    assert status["active"] == 1
    by = datetime.fromisoformat(status["finishBy"]).timestamp()
    assert by == pytest.approx(asked + FINISH_SECONDS, abs=5)
    seeder.process.send_signal(signal.SIGUSR1)  # twice is once

    # The swarm knows at once, so that nobody new comes; and who comes all the same is told why.
    deadline = time.monotonic() + 30
    while client.do("state") != "OFFLINE":
        assert time.monotonic() < deadline
    assert client.do("open") == "opened"
    refusal = client.do("step 1")
    assert refusal.startswith("failed: ")
    assert REFUSAL in refusal
    client.do("close")
    for outside in OUTSIDE:
        refusal = client.do(outside)
        assert refusal.startswith("failed: ")
        # Who still sends a stream finds it closed.
        assert REFUSAL in refusal or "600" in outside

    # The answer goes on for longer than a pause may be: it is finished by its end, not by the clock.
    until = time.monotonic() + IDLE_SECONDS + 3
    while time.monotonic() < until:
        assert client.do("step 1") == "stepped 1 tokens"
        time.sleep(0.5)
    assert seeder.status["stage"] == "finishing"
    assert seeder.status["finishBy"] == status["finishBy"]
    assert client.do("close") == "closed"
    began = time.monotonic()
    while "No answer is on its way any more" not in seeder.log:
        assert time.monotonic() - began < IDLE_SECONDS
        time.sleep(0.1)
    seconds_to_end(seeder)
    assert seeder.status["stage"] == "stopped"
    log = seeder.log
    assert log.index("Announced OFFLINE: blocks 0:2") < log.index("No answer is on its way any more")
    assert "Peers were told that this server is offline" in log
    assert "A session was refused" in log
    assert "Traceback" not in log


class Handler:
    """Answers as Petals' handlers do, as soon as it may."""

    _handler_index = 0

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def rpc_forward(self, request: Any, _context: None) -> Any:
        await self.may_end.wait()
        return request

    async def rpc_forward_stream(self, requests: AsyncIterator[Any], _context: None) -> AsyncIterator[Any]:
        async for request in requests:
            yield request
        await self.may_end.wait()

    rpc_backward, rpc_backward_stream = rpc_forward, rpc_forward_stream
    _allocate_cache = _iterate_inference_steps = _managed_session = None


@pytest.mark.parametrize("name", ["rpc_forward", "rpc_backward", "rpc_forward_stream", "rpc_backward_stream"])
def test_what_is_computed_outside_of_sessions_is_on_its_way_until_its_end(tmp_path: Path, name: str) -> None:
    counters = Counters(1)
    finishing = Finish(1, tmp_path, StatusFile(tmp_path / "status.json", Status(stage="online", model="m")), counters)

    class Watched(Handler):
        pass

    watch_sessions(Watched, counters, finishing)

    words = runtime_pb2.ExpertRequest(uid="words")

    async def stream() -> AsyncIterator[Any]:
        yield words

    async def ask(handler: Watched) -> list[Any]:
        if name.endswith("stream"):
            return [part async for part in getattr(handler, name)(stream(), None)]
        return [await getattr(handler, name)(words, None)]

    async def run() -> None:
        handler = Watched()
        asked, given_up = asyncio.create_task(ask(handler)), asyncio.create_task(ask(handler))
        await asyncio.sleep(0)
        assert counters.read().active == 2
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert counters.read().active == 1
        finishing._handle(signal.SIGUSR1, None)
        with pytest.raises(SessionRefused):
            await ask(handler)
        handler.may_end.set()
        assert await asked == [words]

    asyncio.run(run())
    counts = counters.read()
    assert (counts.active, counts.sessions, counts.opened, counts.tokens) == (0, 0, 0, 0)


def test_a_session_that_is_only_kept_does_not_hold_it(start: Callable[..., tuple[Seeder, SessionClient]]) -> None:
    seeder, client = start()
    assert client.do("step 1") == "stepped 1 tokens"
    finish(seeder)
    assert seconds_to_end(seeder) < IDLE_SECONDS + 20
    assert "No answer is on its way any more" in seeder.log


def test_an_endless_answer_is_ended_at_the_limit_that_was_left_for_it(
    start: Callable[..., tuple[Seeder, SessionClient]],
) -> None:
    seeder, client = start("--finish-seconds", "100")
    (seeder.cache / "finish-seconds").write_text("4")
    steps = 0

    def answer_without_end() -> None:
        nonlocal steps
        while client.do("step 1") == "stepped 1 tokens":
            steps += 1

    answering = threading.Thread(target=answer_without_end, daemon=True)
    answering.start()
    finish(seeder)
    seconds = seconds_to_end(seeder)
    assert 3 < seconds < 60
    assert steps > 1
    assert "The time is over: answers that break off: 1" in seeder.log
    assert "Traceback" not in seeder.log
    assert not (seeder.cache / "finish-seconds").exists()


def test_a_stop_ends_it_at_once(start: Callable[..., tuple[Seeder, SessionClient]]) -> None:
    seeder, client = start()
    finish(seeder)
    assert client.do("step 1") == "stepped 1 tokens"
    seeder.process.send_signal(signal.SIGINT)
    seconds_to_end(seeder)
    assert seeder.status["stage"] == "stopped"
    assert "No answer is on its way any more" not in seeder.log
    assert "The time is over" not in seeder.log
    assert "Announced OFFLINE" in seeder.log
    assert "Traceback" not in seeder.log


def test_before_it_is_online_it_is_a_stop(folder: Path, model: Path) -> None:
    seeder = Seeder(folder, model, "--new-swarm")
    try:
        seeder.wait_for(lambda status: status["stage"] == "loading")
        assert seeder.end(signal.SIGUSR1) == 0
        assert "Announced OFFLINE" in seeder.log
        assert "Finishing" not in seeder.log
        assert "Traceback" not in seeder.log
    finally:
        seeder.clean_up()
