"""Counts what Petals' handlers serve, and brings it into status and contribution while a seeder runs."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from torbiz.clock import ClockSteps
from torbiz.contribution import Contribution
from torbiz.counters import Counters, Counts, Session, SessionRefused
from torbiz.finishing import Finish
from torbiz.status import HEARTBEAT_SECONDS, Notice, StatusFile, time_text

logger = logging.getLogger("torbiz.serving")

POLL_SECONDS = 1.0
FROZEN_SECONDS = 30.0
"""Whoever didn't run for so long was paused or asleep, and served nobody."""
NEWS_SECONDS = 600.0
"""For how long it is told that a session found no memory."""
SLOW_TOKENS_PER_SECOND = 1.0
"""The speed that Petals' authors call enough for interactive use (Borzunov et al., "Petals", ACL 2023: BLOOM-176B on
consumers' GPUs at about one step a second). A computer is slow when a model whose every block it served were slower."""

MOST_REQUEST_BYTES = 128 * 1024 * 1024
"""What one handler holds of requests outside of sessions, while they come and wait. Petals counts a request's tokens
only when it is whole. Its own client sends 1024 tokens at most, with gradients 117 MB for the widest model (BLOOM)."""
MOST_PUSHES = 8
"""What other servers push into a session is kept until its step; Petals' own send one a step."""

_session: ContextVar[Session] = ContextVar("session")
"""The session that a handler's task serves: Petals passes nothing from its memory to its steps."""


class Room:
    """How much more a handler takes of requests. Each of the forked handlers has its own."""

    def __init__(self, size: int) -> None:
        self._free = size

    @contextmanager
    def holding(self) -> Iterator[Callable[[Any], None]]:
        """Gives what takes room for a message, until the end of the block.

        That raises SessionRefused where too little is left.
        """
        held = 0

        def hold(message: Any) -> None:
            nonlocal held
            size = message.ByteSize()
            if size > self._free:
                raise SessionRefused("This server has no room for so much at once. Ask another peer.")
            self._free -= size
            held += size

        try:
            yield hold
        finally:
            self._free += held


def bound_messages(p2p_class: Any) -> None:
    """Lets hivemind's ``P2P`` refuse what no handler has room for: it takes as much as the sender says will come."""

    async def receive_bounded(reader: asyncio.StreamReader) -> bytes:
        length = int.from_bytes(await reader.readexactly(p2p_class.HEADER_LEN), p2p_class.BYTEORDER)
        if length > MOST_REQUEST_BYTES:
            raise SessionRefused("This server takes no message that large.")
        return await reader.readexactly(length)

    p2p_class.receive_raw_data = staticmethod(receive_bounded)


class _Pushes(asyncio.Queue[Any]):
    """What was pushed into a session. The client sends the same itself, so nothing is lost with what is dropped."""

    def put_nowait(self, item: Any) -> None:
        if item is None or self.qsize() < MOST_PUSHES:  # None is Petals' mark of the end
            super().put_nowait(item)


def watch_sessions(handler_class: Any, counters: Counters, finish: Finish) -> None:
    """Counts and bounds what Petals' ``TransformerConnectionHandler`` (2.2.0.post1) serves.

    A session lives as long as its memory in the attention cache. While ``finish`` is wanted no new one gets any. Who
    answers uses nothing else; who trains, or wants all the logits of a text, asks without a session (``rpc_forward``,
    ``rpc_backward``): that is refused then, too, and what is on its way holds a finish up.
    """
    from petals.server.memory_cache import AllocationFailed

    allocate = handler_class._allocate_cache
    iterate_steps = handler_class._iterate_inference_steps
    manage = handler_class._managed_session
    room = Room(MOST_REQUEST_BYTES)

    @asynccontextmanager
    async def allocate_and_count(handler: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        finish.check()
        try:
            async with allocate(handler, *args, **kwargs) as handles:
                finish.check()  # it may have waited long for its memory
                with counters.session(handler._handler_index) as session:
                    _session.set(session)
                    yield handles
        except AllocationFailed:
            counters.note_out_of_memory(handler._handler_index)
            raise

    async def iterate_and_count(handler: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        session = _session.get()
        async for request, metadata in iterate_steps(handler, *args, **kwargs):
            batch, length = request.tensors[0].size[:2]
            with session.step(batch * length):
                yield request, metadata

    @contextmanager
    def manage_bounded(handler: Any, session_id: str) -> Iterator[None]:
        with manage(handler, session_id):
            handler._session_queues[session_id] = _Pushes()
            yield

    def counting(name: str) -> Any:
        answer = getattr(handler_class, name)

        # hivemind finds a message's type by the name of its parameter.
        @functools.wraps(answer)
        async def answer_and_count(self: Any, request: Any, context: Any) -> Any:
            finish.check()
            with counters.request(self._handler_index), room.holding() as hold:
                hold(request)
                return await answer(self, request, context)

        return answer_and_count

    def counting_stream(name: str) -> Any:
        answer = getattr(handler_class, name)

        @functools.wraps(answer)
        async def answer_and_count(self: Any, requests: Any, context: Any) -> AsyncIterator[Any]:
            finish.check()
            with counters.request(self._handler_index), room.holding() as hold:

                async def held() -> AsyncIterator[Any]:
                    async for request in requests:
                        hold(request)
                        yield request

                async with aclosing(answer(self, held(), context)) as parts:
                    async for part in parts:
                        yield part

        return answer_and_count

    for name in ("rpc_forward", "rpc_backward"):
        setattr(handler_class, name, counting(name))
        setattr(handler_class, f"{name}_stream", counting_stream(f"{name}_stream"))
    handler_class._allocate_cache = allocate_and_count
    handler_class._iterate_inference_steps = iterate_and_count
    handler_class._managed_session = manage_bounded
    logging.getLogger("hivemind.p2p.p2p_daemon").addFilter(_without_traceback_of_refusals)


def _without_traceback_of_refusals(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], SessionRefused):
        record.msg, record.args, record.exc_info = "A session was refused: %s", (record.exc_info[1],), None
    return True


def is_slow(inference_rps: float | None, model_blocks: int) -> bool:
    """Whether this computer would slow a swarm down.

    :param inference_rps: Petals' own figure: single tokens a second through one block
    :param model_blocks: through how many a token goes
    """
    return inference_rps is not None and inference_rps / model_blocks < SLOW_TOKENS_PER_SECOND


class ServingReport:
    """While it lasts, brings the counters into the status and the contribution, and renews the status' time."""

    def __init__(self, counters: Counters, status: StatusFile, contribution: Contribution) -> None:
        self._counters = counters
        self._status = status
        self._contribution = contribution
        self._contributed = counters.read()
        self.is_slow = False
        self.has_moved = False
        self.clock_differs = False
        self.on_clock_set: Callable[[], None] = lambda: None
        self._steps = ClockSteps()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)

    def __enter__(self) -> ServingReport:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._look(0.0)
        self._contribution.save()

    def _run(self) -> None:
        looked = time.monotonic()
        while not self._end.wait(POLL_SECONDS):
            before, looked = looked, time.monotonic()
            self._look(looked - before)

    def _look(self, seconds: float) -> None:
        if step := self._steps.look():
            logger.info("This computer's clock was set by %+.1f s, or it slept", step)
            with suppress(OSError, ValueError, OverflowError):  # the latter two of years before 1 and after 9999
                self._status.move_times(step)
            self.on_clock_set()
        counts, status = self._counters.read(), self._status.status
        told: dict[str, Any] = {
            "sessions": counts.sessions,
            "active": counts.active,
            "tokens": counts.tokens,
            "served": counts.speed and round(counts.speed, 1),
            "lastActivity": _time_of(counts.last_step) if counts.tokens != status.tokens else status.lastActivity,
            "notices": self._notices(counts),
        }
        is_news = any(getattr(status, name) != value for name, value in told.items())
        if is_news or self._status.age >= HEARTBEAT_SECONDS:
            with suppress(OSError):
                self._status.update(**told)

        is_online = status.stage in ("online", "finishing") and seconds < FROZEN_SECONDS
        self._contribution.add(
            sessions=counts.opened - self._contributed.opened,
            tokens=counts.tokens - self._contributed.tokens,
            online_seconds=seconds if is_online else 0.0,
            blocks=status.blocks.loaded if status.blocks else 0,
        )
        self._contributed = counts

    def _notices(self, counts: Counts) -> list[Notice]:
        full = counts.out_of_memory
        reachability = self._status.status.reachability
        notices: dict[Notice, bool] = {
            "unreachable": reachability == "unreachable",
            "relayed": reachability == "relayed",
            "slow": self.is_slow,
            "out-of-memory": full is not None and time.monotonic() - full < NEWS_SECONDS,
            "moved": self.has_moved,
            "clock": self.clock_differs,
        }
        return [notice for notice, holds in notices.items() if holds]


def _time_of(monotonic: float | None) -> str | None:
    """A time of ``time.monotonic()`` as the status tells times."""
    return None if monotonic is None else time_text(time.time() - (time.monotonic() - monotonic))
