"""What the peers of a swarm hold of a conversation, kept from one question to the next."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import closing, suppress
from typing import Any

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from hivemind.moe.client.remote_expert_worker import RemoteExpertWorker
from hivemind.p2p.p2p_daemon import P2P
from hivemind.p2p.p2p_daemon_bindings.utils import P2PHandlerError
from petals.client.inference_session import InferenceSession, _ServerInferenceSession

from torbiz.bounded import run_bounded
from torbiz.engines.base import Hop


def _close_without_waiting(session: Any) -> None:
    if session._outputs_stream is not None:
        RemoteExpertWorker.run_coroutine(session._aclose_stream(), return_future=True)


# Petals waits in these destructors for work of its event loop's thread. Whenever it is that very thread that collects a
# session, both wait for ever, and with them every later question.
_ServerInferenceSession.__del__ = _close_without_waiting
InferenceSession.__del__ = lambda _: None


async def _open_stream(p2p: Any, peer: Any, name: str, requests: Any, output_type: Any) -> AsyncIterator[Any]:
    _, reader, writer = await p2p.call_binary_stream_handler(peer, name)

    async def write() -> None:
        async for request in requests:
            await P2P.send_protobuf(request, writer)
        await P2P.send_protobuf(P2P.END_OF_STREAM, writer)

    async def read() -> AsyncIterator[Any]:
        with closing(writer):
            try:
                while True:
                    try:
                        response, failure = await P2P.receive_protobuf(output_type, reader)
                    except asyncio.IncompleteReadError:
                        return
                    if failure is not None:
                        raise P2PHandlerError(f"Failed to call handler `{name}` at {peer}: {failure.message}")
                    yield response
            finally:
                writing.cancel()

    writing = asyncio.create_task(write())
    return read()


# When a peer closes a stream, hivemind 1.1.12 first waits for the last request, and Petals has none to give before it
# got an answer: a peer that died would be noticed by REQUEST_TIMEOUT only. This is its method without that wait.
P2P._iterate_protobuf_stream_handler = _open_stream


class _Session(InferenceSession):  # type: ignore[misc]
    """Petals' session, which bans a peer that can't be called as Petals bans one that fails.

    Petals 2.2.0 bans it by the session that it has at a peer, and here there is none yet. So it would call the same
    peer at each attempt: one that has died and seems, by the last pings, to be nearer than another that is back.
    """

    def _enter_server_sessions(self, chosen_spans: Sequence[Any]) -> list[Any]:
        # Petals asks any peer for this at first, and bans that one itself: it must not be taken for a failure of ours.
        _ = self._sequence_manager.rpc_info
        sessions: list[Any] = []
        try:
            for span in chosen_spans:
                sessions += super()._enter_server_sessions([span])
        except BaseException:
            self._sequence_manager.on_request_failure(chosen_spans[len(sessions)].peer_id)
            self._exit_server_sessions(sessions)
            raise
        return sessions


MAX_KEPT = 2
"""Conversations whose sessions are kept: they are memory of other people's computers."""
KEEP_SECONDS = 120.0
"""How long one is kept for the next question. Petals' servers close one that is idle for 300 s."""
MAX_AGE = 25 * 60.0
"""Petals' servers close every session after 30 minutes."""
CLOSE_TIMEOUT = 3.0


class Chain:
    """A conversation's tokens, and the inference session in which peers hold the first of them.

    Petals 2.2.0 can't take tokens back: neither its client nor its protocol knows another position than the end.
    """

    def __init__(self, tokens: Sequence[int], prompt_text: str) -> None:
        self.tokens = list(tokens)
        """All that are known. The last one is fed when the next is asked for."""
        self.prompt_text = prompt_text
        self.prompt_length = len(self.tokens)
        self.session: Any = None
        self.length = 0
        """Tokens for which the peers of the session have reserved memory."""
        self.route: tuple[Hop, ...] = ()
        self._opened = 0.0

    @property
    def fed(self) -> int:
        """How many of the tokens the peers hold."""
        return 0 if self.session is None else int(self.session.position)

    @property
    def answer(self) -> list[int]:
        """The tokens that were made since the last prompt."""
        return self.tokens[self.prompt_length :]

    @property
    def old(self) -> bool:
        return time.monotonic() - self._opened > MAX_AGE

    def go_on(self, tokens: Sequence[int], prompt_text: str) -> None:
        """Takes up what a prompt adds."""
        self.tokens.extend(tokens)
        self.prompt_text = prompt_text
        self.prompt_length = len(self.tokens)

    def open(self, blocks: Any, length: int) -> None:
        """Starts a session; peers are asked with its first step only."""
        self.session = _Session(blocks, max_length=length)
        self.length = length
        self._opened = time.monotonic()

    def note_route(self) -> None:
        """Remembers who serves the session now."""
        spans = [(str(server.span.peer_id), server.span) for server in self.session._server_sessions]
        self.route = tuple(Hop(peer, span.start, span.end - 1) for peer, span in spans)

    def close(self) -> None:
        """Lets the peers have their memory back."""
        session, self.session = self.session, None
        if session is not None:
            # Closing waits for each peer's goodbye, and a peer that hangs never says it.
            with suppress(Exception):
                run_bounded(session.close, CLOSE_TIMEOUT)


class KeptChains:
    """The chains of the last conversations, each for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Chain, threading.Timer]] = OrderedDict()

    def __contains__(self, conversation: str | None) -> bool:
        return conversation in self._kept

    def take(self, conversation: str) -> Chain | None:
        """A conversation's chain, which is then the caller's."""
        with self._lock:
            chain, timer = self._kept.pop(conversation, (None, None))
        if timer is not None:
            timer.cancel()
        return chain

    def keep(self, conversation: str, chain: Chain) -> None:
        """Takes a chain, and lets go of the one that is longest unused where there are too many."""
        timer = threading.Timer(KEEP_SECONDS, self._expire, (conversation,))
        timer.daemon = True
        with self._lock:
            self._kept[conversation] = (chain, timer)
            oldest = next(iter(self._kept)) if len(self._kept) > MAX_KEPT else None
        timer.start()
        if oldest is not None and (over := self.take(oldest)):
            over.close()

    def _expire(self, conversation: str) -> None:
        with self._lock:
            chain, timer = self._kept.get(conversation, (None, None))
            if chain is None or timer is not threading.current_thread():
                return
            del self._kept[conversation]
        chain.close()

    def close(self) -> None:
        """Lets go of all."""
        for conversation in list(self._kept):
            if chain := self.take(conversation):
                chain.close()
