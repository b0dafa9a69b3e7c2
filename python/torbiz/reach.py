"""How peers reach this server: found out with their help before it serves, and looked at again while it does.

In a swarm of one's own that isn't open to others nobody has to. A server that opens one is its first relay. One that
joins asks the peers that are there to connect back; where they can't, as behind a router, it is reached through the
relays of the first peers, which is found out by coming that way oneself.

hivemind's p2pd (libp2p) settles nothing of this by itself in a private network: it takes nobody's word but that of
public addresses, and tells peers of relays with such addresses only.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import sample
from types import SimpleNamespace
from typing import Any

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from hivemind.dht import DHTNode
from hivemind.moe.client.remote_expert_worker import RemoteExpertWorker
from hivemind.p2p import P2P, PeerID
from hivemind.p2p.p2p_daemon_bindings.utils import ControlFailure, P2PDaemonError
from hivemind.utils.multiaddr import Multiaddr
from petals.server import reachability
from petals.server.reachability import ReachabilityProtocol

from torbiz.status import Reachability, StatusFile

logger = logging.getLogger("torbiz.reach")

P2P.FORCE_REACHABILITY_MAPPING["private"] = {"forceReachabilityPrivate": 1, "relayDiscovery": 0}
"""What p2pd is told where peers can't connect, for which hivemind has no option. Looking for further relays it would
wait three minutes until it knew four, and take any two of them, whatever is announced.

A relay that was lost, as in a cut of the network, it doesn't take again either way: libp2p asks such a list once, and
any other relay not within an hour (``autorelay``: ``handleStaticRelays``, ``backoff``). Only a p2pd started anew does,
which is why ``ReachWatch`` tells."""

RELAY_SECONDS = 120.0
"""How long a relay may take on a busy computer; an idle one has it in seconds."""
RELAY_TRY_SECONDS = 5.0
PROBE_SECONDS = 15.0
ASK_SECONDS = 45.0
"""How long peers may take to try connections, all tries together: Petals' own give one up after 5 s, and who asks them
waits 10 s."""
ASK_AGAIN_SECONDS = (1.0, 3.0)
"""Pauses. Who couldn't connect is asked again: a peer that knew this server before its restart often fails at first."""
MOST_ASKED = 5
MOST_ASKED_FIRST = 16
"""Before it serves, as that settles how it does. In a dormant network most of them have gone."""
WATCH_SECONDS = 30.0
RELAY_WATCH_SECONDS = 120.0
"""A look through a relay takes a p2pd of its own."""


@dataclass(frozen=True)
class Access:
    """By what way peers come, as far as it is known before this server serves."""

    reachability: Reachability
    options: dict[str, Any]
    """For Petals' ``Server``, beside where it listens and who it is."""
    circuits: list[str] = field(default_factory=list)
    """Multiaddrs of the relays by which it will be reached, where it needs them."""

    @property
    def relays(self) -> bool:
        """Whether it relays for others (``relay.Relay``)."""
        return self.options["use_relay"] and not self.circuits


RELAYING: dict[str, Any] = {"use_relay": True, "force_reachability": "public"}
"""Of a server that is open to others. p2pd needn't find out whether it is: in a swarm that begins nobody could tell,
and where peers just did it would start and end a relay of its own in the place of ours."""


def probe_enters_at(port: int) -> None:
    """Lets Petals' probe, which tries connections for other peers, enter the swarm where this server listens.

    Petals takes the announced addresses. Where these don't lead back here, as with a port that a router forwards only
    for those outside, it would have no probe. To be called before each ``Server`` is made.
    """

    async def create(initial_peers: Sequence[str], **options: Any) -> Any:
        own = [f"/ip4/127.0.0.1/tcp/{port}/p2p/{Multiaddr(address)['p2p']}" for address in initial_peers[:1]]
        return await P2P.create([*own, *initial_peers], **options)

    reachability.P2P = SimpleNamespace(create=create)


def _has_probe(protocol: Any) -> bool:
    """Whether Petals' ``ReachabilityProtocol`` runs: not before it began, nor after an error has ended it."""
    return protocol._event_loop is not None and not protocol._event_loop.is_closed()


def _let_servers_end() -> None:
    """Petals' server doesn't come to its end where its probe has ended before, by an error."""
    shut_down = ReachabilityProtocol.shutdown

    def shutdown(self: Any) -> None:
        if _has_probe(self):
            shut_down(self)

    ReachabilityProtocol.shutdown = shutdown


_let_servers_end()


def access_to_own_swarm(announce: Sequence[str]) -> Access:
    """Of the server that begins a swarm: by itself, and as a relay for others where it is open to them."""
    is_open = any(not address.startswith("/ip4/127.") for address in announce)
    if not is_open:
        return Access("local", {**_direct(announce), "use_relay": False})
    return Access("unknown", {**_direct(announce), **RELAYING})


def access_to_joined_swarm(initial_peers: Sequence[str], announce: Sequence[str], **place: Any) -> Access:
    """Of a server that joins: direct where peers can connect to it as they are asked to, else through relays.

    :param place: where it listens and who it is, as Petals' ``Server`` takes it
    :raises Exception: hivemind's, when no first peer answers
    """
    place = {**place, "announce_maddrs": list(announce) or None}
    if RemoteExpertWorker.run_coroutine(_comes_directly(list(initial_peers), **place)):
        logger.info("Peers can connect to this server directly")
        return Access("direct", {**_direct(announce), **RELAYING})
    logger.info("Peers can't connect to this server directly: it goes through the first peers' relays")
    circuits = [f"{peer}/p2p-circuit" for peer in initial_peers]
    options = {
        "announce_maddrs": circuits,
        "reachable_via_relay": True,
        "use_relay": True,
        "use_auto_relay": True,
        "force_reachability": "private",
        "trusted_relays": list(initial_peers),
    }
    return Access("relayed", options, circuits)


def _direct(announce: Sequence[str]) -> dict[str, Any]:
    return {"announce_maddrs": list(announce) or None, "reachable_via_relay": False, "use_auto_relay": False}


async def _comes_directly(initial_peers: list[str], **place: Any) -> bool:
    """Whether at least half of the peers that tried could connect, as Petals' ``check_direct_reachability`` has it.

    That one asks one peer after the other, and would wait 10 s for each that has gone.
    """
    node = await DHTNode.create(initial_peers=initial_peers, client_mode=True, use_relay=False, **place)
    try:
        protocol = ReachabilityProtocol(probe=node.protocol.p2p)
        async with protocol.serve(node.protocol.p2p):
            # The first peers are there, as the swarm was entered by one; of the others nobody knows.
            first = {Multiaddr(address)["p2p"] for address in initial_peers}
            peers = sorted(await _known_peers(None, node), key=lambda peer: peer.to_base58() not in first)
            answers = await _ask(protocol, peers[:MOST_ASKED_FIRST], node.peer_id)
    finally:
        await node.shutdown()
    tried = [answer for answer in answers if answer is not None]
    return bool(tried) and 2 * sum(tried) >= len(tried)


def wait_for_relay(circuits: Sequence[str], peer_id: str, limit: float = RELAY_SECONDS) -> bool:
    """Whether a stranger reaches this server through a relay, within ``limit`` seconds."""
    end = time.monotonic() + limit
    while not is_relayed(circuits, peer_id):
        if time.monotonic() > end:
            return False
        time.sleep(RELAY_TRY_SECONDS)
    return True


def is_relayed(circuits: Sequence[str], peer_id: str) -> bool:
    """Whether a stranger reaches the peer through one of the relays now."""
    return bool(RemoteExpertWorker.run_coroutine(_comes_through([f"{way}/p2p/{peer_id}" for way in circuits])))


async def _comes_through(ways: list[str]) -> bool:
    try:
        stranger = await P2P.create(
            initial_peers=ways,
            dht_mode="client",
            no_listen=True,
            auto_nat=False,
            nat_port_map=False,
            startup_timeout=PROBE_SECONDS,
        )
    except P2PDaemonError:  # p2pd doesn't start where it reaches none of its first peers
        return False
    await stranger.shutdown()
    return True


class ReachWatch:
    """While it lasts, keeps the way peers come true in the status, and finds the first peers again after a cut.

    hivemind forgets peers that don't answer and asks the first ones only once, at its start: after a cut of the network
    both sides would go on alone.

    :param server: Petals' ``Server``
    :param on_return: called when the swarm was found again
    :param on_lost: called when nobody comes through the relays any more although the first peers answer; it watches no
        longer then
    """

    def __init__(
        self,
        server: Any,
        access: Access,
        initial_peers: Sequence[str],
        status: StatusFile,
        on_return: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._server = server
        self._access = access
        self._first = [(Multiaddr(address)["p2p"], address.rpartition("/p2p/")[0]) for address in initial_peers]
        self._status = status
        self._on_return = on_return
        self._on_lost = on_lost
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reach", daemon=True)

    def __enter__(self) -> None:
        if self._access.reachability != "local":
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()

    def _run(self) -> None:
        looked = time.monotonic()
        pause = RELAY_WATCH_SECONDS if self._access.circuits else 0.0
        while not self._end.wait(WATCH_SECONDS):
            returned = self._attempt(self._return)
            if self._status.status.stage == "online" and (returned or time.monotonic() - looked >= pause):
                self._attempt(self._look)
                looked = time.monotonic()
                if self._attempt(self._is_lost) and not self._end.is_set():
                    self._on_lost()
                    return

    @staticmethod
    def _attempt(work: Callable[[], bool | None]) -> bool:
        try:
            return bool(work())
        except Exception as error:  # the next one may do, and what it watches goes on
            logger.warning("How peers reach this server is not known: %s", str(error) or type(error).__name__)
            return False

    def _return(self) -> bool:
        """Connects to first peers that were forgotten; whether one is back."""
        if not self._first or not self._ask_dht(partial(_connect_again, first=self._first)):
            return False
        logger.info("Found the swarm again")
        self._on_return()
        return True

    def _is_lost(self) -> bool:
        """Whether only a new p2pd brings peers here again. An answer on its way proves that they still come."""
        status = self._status.status
        if not self._access.circuits or status.reachability != "unreachable" or status.active > 0:
            return False
        answers: bool = self._ask_dht(partial(_anybody_answers, peers=[name for name, _ in self._first]))
        if answers:
            self._look()  # a busy computer may have been too slow for the first
        return answers and self._status.status.reachability == "unreachable"

    def _ask_dht(self, work: Callable[..., Any]) -> Any:
        return self._server.dht.run_coroutine(work, return_future=True).result(ASK_SECONDS)

    def _look(self) -> None:
        found = self._find()
        if found != self._status.status.reachability and not self._end.is_set():
            logger.info("How peers reach this server: %s", found)
            self._status.update(reachability=found)

    def _find(self) -> Reachability:
        dht = self._server.dht
        if self._access.circuits:
            return "relayed" if is_relayed(self._access.circuits, str(dht.peer_id)) else "unreachable"
        peers = self._ask_dht(_known_peers)
        protocol = self._server.reachability_protocol
        if not _has_probe(protocol):
            return "unknown"  # there is nothing to ask by
        asking = _ask(protocol, sample(peers, min(len(peers), MOST_ASKED)), dht.peer_id)
        answers = asyncio.run_coroutine_threadsafe(asking, protocol._event_loop).result(ASK_SECONDS)
        if any(answers):
            return "direct"
        return "unreachable" if False in answers else "unknown"


async def _ask(protocol: Any, peers: Sequence[PeerID], own: PeerID) -> list[bool | None]:
    async def ask(peer: PeerID) -> bool | None:
        answer: bool | None = await protocol.call_check(remote_peer=peer, check_peer=own)
        for pause in ASK_AGAIN_SECONDS:
            if answer is not False:
                break
            await asyncio.sleep(pause)
            answer = await protocol.call_check(remote_peer=peer, check_peer=own)
        return answer

    # All at once: some may have gone without a word, and each of them takes all the time there is for an answer.
    return list(await asyncio.gather(*(ask(peer) for peer in peers)))


async def _known_peers(_dht: Any, node: Any) -> list[PeerID]:
    return list(node.protocol.routing_table.peer_id_to_uid)


async def _anybody_answers(_dht: Any, node: Any, peers: Sequence[str]) -> bool:
    pings = (node.protocol.call_ping(PeerID.from_base58(peer)) for peer in peers)
    return any(answer is not None for answer in await asyncio.gather(*pings))


async def _connect_again(_dht: Any, node: Any, first: list[tuple[str, str]]) -> bool:
    known = set(await _known_peers(_dht, node))
    found = False
    for name, address in first:
        peer = PeerID.from_base58(name)
        if peer in known:
            continue
        try:
            await node.p2p._client.connect(peer, [Multiaddr(address)])
        except ControlFailure:
            continue
        found |= await node.protocol.call_ping(peer) is not None
    return found
