"""A seeder on a computer whose clock is set while it shares."""

from __future__ import annotations

import signal
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from petals.utils.dht import get_remote_module_infos

from tests import tiny_llama
from tests.test_reach import Peer
from tests.test_seeder import LIMIT_SECONDS, PREFIX, Seeder, SessionClient, online
from torbiz.clock import ClockSteps
from torbiz.contribution import FILE, Contribution
from torbiz.counters import Counters
from torbiz.finishing import FINISH_SECONDS
from torbiz.serving import ServingReport
from torbiz.status import HEARTBEAT_SECONDS, Status, StatusFile

HOUR = 3600.0


class Home:
    """A computer with a clock of its own, on which a seeder serves a small model to somebody who has a session."""

    def __init__(self, folder: Path, clean_up: ExitStack) -> None:
        self.peer = Peer()
        clean_up.callback(self.peer.close)
        tiny_llama.make(folder / "petals")
        self._clock = folder / "clock"
        self._clock.write_bytes(struct.pack("d", 0.0))
        program = (str(Path(__file__).parent / "unsteady_seeder.py"), str(self._clock))

        def share() -> Seeder:
            seeder = Seeder(folder, folder, "--initial-peer", self.peer.address, program=program)
            clean_up.callback(seeder.clean_up)
            seeder.wait_for(online)
            return seeder

        self.share_again = share
        self.seeder = share()
        self.client = SessionClient(folder, self.peer.address, tiny_llama.BLOCKS)
        clean_up.callback(self.client.end)
        assert self.client.do("open") == "opened"
        assert self.client.do("step 3") == "stepped 3 tokens"

    def set_clock(self, ahead: float) -> None:
        """Sets it to so many seconds ahead of everybody else's."""
        with self._clock.open("r+b") as file:
            file.write(struct.pack("d", ahead))

    def announced(self) -> list[str]:
        """What the swarm's other computer knows of its first block's servers."""
        [info] = get_remote_module_infos(self.peer.dht, [f"{PREFIX}.0"], latest=True)
        return [server.state.name for server in info.servers.values()]

    def wait_until_announced(self, states: list[str]) -> None:
        end = time.monotonic() + LIMIT_SECONDS
        while self.announced() != states:
            assert time.monotonic() < end, (self.announced(), self.seeder.log)
            time.sleep(0.2)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with ExitStack() as clean_up:
        yield Home(tmp_path, clean_up)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_clock_that_is_set_is_told_of_while_it_differs_and_costs_nothing(home: Home) -> None:
    since = seconds(home.seeder.wait_for(online)["since"])

    def wait_until(ahead: float, notices: list[str], *, set_back: float = 0.0) -> dict[str, Any]:
        """The report goes on, in the computer's own time; what is noted went back with the clock, and came back."""
        status = home.seeder.wait_for(
            lambda status: (
                status["notices"] == notices
                and abs(seconds(status["time"]) - time.time() - ahead) < HEARTBEAT_SECONDS + 2
            )
        )
        assert seconds(status["since"]) == pytest.approx(since - set_back, abs=2)
        assert home.client.do("step 1") == "stepped 1 tokens"
        return status

    wait_until(0, [])
    home.set_clock(-HOUR)
    wait_until(-HOUR, ["clock"], set_back=HOUR)
    home.wait_until_announced([])  # what it announces has expired an hour ago
    home.set_clock(0)
    wait_until(0, [])
    home.wait_until_announced(["ONLINE"])
    home.set_clock(HOUR)
    wait_until(HOUR, ["clock"])
    assert "This computer's clock is 3600 s ahead of most of the swarm's" in home.seeder.log
    home.set_clock(0)
    wait_until(0, [], set_back=HOUR)
    assert home.announced() == ["ONLINE"]

    home.seeder.process.send_signal(signal.SIGUSR1)
    by = seconds(home.seeder.wait_for(lambda status: status["stage"] == "finishing")["finishBy"])
    home.wait_until_announced(["OFFLINE"])  # although what was announced before expires in an hour only
    home.set_clock(2 * FINISH_SECONDS)
    status = home.seeder.wait_for(lambda status: seconds(status["finishBy"]) > by + FINISH_SECONDS)
    assert seconds(status["finishBy"]) == pytest.approx(by + 2 * FINISH_SECONDS, abs=2)
    assert home.client.do("step 1") == "stepped 1 tokens"
    assert home.client.do("close") == "closed"
    assert home.seeder.process.wait(timeout=LIMIT_SECONDS) == 0
    assert "Traceback" not in home.seeder.log

    home.set_clock(0)
    home.share_again()
    home.wait_until_announced(["ONLINE"])


def test_the_swarm_is_told_anew_as_soon_as_the_clock_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = StatusFile(tmp_path / "status.json", Status(stage="online", model="m"))
    report = ServingReport(Counters(1), status, Contribution(tmp_path / FILE))
    told: list[float] = []
    report.on_clock_set = lambda: told.append(time.time())
    report._look(0.0)
    assert told == []
    true = time.time
    monkeypatch.setattr("time.time", lambda: true() - HOUR)
    report._look(0.0)
    report._look(0.0)
    assert told == [pytest.approx(true() - HOUR, abs=10)]


def test_a_clock_that_is_steered_was_not_set_until_that_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ClockSteps()
    true = time.time
    offset = 0.0
    monkeypatch.setattr("time.time", lambda: true() + offset)
    seen = []
    for _ in range(7):
        offset += 0.3
        seen.append(round(steps.look(), 1))
    assert seen == [0, 0, 0, 1.2, 0, 0, 0]
