"""Reads from the DHT who serves which blocks of a model, without taking part in the swarm.

    python -m torbiz.swarm_look --dht-prefix smollm2-135m-instruct-hf --blocks 30 --initial-peer /ip4/.../p2p/12D3...

It joins as a client, announces nothing, and ends within ``--timeout`` seconds (importing Petals comes on top, and 5 s
for servers that don't answer). One JSON object on stdout, exit code 0::

    {"dhtPrefix": "smollm2-135m-instruct-hf",
     "blocks": 30,                        the model's, as told
     "servers": [                         those that are joining or online, by their first block
       {"peerId": "12D3...", "name": null,
        "state": "online",                or "joining", or "unreachable": announced as online, but doesn't answer
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
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from random import sample
from statistics import median
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
from petals.data_structures import UID_DELIMITER, RemoteModuleInfo, RemoteSpanInfo, ServerState
from petals.server.block_selection import choose_best_blocks
from petals.utils.dht import compute_spans, get_remote_module_infos
from petals.utils.ping import ping_parallel

from torbiz.logs import configure_logging
from torbiz.moving import without
from torbiz.processes import ForkGuard, descendants, kill
from torbiz.status import Glance, StatusFile

logger = logging.getLogger("torbiz.swarm_look")

TIMEOUT = 20.0
PING_TIMEOUT = 5.0
"""As long as Petals' own client waits."""
MOST_PINGED = 64
"""Servers that are asked whether they are there, by chance where there are more: each takes a connection."""
MOST_ASKED_TIME = 5
"""Peers whose clocks are looked at, by chance where there are more."""
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
    state: Literal["joining", "online", "unreachable"]
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
    """What the DHT tells now, as Petals' client reads it, expired entries left out; and who of them answers.

    :param blocks: how many the model has
    :param fitting: the most blocks that a further server could serve; None for any number
    :raises TimeoutError: when the DHT takes longer than ``timeout`` seconds
    """
    uids = [f"{dht_prefix}{UID_DELIMITER}{block}" for block in range(blocks)]
    infos: list[RemoteModuleInfo] = get_remote_module_infos(dht, uids, latest=True, return_future=True).result(timeout)
    silent = silent_servers(dht, infos, timeout)
    servers = servers_of(infos, silent)
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
        suggestion=suggest(without(infos, silent), fitting or blocks),
    )


def silent_servers(dht: DHT, infos: list[RemoteModuleInfo], timeout: float) -> set[PeerID]:
    """Those that are announced as online and don't answer.

    An announcement holds for two minutes, whatever becomes of the computer, so Petals' client asks servers, too.

    :raises TimeoutError: when the DHT takes longer than ``timeout`` seconds beside what they have for an answer
    """
    online = [peer for peer in compute_spans(infos, min_state=ServerState.ONLINE) if peer != dht.peer_id]
    asked = sample(online, min(len(online), MOST_PINGED))
    ask = partial(ping_parallel, asked, wait_timeout=PING_TIMEOUT)
    seconds: dict[PeerID, float] = dht.run_coroutine(ask, return_future=True).result(timeout + PING_TIMEOUT)
    return {peer for peer, took in seconds.items() if math.isinf(took)}


def servers_of(infos: list[RemoteModuleInfo], silent: Collection[PeerID] = ()) -> list[SwarmServer]:
    """The servers that are joining or online, by their first block. One that told OFFLINE has gone.

    :param silent: those that don't answer
    """

    def state_of(span: RemoteSpanInfo) -> Literal["joining", "online", "unreachable"]:
        if span.peer_id in silent:
            return "unreachable"
        return "online" if span.state == ServerState.ONLINE else "joining"

    servers = [
        SwarmServer(
            peerId=span.peer_id.to_base58(),
            name=span.server_info.public_name and span.server_info.public_name[:NAME_LENGTH],
            state=state_of(span),
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


def suggest(infos: list[RemoteModuleInfo], fitting: int) -> BlockRange:
    """What a further server should serve: the widest gap, as far as it fits, else where the swarm is slowest.

    Where is Petals' own choice, so a server that chooses by itself comes to the same. How many is not: Petals is told.
    Blocks of servers that are joining are no gap: they will be there before a further server is.
    """
    taken = [0] * len(infos)
    for server in servers_of(infos):
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
    first = [PeerID.from_base58(Multiaddr(address)["p2p"]) for address in addresses]
    ask = partial(_ping_all, peers=first, timeout=min(timeout, PING_TIMEOUT))
    answers: list[TimeTold | None]
    try:
        answers = dht.run_coroutine(ask, return_future=True).result(timeout)
    except TimeoutError:
        raise unreachable() from None
    peers = []
    for address, answer in zip(addresses, answers, strict=True):
        peers.append(FirstPeer(address, answer is not None, answer.skew if answer else None))
    if not any(peer.answered for peer in peers):
        raise unreachable()
    skew = largest_skew(peers)
    if skew is not None and any(answer and answer.is_refused for answer in answers):
        raise LookError("clock-skew", f"This computer's clock is {skew_text(skew)} the swarm's.", skew)
    return peers


def skew_text(skew: float) -> str:
    """How a clock stands to another in words: ``12 s behind``."""
    return f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'}"


def largest_skew(peers: Sequence[FirstPeer]) -> float | None:
    """Of what the peers' clocks tell, what is farthest from 0."""
    skews = [peer.clockSkewSeconds for peer in peers if peer.clockSkewSeconds is not None]
    return max(skews, key=abs, default=None)


@dataclass(frozen=True)
class TimeTold:
    """When a peer was asked, what time it has (0: it doesn't tell), and when it had answered; in seconds since 1970."""

    asked: float
    told: float
    answered: float

    @property
    def skew(self) -> float | None:
        """This computer's clock less the peer's, in seconds."""
        return round((self.asked + self.answered) / 2 - self.told, 3) if self.told else None

    @property
    def is_refused(self) -> bool:
        """Whether hivemind takes the clocks for too far apart."""
        most = MAX_DHT_TIME_DISCREPANCY_SECONDS
        return bool(self.told) and not self.asked - most <= self.told <= self.answered + most


async def _ping_all(_dht: DHT, node: Any, peers: list[PeerID], timeout: float) -> list[TimeTold | None]:
    return list(await asyncio.gather(*(_ping(node, peer, timeout) for peer in peers)))


async def _ping_some(_dht: DHT, node: Any) -> list[TimeTold | None]:
    known = list(node.protocol.routing_table.peer_id_to_uid)
    return await _ping_all(_dht, node, sample(known, min(len(known), MOST_ASKED_TIME)), PING_TIMEOUT)


async def _forgive(_dht: DHT, node: Any) -> None:
    node.blacklist.clear()


async def _ping(node: Any, peer: PeerID, timeout: float) -> TimeTold | None:
    request = dht_pb2.PingRequest(peer=node.protocol.node_info, validate=False)
    asked = get_dht_time()
    try:
        response = await node.protocol.get_stub(peer).rpc_ping(request, timeout=timeout)
    except Exception as error:  # whatever it is, this peer doesn't answer
        logger.info("%s doesn't answer: %s", peer, error)
        return None
    return TimeTold(asked, response.dht_time, get_dht_time())


def glance_at(swarm: SwarmMap, own: str) -> Glance:
    """A map in few words, as the status has it."""
    others = sum(server.state == "online" and server.peerId != own for server in swarm.servers)
    return Glance(others, [(count, len(list(run))) for count, run in groupby(swarm.online)])


class SwarmWatch:
    """While it lasts and the share is online, keeps a glance of the swarm in the status, and looks at its clocks.

    It asks by the server's own DHT, as Petals' announcements do from their thread: another peer would cost a process
    and a p2pd, and be one more connection for everybody.

    hivemind compares clocks only where a server joins. A clock that is wrong later takes the server out of the swarm
    without a word: what it announces has expired for others, or what they announce for it.

    :param on_clock: told at each look whether most peers' clocks are too far from this computer's
    """

    def __init__(
        self, dht: DHT, dht_prefix: str, blocks: int, status: StatusFile, on_clock: Callable[[bool], None]
    ) -> None:
        self._dht = dht
        self._on_clock = on_clock
        self._differs = False
        self._now = threading.Event()
        self._dht_prefix = dht_prefix
        self._blocks = blocks
        self._status = status
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="swarm", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()

    def again(self) -> None:
        """Looks anew at once: this computer's clock was set."""
        self._now.set()

    def _run(self) -> None:
        looked = -LOOK_EVERY_SECONDS
        while not self._end.wait(1):
            is_due = self._now.is_set() or time.monotonic() - looked >= LOOK_EVERY_SECONDS
            if self._status.status.stage == "online" and is_due:
                self._look_at_clocks()
                glance = self._look()
                looked = time.monotonic()
                if glance != self._status.status.swarm and not self._end.is_set():
                    self._status.update(swarm=glance)

    def _look_at_clocks(self) -> None:
        try:
            if self._now.is_set():
                # Peers that didn't answer lately are left out until a time by the clock: set back, for too long.
                self._dht.run_coroutine(_forgive, return_future=True).result(PING_TIMEOUT)
                self._now.clear()
            answers = self._dht.run_coroutine(_ping_some, return_future=True).result(2 * PING_TIMEOUT)
        except Exception as error:  # as for the glance
            logger.warning("The swarm's clocks could not be read: %s", str(error) or type(error).__name__)
            return
        told = [answer for answer in answers if answer and answer.told]
        if not told:
            return  # which says nothing: a clock that is wrong may just have cost all peers
        refused = [answer.skew or 0.0 for answer in told if answer.is_refused]
        differs = 2 * len(refused) > len(told)
        if differs and not self._differs:
            logger.warning("This computer's clock is %s most of the swarm's", skew_text(median(refused)))
        self._differs = differs
        self._on_clock(differs)

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
