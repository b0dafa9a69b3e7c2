"""Counters across processes that are really forked, and really killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from torbiz.contribution import Contribution
from torbiz.counters import IDLE_SECONDS, PROMPT_SECONDS, SESSIONS_A_HANDLER, Counters, SessionRefused
from torbiz.serving import NEWS_SECONDS, ServingReport
from torbiz.status import Status, StatusFile

fork = multiprocessing.get_context("fork")


class Handler:
    """A forked process that does what it is told, as Petals' handlers do."""

    def __init__(self, counters: Counters, number: int) -> None:
        self._orders, theirs = fork.Pipe()
        self.process = fork.Process(target=_obey, args=(counters, number, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def do(self, order: str, tokens: int = 1) -> None:
        self._orders.send((order, tokens))
        assert self._orders.recv() == order

    def kill(self) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie, as in the seeder


def _obey(counters: Counters, number: int, orders: Connection) -> None:
    sessions: list[Any] = []
    steps: list[Any] = []
    while True:
        order, tokens = orders.recv()
        if order == "open":
            context = counters.session(number)
            sessions.append((context, context.__enter__()))
        elif order == "begin":
            steps.append(sessions[-1][1].step(tokens))
            steps[-1].__enter__()
        elif order == "end":
            steps.pop().__exit__(None, None, None)
        elif order == "close":
            sessions.pop()[0].__exit__(None, None, None)
        elif order == "no room":
            counters.note_out_of_memory(number)
        orders.send(order)


def test_sessions_and_tokens_of_all_handlers_are_added_up() -> None:
    counters = Counters(2)
    first, second = Handler(counters, 0), Handler(counters, 1)
    for handler, tokens in ((first, 7), (second, 1)):
        handler.do("open")
        handler.do("begin", tokens)
        handler.do("end")
    counts = counters.read()
    assert (counts.sessions, counts.active, counts.opened, counts.tokens) == (2, 2, 2, 8)
    assert counts.speed is not None
    assert counts.speed > 0
    assert counts.last_step is not None
    assert 0 <= time.monotonic() - counts.last_step < 10
    first.do("close")
    second.do("close")
    counts = counters.read()
    assert (counts.sessions, counts.active, counts.opened, counts.tokens) == (0, 0, 2, 8)
    first.kill()
    second.kill()


@pytest.mark.parametrize("during", ["a step", "a pause"])
def test_a_killed_handler_takes_its_sessions_with_it_and_leaves_what_it_served(during: str) -> None:
    counters = Counters(2)
    killed, other = Handler(counters, 0), Handler(counters, 1)
    for handler in (killed, other):
        handler.do("open")
        handler.do("begin", 5)
        handler.do("end")
    if during == "a step":
        killed.do("begin")
    killed.kill()
    counts = counters.read()
    assert (counts.sessions, counts.opened, counts.tokens) == (1, 2, 10)

    # The handler that Petals puts in its place begins without them, and goes on counting.
    successor = Handler(counters, 0)
    successor.do("open")
    successor.do("begin", 2)
    successor.do("end")
    counts = counters.read()
    assert (counts.sessions, counts.opened, counts.tokens) == (2, 3, 12)
    successor.kill()
    other.kill()


def test_a_session_is_active_while_it_computes_and_for_a_while_after(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = Counters(1)
    handler = Handler(counters, 0)
    clock = time.monotonic

    def later(seconds: float) -> Callable[[], float]:
        return lambda: clock() + seconds

    handler.do("open")
    handler.do("begin")
    monkeypatch.setattr("torbiz.counters.time.monotonic", later(IDLE_SECONDS * 100))
    assert counters.read().active == 1
    handler.do("end")
    assert (counters.read().sessions, counters.read().active) == (1, 0)
    monkeypatch.setattr("torbiz.counters.time.monotonic", later(IDLE_SECONDS / 2))
    assert counters.read().active == 1
    handler.kill()


def test_the_next_step_is_waited_for_as_long_as_the_chain_took_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    monkeypatch.setattr("torbiz.counters.time.monotonic", lambda: clock)
    counters = Counters(1)
    with counters.session(0) as session:
        for tokens, pause, kept in [(50, 0, PROMPT_SECONDS), (1, 40, 120), (1, 5, 120)]:
            clock += pause
            with session.step(tokens):
                clock += 1
            ended = clock
            clock = ended + kept - 1
            assert counters.read().active == 1
            clock = ended + kept + 1
            assert counters.read().active == 0
            clock = ended


def test_only_steps_of_one_token_tell_the_speed_and_failed_ones_nothing() -> None:
    counters = Counters(1)
    with counters.session(0) as session:
        with session.step(100):
            pass
        with pytest.raises(ZeroDivisionError), session.step(1):
            raise ZeroDivisionError
        assert (counters.read().speed, counters.read().tokens) == (None, 100)
        with session.step(1):
            time.sleep(0.1)
    speed = counters.read().speed
    assert speed is not None
    assert 0 < speed <= 10
    step = session.step(1)
    step.__enter__()  # of a session that is over, as when its generator is collected late
    assert counters.read().sessions == 0


def test_a_handler_takes_no_sessions_without_end() -> None:
    counters = Counters(1)
    with ExitStack() as sessions:
        for _ in range(SESSIONS_A_HANDLER):
            sessions.enter_context(counters.session(0))
        with pytest.raises(SessionRefused):
            sessions.enter_context(counters.session(0))
        assert counters.read().sessions == SESSIONS_A_HANDLER


def test_no_room_is_noted() -> None:
    counters = Counters(1)
    assert counters.read().out_of_memory is None
    handler = Handler(counters, 0)
    handler.do("no room")
    noted = counters.read().out_of_memory
    assert noted is not None
    assert 0 <= time.monotonic() - noted < 10
    handler.kill()


def test_what_a_person_should_know_is_told_as_long_as_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = Counters(1)
    status = StatusFile(tmp_path / "status.json", Status(stage="online", model="m"))
    report = ServingReport(counters, status, Contribution(tmp_path / "contribution.json"))

    def notices() -> list[str]:
        report._look(0.0)
        return list(status.status.notices)

    assert notices() == []
    report.is_slow = True
    report.has_moved = True
    status.update(reachability="relayed")
    counters.note_out_of_memory(0)
    assert notices() == ["relayed", "slow", "out-of-memory", "moved"]
    status.update(reachability="unreachable")
    assert notices() == ["unreachable", "slow", "out-of-memory", "moved"]
    status.update(reachability="direct")
    clock = time.monotonic
    monkeypatch.setattr("torbiz.serving.time.monotonic", lambda: clock() + NEWS_SECONDS + 1)
    assert notices() == ["slow", "moved"]
