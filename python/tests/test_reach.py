"""How peers come to a server, tried with real p2pd processes on this computer's loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from hivemind.dht import DHT
from hivemind.p2p import P2P
from hivemind.p2p.p2p_daemon_bindings.utils import P2PDaemonError
from petals.server.reachability import ReachabilityProtocol

from tests.ports import free_port
from torbiz import reach
from torbiz.status import Status, StatusFile

LIMIT_SECONDS = 120.0
LOOPBACK = "/ip4/127.0.0.1/tcp/"
CLOSED = "/ip4/127.0.0.1/tcp/1"


class Peer:
    """A DHT node that tries connections for others, as each of Petals' servers does."""

    def __init__(self, first: list[str] | None = None, port: int = 0, **options: Any) -> None:
        self.dht = DHT(initial_peers=first, host_maddrs=[f"{LOOPBACK}{port}"], start=True, **options)
        self.reachability_protocol = ReachabilityProtocol.attach_to_dht(self.dht, await_ready=True)

    @property
    def address(self) -> str:
        return str(self.dht.get_visible_maddrs()[0])

    def close(self) -> None:
        if self.reachability_protocol is not None:
            self.reachability_protocol.shutdown()
        self.dht.shutdown()


async def patiently(create: Callable[[], Awaitable[P2P]]) -> P2P:
    """A peer. On a busy computer p2pd gives the first peer up before that has answered."""
    for _ in range(2):
        with suppress(P2PDaemonError):
            return await create()
    return await create()


@pytest.fixture
def open_peer() -> Iterator[Callable[..., Peer]]:
    with ExitStack() as stack:

        def make(*args: Any, **options: Any) -> Peer:
            peer = Peer(*args, **options)
            stack.callback(peer.close)
            return peer

        yield make


def place(folder: Path) -> tuple[str, dict[str, Any]]:
    """Where a server is to listen and who it is."""
    address = f"{LOOPBACK}{free_port()}"
    return address, {"host_maddrs": [address], "identity_path": str(folder / "identity.key")}


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_swarm_of_ones_own_needs_no_way_in_until_it_is_opened() -> None:
    closed = reach.access_to_own_swarm(["/ip4/127.0.0.1/tcp/31330"])
    assert closed.reachability == "local"
    assert closed.options["use_relay"] is False
    opened = reach.access_to_own_swarm(["/ip4/127.0.0.1/tcp/31330", "/ip4/192.168.1.20/tcp/31330"])
    assert opened.reachability == "unknown"
    assert opened.options["use_relay"] is True
    assert opened.options["force_reachability"] == "public"


def test_a_server_that_peers_can_connect_to_joins_directly(open_peer: Callable[..., Peer], tmp_path: Path) -> None:
    first = open_peer()
    address, where = place(tmp_path)
    access = reach.access_to_joined_swarm([first.address], [address], **where)
    assert (access.reachability, access.circuits) == ("direct", [])
    assert access.options["announce_maddrs"] == [address]
    assert access.options["force_reachability"] == "public"


def test_a_server_that_nobody_can_connect_to_joins_by_the_first_peers_relays(
    open_peer: Callable[..., Peer], tmp_path: Path
) -> None:
    first = open_peer()
    _, where = place(tmp_path)
    access = reach.access_to_joined_swarm([first.address], [CLOSED], **where)
    assert access.reachability == "relayed"
    assert access.circuits == access.options["announce_maddrs"] == [f"{first.address}/p2p-circuit"]
    assert access.options["trusted_relays"] == [first.address]


def test_peers_are_asked_all_at_once() -> None:
    class Mute:
        def __init__(self) -> None:
            self.asked = 0

        async def call_check(self, remote_peer: Any, check_peer: Any) -> bool | None:
            self.asked += 1
            while self.asked < 3:  # whoever asks one after the other waits for ever
                await asyncio.sleep(0.01)
            return None if remote_peer == "gone" else check_peer == "own"

    async def ask() -> list[bool | None]:
        peers: Any = ["a", "gone", "b"]
        own: Any = "own"
        return await asyncio.wait_for(reach._ask(Mute(), peers, own), timeout=30)

    assert asyncio.run(ask()) == [True, None, True]


def test_a_peer_that_could_not_connect_at_first_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful:
        """Of who was there before it still has the old way."""

        def __init__(self, failures: int) -> None:
            self.failures = failures

        async def call_check(self, **_: Any) -> bool | None:
            self.failures -= 1
            return self.failures < 0

    monkeypatch.setattr(reach, "ASK_AGAIN_SECONDS", (0.0, 0.0))
    peer: Any = "peer"
    answers = [asyncio.run(reach._ask(Forgetful(failures), [peer], peer)) for failures in range(4)]
    assert answers == [[True], [True], [True], [False]]


def test_a_relay_counts_once_a_stranger_came_through_it(open_peer: Callable[..., Peer], tmp_path: Path) -> None:
    first = open_peer(use_relay=True, force_reachability="public")
    _, where = place(tmp_path)
    access = reach.access_to_joined_swarm([first.address], [CLOSED], **where)
    home = DHT(initial_peers=[first.address], client_mode=True, start=True, **where, **relay_options(access))
    try:
        peer_id = str(home.peer_id)
        assert reach.wait_for_relay(access.circuits, peer_id)
    finally:
        home.shutdown()
    assert not reach.wait_for_relay(access.circuits, peer_id, limit=0)


def relay_options(access: reach.Access) -> dict[str, Any]:
    """What Petals' ``Server`` hands on to its DHT."""
    return {name: value for name, value in access.options.items() if name != "reachable_via_relay"}


@pytest.fixture
def watch_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "WATCH_SECONDS", 0.5)


def watch(server: Peer, first: list[str], status: StatusFile, on_return: Callable[[], None]) -> reach.ReachWatch:
    return reach.ReachWatch(server, reach.Access("unknown", {}), first, status, on_return, on_lost=pytest.fail)


@pytest.mark.usefixtures("watch_often")
def test_the_first_peer_is_direct_once_somebody_tried(open_peer: Callable[..., Peer], tmp_path: Path) -> None:
    status = StatusFile(tmp_path / "status.json", Status(stage="online", model="m"))
    first = open_peer()
    with watch(first, [], status, lambda: None):
        time.sleep(2)
        assert status.status.reachability == "unknown"
        open_peer([first.address])
        wait_until(lambda: status.status.reachability == "direct")


@pytest.mark.usefixtures("watch_often")
def test_a_first_peer_that_was_away_is_found_again(open_peer: Callable[..., Peer], tmp_path: Path) -> None:
    status = StatusFile(tmp_path / "status.json", Status(stage="loading", model="m"))
    same: dict[str, Any] = {"port": free_port(), "identity_path": str(tmp_path / "first.key")}
    first = Peer(**same)
    server = open_peer([first.address])
    returns: list[float] = []
    with watch(server, [first.address], status, lambda: returns.append(time.monotonic())):
        time.sleep(2)
        assert returns == []  # it was never away
        first.close()
        server.dht.get("anything", latest=True)  # by what doesn't answer, hivemind notices that a peer has gone
        wait_until(lambda: not known(server))
        open_peer(**same)
        wait_until(lambda: bool(returns))
    assert known(server)


@pytest.mark.usefixtures("watch_often")
def test_a_relay_that_was_away_is_lost_once_it_is_back(
    open_peer: Callable[..., Peer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "RELAY_WATCH_SECONDS", 1.0)
    status = StatusFile(tmp_path / "status.json", Status(stage="online", model="m", reachability="relayed"))
    same: dict[str, Any] = {"port": free_port(), "identity_path": str(tmp_path / "first.key")}
    same |= {"use_relay": True, "force_reachability": "public"}
    first = Peer(**same)
    _, where = place(tmp_path)
    access = reach.access_to_joined_swarm([first.address], [CLOSED], **where)
    home = DHT(initial_peers=[first.address], client_mode=True, start=True, **where, **relay_options(access))
    server = SimpleNamespace(dht=home)
    assert reach.wait_for_relay(access.circuits, str(home.peer_id))
    losses: list[str] = []
    watching = reach.ReachWatch(
        server,
        access,
        [first.address],
        status,
        on_return=lambda: None,
        on_lost=lambda: losses.append(status.status.reachability),
    )
    try:
        with watching:
            time.sleep(10)
            assert losses == []
            wait_until(lambda: status.status.reachability == "relayed")
            first.close()
            wait_until(lambda: status.status.reachability == "unreachable")
            assert losses == []  # nobody is there through whom it could be reached
            open_peer(**same)
            wait_until(lambda: bool(losses))
    finally:
        home.shutdown()
    assert losses == ["unreachable"]


def known(server: Peer) -> list[Any]:
    found: list[Any] = server.dht.run_coroutine(reach._known_peers)
    return found


def test_what_the_watch_fails_at_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise TimeoutError

    reach.ReachWatch._attempt(fail)
    assert "How peers reach this server is not known: TimeoutError" in caplog.text


def test_a_server_whose_probe_failed_comes_to_its_end() -> None:
    protocol = ReachabilityProtocol()
    protocol._event_loop, protocol._stop = asyncio.new_event_loop(), asyncio.Event()
    protocol._event_loop.close()
    protocol.shutdown()
