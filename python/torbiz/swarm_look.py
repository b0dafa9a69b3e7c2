"""Reads from the DHT who serves which blocks of a model, without taking part in the swarm.

    python -m torbiz.swarm_look --dht-prefix smollm2-135m-instruct-hf --blocks 30 --initial-peer /ip4/.../p2p/12D3...

It joins as a client, announces nothing, and ends within ``--timeout`` seconds (importing Petals comes on top). One JSON
object on stdout, exit code 0::

    {"dhtPrefix": "smollm2-135m-instruct-hf",
     "blocks": 30,                        the model's, as told
     "servers": [                         those that are joining or online, by their first block
       {"peerId": "12D3...", "name": null, "state": "online",
        "start": 0, "end": 12,            its blocks: `end` is not one of them
        "throughput": 812.5,              tokens a second, as it announces
        "version": "2.2.0.post1",         of its Petals; null when it doesn't tell
        "relayed": false}],               peers reach it through a relay; null when it doesn't tell
     "online": [1, 1, 0],                 of each block, how many ONLINE servers it has
     "missing": [{"start": 12, "end": 16}],      blocks that no ONLINE server has
     "suggestion": {"start": 12, "end": 16},     what a further server should serve
     "initialPeers": [                    what was asked first
       {"address": "/ip4/...", "answered": true, "clockSkewSeconds": -0.01}],
     "clockSkewSeconds": -0.01,           this computer's clock less a peer's; the largest, null when no peer tells
     "seconds": {"join": 1.2, "read": 0.1}}

A failure is ``{"error": {"code", "message"}}`` there, with exit code 1; for a clock that differs it has
``clockSkewSeconds`` too. Codes: ``swarm-unreachable`` (no first peer answered, or the DHT didn't in time),
``swarm-invalid`` (not an address), ``clock-skew``. For wrong options argparse ends with exit code 2.

Within the seeder, ``SwarmWatch`` reads the same by the seeder's own DHT and keeps a glance of it in the status.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from typing import Any, Literal

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from hivemind.dht import DHT
from hivemind.p2p import PeerID
from hivemind.p2p.p2p_daemon_bindings.utils import P2PDaemonError
from hivemind.proto import dht_pb2
from hivemind.utils import get_dht_time
from hivemind.utils.multiaddr import Multiaddr
from hivemind.utils.timed_storage import MAX_DHT_TIME_DISCREPANCY_SECONDS
from petals.constants import PUBLIC_INITIAL_PEERS
from petals.data_structures import UID_DELIMITER, RemoteModuleInfo, ServerState
from petals.server.block_selection import choose_best_blocks
from petals.utils.dht import compute_spans, get_remote_module_infos

from torbiz.logs import configure_logging
from torbiz.processes import ForkGuard, descendants, kill
from torbiz.status import Glance, StatusFile

logger = logging.getLogger("torbiz.swarm_look")

TIMEOUT = 20.0
PING_TIMEOUT = 5.0
READ_TIMEOUT = 15.0
NUM_WORKERS = 32
"""Keys that are looked up at once; as many as Petals' own client does."""
LOOK_EVERY_SECONDS = 30.0
NAME_LENGTH = 80
"""Names are what strangers wrote: longer ones are cut."""


class LookError(Exception):
    """A look that failed: ``code`` is one of Torbiz's error codes, the text one sentence for people."""

    def __init__(self, code: str, message: str, clock_skew: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.clock_skew = clock_skew


@dataclass(frozen=True)
class BlockRange:
    """Blocks from ``start`` to before ``end``."""

    start: int
    end: int


@dataclass(frozen=True)
class SwarmServer:
    """A server as it announces itself."""

    peerId: str
    name: str | None
    state: Literal["joining", "online"]
    start: int
    end: int
    throughput: float
    version: str | None
    relayed: bool | None


@dataclass(frozen=True)
class SwarmMap:
    """Who serves which blocks of a model; the module's docstring has the fields."""

    dhtPrefix: str
    blocks: int
    servers: list[SwarmServer]
    online: list[int]
    missing: list[BlockRange]
    suggestion: BlockRange


@dataclass(frozen=True)
class FirstPeer:
    """One of the addresses by which the swarm was joined."""

    address: str
    answered: bool
    clockSkewSeconds: float | None


def read_swarm(
    dht: DHT, dht_prefix: str, blocks: int, *, fitting: int | None = None, timeout: float = READ_TIMEOUT
) -> SwarmMap:
    """What the DHT tells now: as Petals' client reads it, expired entries left out.

    :param blocks: how many the model has
    :param fitting: the most blocks that a further server could serve; None for any number
    :raises TimeoutError: when the DHT takes longer than ``timeout`` seconds
    """
    uids = [f"{dht_prefix}{UID_DELIMITER}{block}" for block in range(blocks)]
    infos: list[RemoteModuleInfo] = get_remote_module_infos(dht, uids, latest=True, return_future=True).result(timeout)
    servers = servers_of(infos)
    online = [0] * blocks
    for server in servers:
        if server.state == "online":
            for block in range(server.start, server.end):
                online[block] += 1
    return SwarmMap(
        dhtPrefix=dht_prefix,
        blocks=blocks,
        servers=servers,
        online=online,
        missing=gaps(online),
        suggestion=suggest(infos, servers, fitting or blocks),
    )


def servers_of(infos: list[RemoteModuleInfo]) -> list[SwarmServer]:
    """The servers that are joining or online, by their first block. One that told OFFLINE has gone."""
    servers = [
        SwarmServer(
            peerId=span.peer_id.to_base58(),
            name=span.server_info.public_name and span.server_info.public_name[:NAME_LENGTH],
            state="online" if span.state == ServerState.ONLINE else "joining",
            start=span.start,
            end=span.end,
            throughput=round(float(span.throughput), 1),
            version=span.server_info.version,
            relayed=span.server_info.using_relay,
        )
        for span in compute_spans(infos, min_state=ServerState.JOINING).values()
        if span.start < span.end  # what strangers announce may be nonsense
    ]
    return sorted(servers, key=lambda server: (server.start, server.end, server.peerId))


def gaps(counts: Sequence[int]) -> list[BlockRange]:
    """The runs of blocks whose count is 0."""
    found, start = [], 0
    for count, run in groupby(counts):
        end = start + len(list(run))
        if count == 0:
            found.append(BlockRange(start, end))
        start = end
    return found


def suggest(infos: list[RemoteModuleInfo], servers: list[SwarmServer], fitting: int) -> BlockRange:
    """What a further server should serve: the widest gap, as far as it fits, else where the swarm is slowest.

    Where is Petals' own choice, so a server that chooses by itself comes to the same. How many is not: Petals is told.
    Blocks of servers that are joining are no gap: they will be there before a further server is.
    """
    taken = [0] * len(infos)
    for server in servers:
        for block in range(server.start, server.end):
            taken[block] += 1
    widest = max((gap.end - gap.start for gap in gaps(taken)), default=len(infos))
    chosen = choose_best_blocks(min(fitting, widest), infos)
    return BlockRange(chosen[0], chosen[-1] + 1)


def join(initial_peers: Sequence[str], timeout: float) -> DHT:
    """A client of the swarm's DHT: it can look things up, keeps nothing for others, and nobody learns of it.

    :raises LookError: swarm-invalid, swarm-unreachable
    """
    for address in initial_peers:
        check_address(address)
    dht = DHT(
        initial_peers=list(initial_peers),
        client_mode=True,
        num_workers=NUM_WORKERS,
        startup_timeout=timeout,
        # Whether first peers answer, and how their clocks go, is asked by `ask_first_peers`, for each of them.
        ensure_bootstrap_success=False,
        start=True,
        await_ready=False,
    )
    try:
        dht.wait_until_ready(timeout)
    except P2PDaemonError as error:
        logger.info("Joining failed: %s", error)
        raise unreachable() from error
    except TimeoutError:
        raise unreachable() from None
    return dht


def check_address(address: str) -> None:
    """Tells an address of a peer from other text.

    :raises LookError: swarm-invalid
    """
    try:
        PeerID.from_base58(Multiaddr(address)["p2p"])
    except Exception as error:  # the parser's own errors have no common class
        raise LookError("swarm-invalid", f"{address} is not a peer's address.") from error


def unreachable() -> LookError:
    """The failure to tell when no first peer answers."""
    return LookError("swarm-unreachable", "None of the swarm's first peers answered.")


def ask_first_peers(dht: DHT, addresses: Sequence[str], timeout: float) -> list[FirstPeer]:
    """Pings each of them, and compares its clock with this computer's.

    :raises LookError: swarm-unreachable when none answers, clock-skew when one's clock is too far from this computer's:
        hivemind refuses to join by such a peer, and entries would seem expired, or valid for ever
    """
    ask = partial(_ping_all, addresses=list(addresses), timeout=min(timeout, PING_TIMEOUT))
    answers: list[tuple[float, float, float] | None]
    try:
        answers = dht.run_coroutine(ask, return_future=True).result(timeout)
    except TimeoutError:
        raise unreachable() from None
    peers = []
    for address, answer in zip(addresses, answers, strict=True):
        skew = round((answer[0] + answer[2]) / 2 - answer[1], 3) if answer and answer[1] else None
        peers.append(FirstPeer(address, answer is not None, skew))
    if not any(peer.answered for peer in peers):
        raise unreachable()
    skew = largest_skew(peers)
    for answer in filter(None, answers):
        if answer[1] and not (
            answer[0] - MAX_DHT_TIME_DISCREPANCY_SECONDS <= answer[1] <= answer[2] + MAX_DHT_TIME_DISCREPANCY_SECONDS
        ):
            assert skew is not None
            way = "ahead of" if skew > 0 else "behind"
            raise LookError("clock-skew", f"This computer's clock is {abs(skew):.0f} s {way} the swarm's.", skew)
    return peers


def largest_skew(peers: Sequence[FirstPeer]) -> float | None:
    """Of what the peers' clocks tell, what is farthest from 0."""
    skews = [peer.clockSkewSeconds for peer in peers if peer.clockSkewSeconds is not None]
    return max(skews, key=abs, default=None)


async def _ping_all(_dht: DHT, node: Any, addresses: list[str], timeout: float) -> list[Any]:
    return list(await asyncio.gather(*(_ping(node, address, timeout) for address in addresses)))


async def _ping(node: Any, address: str, timeout: float) -> tuple[float, float, float] | None:
    """(asked, the peer's time, answered) in seconds since 1970; 0 for a peer that doesn't tell its time."""
    peer = PeerID.from_base58(Multiaddr(address)["p2p"])
    request = dht_pb2.PingRequest(peer=node.protocol.node_info, validate=False)
    asked = get_dht_time()
    try:
        response = await node.protocol.get_stub(peer).rpc_ping(request, timeout=timeout)
    except Exception as error:  # whatever it is, this peer doesn't answer
        logger.info("%s doesn't answer: %s", address, error)
        return None
    return asked, response.dht_time, get_dht_time()


def glance_at(swarm: SwarmMap, own: str) -> Glance:
    """A map in few words, as the status has it."""
    others = sum(server.state == "online" and server.peerId != own for server in swarm.servers)
    return Glance(others, [(count, len(list(run))) for count, run in groupby(swarm.online)])


class SwarmWatch:
    """While it lasts and the share is online, keeps a glance of the swarm in the status.

    It asks by the server's own DHT, as Petals' announcements do from their thread: another peer would cost a process
    and a p2pd, and be one more connection for everybody.
    """

    def __init__(self, dht: DHT, dht_prefix: str, blocks: int, status: StatusFile) -> None:
        self._dht = dht
        self._dht_prefix = dht_prefix
        self._blocks = blocks
        self._status = status
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="swarm", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()

    def _run(self) -> None:
        looked = -LOOK_EVERY_SECONDS
        while not self._end.wait(1):
            if self._status.status.stage == "online" and time.monotonic() - looked >= LOOK_EVERY_SECONDS:
                glance = self._look()
                looked = time.monotonic()
                if glance != self._status.status.swarm and not self._end.is_set():
                    self._status.update(swarm=glance)

    def _look(self) -> Glance | None:
        try:
            return glance_at(read_swarm(self._dht, self._dht_prefix, self._blocks), self._dht.peer_id.to_base58())
        except Exception as error:  # what the glance tells is less important than what goes on without it
            logger.warning("The swarm could not be read: %s", str(error) or type(error).__name__)
            return None


def look(
    initial_peers: Sequence[str], dht_prefix: str, blocks: int, *, fitting: int | None = None, timeout: float = TIMEOUT
) -> dict[str, Any]:
    """Joins, reads and leaves: the module's JSON object.

    :raises LookError: swarm-invalid, swarm-unreachable, clock-skew
    """
    began = time.monotonic()

    def left() -> float:
        return max(0.1, began + timeout - time.monotonic())

    dht = join(initial_peers, left())
    try:
        peers = ask_first_peers(dht, initial_peers, left())
        joined = time.monotonic()
        try:
            swarm = read_swarm(dht, dht_prefix, blocks, fitting=fitting, timeout=left())
        except TimeoutError:
            raise LookError("swarm-unreachable", "The swarm's first peers answer, but not what they know.") from None
        read = time.monotonic()
    finally:
        dht.shutdown()
    return {
        **asdict(swarm),
        "initialPeers": [asdict(peer) for peer in peers],
        "clockSkewSeconds": largest_skew(peers),
        "seconds": {"join": round(joined - began, 3), "read": round(read - joined, 3)},
    }


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; the exit code is 0 for a map, 1 for a failure."""
    parser = argparse.ArgumentParser(prog="torbiz.swarm_look", description="Read who serves which blocks of a model.")
    parser.add_argument("--dht-prefix", required=True, help="name of the model's blocks in the DHT")
    parser.add_argument("--blocks", type=int, required=True, help="how many the model has")
    parser.add_argument(
        "--initial-peer", action="append", metavar="ADDR", help="ask this peer (repeatable; default: Petals' own)"
    )
    parser.add_argument("--fitting", type=int, help="the most blocks that a further server could serve")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds that it may take")
    options = parser.parse_args(arguments)
    if options.blocks < 1 or (options.fitting is not None and options.fitting < 1):
        parser.error("a number of blocks is at least 1")
    configure_logging()
    guard = ForkGuard()
    peers = options.initial_peer or PUBLIC_INITIAL_PEERS
    try:
        found = look(peers, options.dht_prefix, options.blocks, fitting=options.fitting, timeout=options.timeout)
    except LookError as error:
        skew = {} if error.clock_skew is None else {"clockSkewSeconds": error.clock_skew}
        say({"error": {"code": error.code, "message": str(error), **skew}})
        return 1
    finally:
        kill(descendants(os.getpid()))
        del guard
    say(found)
    return 0


def say(value: dict[str, Any]) -> None:
    """Prints the one line."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os._exit(main())  # hivemind's objects print tracebacks when Python ends: their event loops are gone
