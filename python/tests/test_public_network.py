"""How a share in Petals' public network turns out, with the real seeder and first peers of the test's own.

Whatever that network is like, a share is online or ended with a reason, in bounded time.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from hivemind.moe.client.remote_expert_worker import RemoteExpertWorker
from hivemind.p2p import P2P

from tests import tiny_llama
from tests.test_reach import CLOSED, Peer, patiently
from tests.test_seeder import Seeder, online
from torbiz import reach

RELAY_SECONDS = 10.0
"""How long seeders wait here for a relay that they won't get."""
ROOM_SECONDS = 40.0
"""How long a peer tries for the room that a relay has, which it may get late on a busy computer."""
START_SECONDS = 60.0
"""For the search for first peers, the measurement of the speed and the blocks, on a busy computer."""
MOST_RESERVATIONS = 16
"""More than a relay of p2pd has for one IP address, which are 8 by libp2p's default."""
NOBODY = "/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: a seeder measures its speed once a cache."""
    folder = tmp_path_factory.mktemp("public")
    tiny_llama.make(folder / "model")
    return folder


Start = Callable[..., Seeder]


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts a seeder for the public network that begins with those peers."""
    with ExitStack() as stack:

        def begin(*peers: str, announce: str | None = None, relay_seconds: float = RELAY_SECONDS) -> Seeder:
            program = (str(Path(__file__).parent / "public_seeder.py"), ",".join(peers), str(relay_seconds))
            seeder = Seeder(folder, str(folder / "model"), announce=announce, program=program)
            stack.callback(seeder.clean_up)
            return seeder

        yield begin


def first_peer(**options: Any) -> closing[Peer]:
    return closing(Peer(**options))


def wait_for_end(seeder: Seeder, limit: float) -> None:
    """It ends by itself, as a failure that it tells in one line."""
    assert seeder.process.wait(timeout=limit) == 1
    assert seeder.status["stage"] == "stopped"
    assert "Traceback" not in seeder.log
    assert seeder.log.count(" ERROR ") == 1


def test_a_computer_that_peers_can_connect_to_is_online_directly(start: Start) -> None:
    with first_peer() as first:
        seeder = start(first.address)
        status = seeder.wait_for(online)
        assert (status["reachability"], status["message"], status["notices"]) == ("direct", None, [])
        assert seeder.end(signal.SIGINT) == 0
        assert "Announced OFFLINE" in seeder.log


def test_a_computer_behind_a_router_is_online_through_a_relay(start: Start) -> None:
    with first_peer(use_relay=True, force_reachability="public") as first:
        seeder = start(first.address, announce=CLOSED, relay_seconds=60)
        status = seeder.wait_for(online)
        assert (status["reachability"], status["message"]) == ("relayed", None)
        assert status["addresses"] == [f"{first.address}/p2p-circuit/p2p/{status['peerId']}"]
        assert reach.wait_for_relay([f"{first.address}/p2p-circuit"], status["peerId"])
        assert "relayed" in seeder.wait_for(lambda status: bool(status["notices"]))["notices"]
        assert seeder.end(signal.SIGINT) == 0
        assert "Announced OFFLINE" in seeder.log


@contextmanager
def full_relay() -> Iterator[str]:
    """A first peer whose relay has no room left: every p2pd is a relay, so there is no other that refuses."""
    with ExitStack() as stack:
        first = stack.enter_context(first_peer())
        rooms = (find_room(first.address, stack) for _ in range(MOST_RESERVATIONS))
        assert not all(rooms)
        yield first.address


def find_room(address: str, stack: ExitStack) -> bool:
    """Whether one more peer comes to be reached through the relay there; it stays."""
    circuit = f"{address}/p2p-circuit"
    run = RemoteExpertWorker.run_coroutine
    options = {"force_reachability": "private", "use_auto_relay": True, "trusted_relays": [address]}
    peer = run(patiently(lambda: P2P.create([address], announce_maddrs=[circuit], dht_mode="client", **options)))
    stack.callback(lambda: run(peer.shutdown()))
    return reach.wait_for_relay([circuit], str(peer.peer_id), limit=ROOM_SECONDS)


def test_a_computer_that_nobody_can_reach_ends_with_that_reason(start: Start) -> None:
    with full_relay() as address:
        seeder = start(address, announce=CLOSED)
        status = seeder.wait_for(lambda status: status["stage"] == "checking")
        assert status["reachability"] == "unknown"
        began = time.monotonic()
        wait_for_end(seeder, RELAY_SECONDS + reach.PROBE_SECONDS + START_SECONDS)
        assert time.monotonic() - began > RELAY_SECONDS / 2
    message = "No peer can reach this computer, neither directly nor through a relay."
    assert f"ERROR torbiz.seeder: [not-reachable] {message}" in seeder.log
    assert seeder.status["message"] == message
    assert seeder.status["reachability"] == "unknown"
    assert "Stage: online" not in seeder.log
    assert "Announced ONLINE" not in seeder.log
    assert "Announced OFFLINE" in seeder.log
    # What people wait for at most where the test doesn't shorten it.
    assert reach.RELAY_SECONDS + reach.RELAY_TRY_SECONDS + reach.PROBE_SECONDS <= 140


@contextmanager
def closed() -> Iterator[str]:
    """Where nobody listens."""
    yield CLOSED + NOBODY


@contextmanager
def mute() -> Iterator[str]:
    """Where somebody takes connections and says nothing, as a firewall or a program that hangs may do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"/ip4/127.0.0.1/tcp/{listener.getsockname()[1]}{NOBODY}"


@pytest.mark.parametrize("silent", [closed, mute])
def test_a_silent_network_ends_with_that_reason(start: Start, silent: Callable[..., Any]) -> None:
    with silent() as address:
        seeder = start(address)
        seeder.wait_for(lambda _: "Stage: connecting" in seeder.log)
        wait_for_end(seeder, START_SECONDS)
    message = "None of the first peers of Petals' public network answered."
    assert f"ERROR torbiz.seeder: [public-swarm-silent] {message}" in seeder.log
    assert seeder.status["message"] == message
    assert "Stage: joining" not in seeder.log


def test_one_first_peer_that_answers_is_enough(start: Start) -> None:
    with first_peer() as first, mute() as silent:
        seeder = start(CLOSED + NOBODY, silent, first.address)
        assert seeder.wait_for(online)["reachability"] == "direct"
        assert seeder.end(signal.SIGTERM) == 0
