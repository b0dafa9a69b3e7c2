"""Runs generations one at a time, in a thread each, and hands their pieces to the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Protocol

from torbiz.engines.base import AskError, Cancelled, Delta, Finished, Question, Stuck
from torbiz.processes import run_bounded

logger = logging.getLogger("torbiz.ask_jobs")

MAX_WAITING = 8
"""Questions that may wait behind the one being answered."""
STALL_SECONDS = 110.0
"""Longest wait for the next token, whatever an engine does. A client waits longer, so that it learns the reason."""
CANCEL_SECONDS = 2.0
"""How long a cancelled generation may take to notice. One that hangs in a peer's hands is given up with its engine."""
DISCARD_SECONDS = 20.0
"""How long giving up an engine may take."""


class Backend(Protocol):
    """What answers questions. Its methods run in threads, never two ``answer`` at once."""

    def answer(self, question: Question, cancelled: threading.Event) -> Iterator[Delta | Finished]: ...

    def discard(self) -> None:
        """Gives up what is loaded, even while ``answer`` hangs in it.

        :raises Stuck: when no later answer can be expected of this process
        """
        ...


class Busy(AskError):
    """Too many questions wait already."""

    def __init__(self) -> None:
        super().__init__("ask-failed", f"{MAX_WAITING} questions are waiting already: try again in a while.")


class Generations:
    """One generation at a time; others wait in line.

    :param on_stuck: called when the engine is stuck or can't be given up: it would hold every later question
    """

    def __init__(self, backend: Backend, on_stuck: Callable[[], None]) -> None:
        self._backend = backend
        self._on_stuck = on_stuck
        self._turn = asyncio.Lock()
        self._present = 0
        self._idle_since = time.monotonic()

    @property
    def busy(self) -> bool:
        return self._present > 0

    @property
    def idle_seconds(self) -> float:
        """Since the last question ended; 0 while there is one."""
        return 0.0 if self.busy else time.monotonic() - self._idle_since

    @asynccontextmanager
    async def open(self, question: Question) -> AsyncIterator[AsyncIterator[Delta | Finished]]:
        """The answer's pieces. Leaving the block, for any reason, cancels the generation.

        :raises Busy: when the line is full
        """
        if self._present > MAX_WAITING:
            raise Busy
        self._present += 1
        try:
            async with self._turn:
                running = _Running(self._backend, question, self._on_stuck)
                try:
                    yield running.pieces()
                finally:
                    # Shielded: the next question must not start before this one has ended or its engine is given up.
                    await asyncio.shield(running.end())
        finally:
            self._present -= 1
            self._idle_since = time.monotonic()


class _Running:
    """A generation in its thread."""

    def __init__(self, backend: Backend, question: Question, on_stuck: Callable[[], None]) -> None:
        self._backend = backend
        self._question = question
        self._on_stuck = on_stuck
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Delta | Finished | AskError | None] = asyncio.Queue()
        self._cancelled = threading.Event()
        self._ended = asyncio.Event()
        threading.Thread(target=self._run, daemon=True, name="generation").start()

    def _run(self) -> None:
        last: AskError | None = None
        try:
            for piece in self._backend.answer(self._question, self._cancelled):
                self._tell(piece)
        except Cancelled:
            pass
        except AskError as error:
            logger.warning("[%s] %s", error.code, error)
            last = error
            if isinstance(error, Stuck):
                self._call(self._on_stuck)
        except Exception as error:
            # Only where it happened: the text of an unforeseen error could quote the question.
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("Not expected: %s\n%s", type(error).__name__, frames)
            last = AskError("ask-failed", f"The engine failed ({type(error).__name__}).")
        finally:
            self._tell(last)
            self._call(self._ended.set)

    def _tell(self, piece: Delta | Finished | AskError | None) -> None:
        self._call(lambda: self._queue.put_nowait(piece))

    def _call(self, function: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)  # type: ignore[arg-type]

    async def pieces(self) -> AsyncIterator[Delta | Finished]:
        """:raises AskError: the engine's, or ask-timeout when nothing comes"""
        while True:
            try:
                piece = await asyncio.wait_for(self._queue.get(), STALL_SECONDS)
            except TimeoutError:
                message = f"Nothing came from the swarm for {STALL_SECONDS:.0f} seconds."
                raise AskError("ask-timeout", message) from None
            if isinstance(piece, AskError):
                raise piece
            if piece is None:
                return
            yield piece

    async def end(self) -> None:
        self._cancelled.set()
        try:
            await asyncio.wait_for(self._ended.wait(), CANCEL_SECONDS)
            return
        except TimeoutError:
            logger.warning("A cancelled generation hangs: its engine is given up")
        try:
            await asyncio.to_thread(run_bounded, self._backend.discard, DISCARD_SECONDS)
        except (Stuck, TimeoutError):
            self._on_stuck()
