"""A seeder that loses the relay it is reached through: it joins anew in the same process, however often that fails."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import tiny_llama
from tests.ports import free_port
from tests.test_reach import CLOSED, Peer
from tests.test_seeder import LIMIT_SECONDS, Seeder, online

ANEW = "Joining the swarm anew"
AGAIN = "Trying again in"


class Relay:
    """The first peer of a swarm, which comes and goes, and is the same each time."""

    def __init__(self, folder: Path) -> None:
        self._same: dict[str, Any] = {"port": free_port(), "identity_path": str(folder / "first.key")}
        self.open()
        self.address = self._peer.address

    def open(self) -> None:
        self._peer = Peer(**self._same, use_relay=True, force_reachability="public")

    def close(self) -> None:
        self._peer.close()


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    relay = Relay(tmp_path)
    yield relay
    relay.close()


@pytest.fixture
def begin(tmp_path: Path, relay: Relay) -> Iterator[Callable[[], Seeder]]:
    """Starts a seeder at home behind a router, and waits until it is online."""
    tiny_llama.make(tmp_path / "model")
    program = (str(Path(__file__).parent / "hasty_seeder.py"),)
    with ExitStack() as stack:

        def start() -> Seeder:
            options = ("--initial-peer", relay.address)
            seeder = Seeder(tmp_path, str(tmp_path / "model"), *options, announce=CLOSED, program=program)
            stack.callback(seeder.clean_up)
            assert seeder.wait_for(online)["reachability"] == "relayed"
            return seeder

        yield start


def lose(seeder: Seeder, relay: Relay) -> None:
    """The relay goes and comes back, and the seeder notices that nobody comes through it any more."""
    relay.close()
    seeder.wait_for(lambda status: status["reachability"] == "unreachable")
    assert ANEW not in seeder.log  # there is nobody to join
    relay.open()
    seeder.wait_for(lambda _: ANEW in seeder.log)


def count_processes(seeder: Seeder) -> int:
    """Without the look through the relay that this seeder takes each second."""
    counts = []
    for _ in range(20):
        counts.append(len(psutil.Process(seeder.process.pid).children(recursive=True)))
        time.sleep(0.1)
    return min(counts)


def test_it_joins_anew_and_tries_until_the_swarm_is_there(begin: Callable[[], Seeder], relay: Relay) -> None:
    seeder = begin()
    processes = count_processes(seeder)
    peer_id = seeder.status["peerId"]
    lose(seeder, relay)
    relay.close()
    status = seeder.wait_for(lambda _: AGAIN in seeder.log)
    assert status["stage"] == "connecting"
    relay.open()
    seeder.wait_for(lambda status: online(status) and status["reachability"] == "relayed")
    assert (seeder.status["peerId"], seeder.status["message"]) == (peer_id, None)
    assert count_processes(seeder) == processes
    assert seeder.end() == 0
    assert "Peers were told that this server is offline" in seeder.log
    assert " ERROR " not in seeder.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_a_stop_and_a_finish_end_it_while_there_is_no_swarm(
    begin: Callable[[], Seeder], relay: Relay, number: signal.Signals
) -> None:
    seeder = begin()
    lose(seeder, relay)
    relay.close()
    seeder.wait_for(lambda _: AGAIN in seeder.log)
    seeder.process.send_signal(number)
    assert seeder.process.wait(timeout=LIMIT_SECONDS) == 0
    assert seeder.status["stage"] == "stopped"
    assert "Traceback" not in seeder.log
    relay.open()
