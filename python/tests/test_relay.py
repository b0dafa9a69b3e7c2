"""Connections through a relay, with real p2pd processes on this computer's loopback."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from hivemind.dht import DHT
from hivemind.p2p import P2P, PeerID
from hivemind.p2p.p2p_daemon_bindings.utils import write_pbmsg

from tests.ports import free_port
from tests.test_reach import CLOSED, Peer, patiently, place, relay_options
from tests.test_seeder import Seeder, online
from torbiz import reach, relay

ECHO = "torbiz-test-echo"
LIBP2P_LIMIT = 1 << 17
"""Bytes that a relay with libp2p's defaults lets through, either way."""
PART = bytes(range(256)) * 8
LIMIT_SECONDS = 120.0


class Hidden:
    """A peer that nobody can connect to but through the relay; it echoes what a stream brings."""

    def __init__(self, folder: Path, first: str) -> None:
        _, where = place(folder)
        access = reach.access_to_joined_swarm([first], [CLOSED], **where)
        self.first = first
        self.relay = PeerID.from_base58(first.rpartition("/p2p/")[2])
        self.circuit = access.circuits[0]
        self.dht = DHT(initial_peers=[first], client_mode=True, start=True, **where, **relay_options(access))
        assert reach.wait_for_relay(access.circuits, str(self.dht.peer_id))

    @property
    def address(self) -> str:
        return f"{self.circuit}/p2p/{self.dht.peer_id}"


@contextmanager
def relayed_by(peer: Peer, folder: Path) -> Iterator[Hidden]:
    with relay.Relay(peer.dht):
        hidden = Hidden(folder, peer.address)
        try:
            yield hidden
        finally:
            hidden.dht.shutdown()


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hidden]:
    first = Peer(use_relay=True, force_reachability="public")
    try:
        with relayed_by(first, tmp_path_factory.mktemp("hidden")) as hidden:
            yield hidden
    finally:
        first.close()


def as_stranger(work: Callable[[P2P], Awaitable[Any]], address: str) -> Any:
    """What a further peer does that knows one address only."""

    async def run() -> Any:
        options: Any = {"dht_mode": "client", "no_listen": True, "auto_nat": False, "nat_port_map": False}
        p2p = await patiently(lambda: P2P.create(initial_peers=[address], **options))
        try:
            return await asyncio.wait_for(work(p2p), LIMIT_SECONDS)
        finally:
            await p2p.shutdown()

    return asyncio.run(run())


def echoed(hidden: Hidden, goes_on: Callable[[int], bool], pause: float = 0.0) -> bytes:
    """What comes back, sent part by part while it goes on after so many bytes. Pauses in seconds."""

    async def echo(_info: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(ConnectionError):
            while part := await reader.read(1 << 16):
                writer.write(part)
                await writer.drain()

    async def ask(p2p: P2P) -> bytes:
        home = await P2P.replicate(hidden.dht.run_coroutine(relay._address_of_daemon))
        came = b""
        try:
            await home.add_binary_stream_handler(ECHO, echo)
            _, reader, writer = await p2p.call_binary_stream_handler(hidden.dht.peer_id, ECHO)
            with closing(writer), suppress(ConnectionError):
                while goes_on(len(came)):
                    writer.write(PART)
                    part = await reader.read(len(PART))
                    if not part:
                        break
                    came += part
                    await asyncio.sleep(pause)
            await home.remove_binary_stream_handler(ECHO)
            return came
        finally:
            await home.shutdown()

    came: bytes = as_stranger(ask, hidden.address)
    return came


def test_an_answer_far_longer_than_libp2ps_limit_comes_through(hidden: Hidden) -> None:
    size = 8 * LIBP2P_LIMIT
    assert echoed(hidden, lambda came: came < size) == PART * (size // len(PART))


def test_who_joined_relays_as_well(hidden: Hidden, tmp_path: Path) -> None:
    address, where = place(tmp_path)
    access = reach.access_to_joined_swarm([hidden.first], [address], **where)
    assert access.relays
    options = relay_options(access)
    joined = Peer([hidden.first], int(address.rpartition("/")[2]), identity_path=where["identity_path"], **options)
    (tmp_path / "home").mkdir()
    try:
        with relayed_by(joined, tmp_path / "home") as another:
            assert len(echoed(another, lambda came: came < 2 * LIBP2P_LIMIT)) == 2 * LIBP2P_LIMIT
    finally:
        joined.close()


def asked(hidden: Hidden, request: Any) -> Any:
    """What the relay answers. The request: a message, or bytes."""

    async def ask(p2p: P2P) -> Any:
        _, reader, writer = await p2p.call_binary_stream_handler(hidden.relay, relay.HOP)
        with closing(writer):
            if isinstance(request, bytes):
                writer.write(request)
            else:
                await write_pbmsg(writer, request)
            return await relay._read(reader, relay.HopMessage())

    return as_stranger(ask, hidden.first)


def connect(peer: bytes) -> Any:
    return relay.HopMessage(type=relay.CONNECT, peer={"id": peer})


def test_a_reservation_holds_for_an_hour(hidden: Hidden) -> None:
    answer = asked(hidden, relay.HopMessage(type=relay.RESERVE))
    assert (answer.type, answer.status) == (relay.HOP_STATUS, relay.OK)
    assert 3500 < answer.reservation.expire - time.time() <= 3600


NOBODY = PeerID.from_base58("QmcMt3iRThm49CZuZNDnqN5XhwQZKHfT1JZoJHNYQaaYn9").to_bytes()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (connect(NOBODY), relay.UNKNOWN_PEER),
        (connect(b""), relay.UNKNOWN_PEER),
        (relay.HopMessage(type=relay.HOP_STATUS), relay.UNEXPECTED),
        (b"\x03\xff\xff\xff", relay.MALFORMED),
        (b"\x80\x80\x80\x80\x01", relay.MALFORMED),  # a length of 256 MiB
    ],
)
def test_what_cant_be_done_is_told(hidden: Hidden, request_: Any, status: int) -> None:
    assert asked(hidden, request_).status == status


@pytest.mark.parametrize("limit", ["CIRCUITS", "CIRCUITS_EACH"])
def test_more_connections_than_there_is_room_for_are_refused(
    hidden: Hidden, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal = hidden.dht.peer_id.to_bytes()
    monkeypatch.setattr(relay, limit, 0)
    assert asked(hidden, connect(goal)).status == relay.BUSY
    monkeypatch.undo()
    assert asked(hidden, connect(goal)).status == relay.OK


def test_nothing_is_relayed_twice(hidden: Hidden) -> None:
    async def ask(p2p: P2P) -> Any:
        _, reader, writer = await p2p.call_binary_stream_handler(hidden.dht.peer_id, relay.HOP)
        with closing(writer):
            await write_pbmsg(writer, connect(hidden.dht.peer_id.to_bytes()))
            return await relay._read(reader, relay.HopMessage())

    with relay.Relay(hidden.dht):
        assert as_stranger(ask, hidden.address).status == relay.DENIED


def test_an_answer_is_told_from_peers_that_only_look(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    traffic = relay._Traffic()

    def is_answer() -> bool:
        return traffic.idle_at > now

    traffic.add(relay.GREETING_BYTES)
    for _ in range(100):
        now += 2.0
        traffic.add(400)
        assert not is_answer()
    for _ in range(20):
        now += 12.0
        traffic.add(5000)  # a token of a slow answer
        assert is_answer()
    now += relay.IDLE_SECONDS - 1
    assert is_answer()
    now += 1
    assert not is_answer()


def test_one_that_finishes_lets_an_answer_that_it_relays_come_to_its_end(tmp_path: Path, model: Path) -> None:
    port = free_port()
    seeder = Seeder(tmp_path, model, "--new-swarm", "--blocks", "1", port=port, announce=f"/ip4/192.0.2.1/tcp/{port}")
    try:
        # Nobody, it neither, comes by the address that it announces. Yet it tries connections for others, and relays.
        first = f"/ip4/127.0.0.1/tcp/{port}/p2p/{seeder.wait_for(online)['peerId']}"
        address, where = place(tmp_path)
        assert reach.access_to_joined_swarm([first], [address], **where).reachability == "direct"
        (tmp_path / "home").mkdir()
        hidden = Hidden(tmp_path / "home", first)
        try:
            is_whole = threading.Event()
            with ThreadPoolExecutor() as pool, ExitStack() as stack:
                stack.callback(is_whole.set)  # the pool waits
                answer = pool.submit(echoed, hidden, lambda _: not is_whole.is_set(), pause=0.1)
                assert seeder.wait_for(lambda status: status["active"] == 1)["sessions"] == 0
                seeder.process.send_signal(signal.SIGUSR1)
                assert seeder.wait_for(lambda status: status["stage"] == "finishing")["active"] == 1
                # Who serves by this relay finds itself still in reach.
                assert reach.wait_for_relay([hidden.circuit], str(hidden.dht.peer_id))
                assert seeder.status["active"] == 1
                is_whole.set()
                came = answer.result(LIMIT_SECONDS)
                assert came == PART * (len(came) // len(PART))
                assert seeder.process.wait(LIMIT_SECONDS) == 0
                assert "No answer is on its way any more" in seeder.log
        finally:
            hidden.dht.shutdown()
    finally:
        seeder.clean_up()
