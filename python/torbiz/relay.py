"""Relays connections to servers that peers can't connect to themselves, as those behind a router.

This is the hop side of libp2p's circuit relay (https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md), in
the place of p2pd's own. hivemind means to lift that one's limits (``-relayDataLimit``, ``-relayTimeLimit``), but p2pd
v0.5.0.hivemind1 starts another besides, with libp2p's defaults (``Daemon.EnableRelayV2``), and the one that comes last,
mostly that, is asked: it resets a connection after 128 KiB either way, or two minutes. One answer takes far more.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import DecodeError, Message
from hivemind.p2p import P2P, PeerID
from hivemind.p2p.p2p_daemon_bindings.utils import P2PDaemonError, read_unsigned_varint, write_pbmsg

logger = logging.getLogger("torbiz.relay")

HOP = "/libp2p/circuit/relay/0.2.0/hop"
"""Spoken with those who ask for a connection, or to be connected to."""
STOP = "/libp2p/circuit/relay/0.2.0/stop"
"""Spoken with those who are connected to."""

MESSAGE_BITS = 12
"""No message is longer than 4 KiB, in libp2p's own relay neither."""
ANSWER_SECONDS = 30.0
RESERVATION_SECONDS = 3600
"""As libp2p has it; its clients renew theirs in time."""
CIRCUITS = 256
CIRCUITS_EACH = 64
"""Connections relayed at a time, in all and for one peer. Each takes two open streams and twice ``CHUNK`` of memory."""
CHUNK = 1 << 16
"""Bytes."""

GREETING_BYTES = 1 << 14
"""What may pass, both ways together, while two peers greet each other over a new connection."""
ANSWER_BYTES = 1 << 12
"""More than peers say to each other within ``ANSWER_WINDOW_SECONDS`` that only look whether the other is there. A token
of the smallest model takes 5 KB, there and back."""
ANSWER_WINDOW_SECONDS = 10.0
IDLE_SECONDS = 30.0
"""An answer of which nothing passed for so long has ended."""

RESERVE, CONNECT, HOP_STATUS = 0, 1, 2
STOP_CONNECT, STOP_STATUS = 0, 1
OK, BUSY, DENIED, FAILED, UNKNOWN_PEER, MALFORMED, UNEXPECTED = 100, 201, 202, 203, 204, 400, 401

_SCHEMA = """
name: "torbiz/circuit.proto" package: "torbiz.circuit"
message_type { name: "Peer"
  field { name: "id" number: 1 label: LABEL_OPTIONAL type: TYPE_BYTES } }
message_type { name: "Reservation"
  field { name: "expire" number: 1 label: LABEL_OPTIONAL type: TYPE_UINT64 } }
message_type { name: "HopMessage"
  field { name: "type" number: 1 label: LABEL_OPTIONAL type: TYPE_UINT32 }
  field { name: "peer" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: "Peer" }
  field { name: "reservation" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: "Reservation" }
  field { name: "status" number: 5 label: LABEL_OPTIONAL type: TYPE_UINT32 } }
message_type { name: "StopMessage"
  field { name: "type" number: 1 label: LABEL_OPTIONAL type: TYPE_UINT32 }
  field { name: "peer" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: "Peer" }
  field { name: "status" number: 4 label: LABEL_OPTIONAL type: TYPE_UINT32 } }
"""
"""What of the specification's messages is used here. A message without a limit says that there is none."""

_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_pool = descriptor_pool.DescriptorPool()
_pool.Add(text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto()))
HopMessage, StopMessage = (
    message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"torbiz.circuit.{name}"))
    for name in ("HopMessage", "StopMessage")
)


class Relay:
    """While it lasts, a DHT's p2pd relays without a limit to how much and how long.

    It remembers no reservations: whoever is connected can be connected to. Its number is bounded by p2pd, and that of
    the connections relayed by ``CIRCUITS``.

    :param is_closing: whether answers over connections that begin now aren't waited for any more. They are relayed all
        the same: by such a connection a server finds out whether it can still be reached.
    """

    def __init__(self, dht: Any, is_closing: Callable[[], bool] = lambda: False) -> None:
        self._dht = dht
        self._is_closing = is_closing
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._p2p: Any = None
        self._circuits: Counter[PeerID] = Counter()
        """How many each peer has; both ends of each count."""
        self._traffic: set[_Traffic] = set()

    def __enter__(self) -> None:
        self._thread.start()
        try:
            daemon = self._dht.run_coroutine(_address_of_daemon, return_future=True).result(ANSWER_SECONDS)
            asyncio.run_coroutine_threadsafe(self._open(daemon), self._loop).result(ANSWER_SECONDS)
        except Exception as error:  # what is served needs no relay
            logger.warning("Nothing is relayed for others: %s", str(error) or type(error).__name__)

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # p2pd may have ended already
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(ANSWER_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def answers(self) -> int:
        """Connections by which an answer of others is on its way."""
        now = time.monotonic()
        return sum(traffic.idle_at > now for traffic in self._traffic.copy())

    async def _open(self, daemon: Any) -> None:
        self._p2p = await P2P.replicate(daemon)
        await self._p2p.add_binary_stream_handler(HOP, self._serve)

    async def _close(self) -> None:
        try:
            await self._p2p.remove_binary_stream_handler(HOP)
        finally:
            await self._p2p.shutdown()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, info: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one stream of the hop protocol."""
        with closing(writer), suppress(OSError, EOFError):  # whoever asked has gone, or says nothing
            try:
                request = await asyncio.wait_for(_read(reader, HopMessage()), ANSWER_SECONDS)
            except (DecodeError, ValueError):
                await _say(writer, MALFORMED)
                return
            if "p2p-circuit" in str(info.addr):
                await _say(writer, DENIED)  # nothing is relayed twice
            elif request.type == RESERVE:
                expire = int(time.time()) + RESERVATION_SECONDS
                await write_pbmsg(writer, HopMessage(type=HOP_STATUS, status=OK, reservation={"expire": expire}))
            elif request.type == CONNECT:
                await self._connect(info.peer_id, PeerID(request.peer.id), reader, writer)
            else:
                await _say(writer, UNEXPECTED)

    async def _connect(
        self, source: PeerID, goal: PeerID, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._circuits.total() >= 2 * CIRCUITS or max(self._circuits[source], self._circuits[goal]) >= CIRCUITS_EACH:
            return await _say(writer, BUSY)
        self._circuits.update((source, goal))
        try:
            try:
                # Who isn't connected would be looked for.
                if goal not in {peer.peer_id for peer in await self._p2p.list_peers()}:
                    return await _say(writer, UNKNOWN_PEER)
                further = await asyncio.wait_for(self._reach(source, goal), ANSWER_SECONDS)
            except (P2PDaemonError, DecodeError, ValueError, OSError, EOFError):
                return await _say(writer, FAILED)
            traffic = _Traffic()
            if not self._is_closing():
                self._traffic.add(traffic)
            try:
                with closing(further[1]):
                    await _say(writer, OK)
                    await _join((reader, writer), further, traffic)
            finally:
                self._traffic.discard(traffic)
        finally:
            self._circuits.subtract((source, goal))
            self._circuits += Counter()  # forgets those who have none

    async def _reach(self, source: PeerID, goal: PeerID) -> _Stream:
        """Asks a peer to take a connection.

        :raises ValueError: when it won't
        """
        _, reader, writer = await self._p2p.call_binary_stream_handler(goal, STOP)
        try:
            await write_pbmsg(writer, StopMessage(type=STOP_CONNECT, peer={"id": source.to_bytes()}))
            answer = await _read(reader, StopMessage())
            if (answer.type, answer.status) != (STOP_STATUS, OK):
                raise ValueError(answer.status)
        except BaseException:
            writer.close()
            raise
        return reader, writer


class _Traffic:
    """What passes through one connection, to tell an answer from peers that only look whether the other is there."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._passed = -GREETING_BYTES
        self.idle_at = 0.0
        """``time.monotonic()`` from which no answer is on its way."""

    def add(self, count: int) -> None:
        """:param count: bytes, either way"""
        now = time.monotonic()
        if now - self._since > ANSWER_WINDOW_SECONDS:
            self._since, self._passed = now, 0
        self._passed += count
        if self._passed >= ANSWER_BYTES:
            self.idle_at = now + IDLE_SECONDS


async def _address_of_daemon(_dht: Any, node: Any) -> Any:
    return node.p2p.daemon_listen_maddr


async def _read(reader: asyncio.StreamReader, message: Any) -> Any:
    """:raises ValueError: of what is longer than a message; protobuf's ``DecodeError`` of what is none"""
    message.ParseFromString(await reader.readexactly(await read_unsigned_varint(reader, MESSAGE_BITS)))
    return message


async def _say(writer: asyncio.StreamWriter, status: int) -> None:
    answer: Message = HopMessage(type=HOP_STATUS, status=status)
    await write_pbmsg(writer, answer)


async def _join(one: _Stream, other: _Stream, traffic: _Traffic) -> None:
    """Hands on what comes, either way, until one end closes."""
    pairs = (one[0], other[1]), (other[0], one[1])
    ways = [asyncio.create_task(_hand_on(*pair, traffic)) for pair in pairs]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, traffic: _Traffic) -> None:
    while part := await reader.read(CHUNK):
        traffic.add(len(part))
        writer.write(part)
        await writer.drain()
