"""What is served, counted across the handler processes that Petals forks.

Each handler writes into a slot of its own in shared memory, and only the seeder's own process reads: there is no lock
that a killed handler could take with it. Its sessions end with it, and what it had served stays counted.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray

import psutil

IDLE_SECONDS = 10.0
"""A session without a step for so long has had its answer: clients keep theirs open for the next question. It is longer
where the steps before came in longer pauses: others, who have the other blocks, can be slow."""
PAUSES = 3
"""So many of a session's longest pauses."""
PROMPT_SECONDS = 60.0
"""After a prompt, which the others still read, and of which nothing is known yet but that an answer follows."""
SESSIONS_A_HANDLER = 256
"""Far more than the attention cache has room for; a client that opens empty ones without end must not fill memory."""

_FREE, _COMPUTING = 0.0, -1.0
"""States of a session besides the time until which the next step is waited for."""


class SessionRefused(Exception):
    """A session that isn't taken. The text is what its client gets to read; it then asks another peer."""


class _Slot(ctypes.Structure):
    """What one handler serves. Times are ``time.monotonic()``, which is the same clock in all processes; 0 is never."""

    _fields_ = (
        ("pid", ctypes.c_int64),
        ("opened", ctypes.c_int64),
        ("tokens", ctypes.c_int64),
        ("single_steps", ctypes.c_int64),
        ("single_seconds", ctypes.c_double),
        ("last_step", ctypes.c_double),
        ("out_of_memory", ctypes.c_double),
        ("sessions", ctypes.c_double * SESSIONS_A_HANDLER),
    )


@dataclass(frozen=True)
class Counts:
    """What was served since the start, and what is being served now."""

    sessions: int
    """Open ones, and requests outside of sessions that are being answered."""
    active: int
    """Answers on their way: of these, where a step is computed or the next one is still to be expected; and of others,
    which only pass through."""
    opened: int
    """Sessions in all."""
    tokens: int
    """Tokens in all, prompts included."""
    speed: float | None
    """Tokens a second that one session got, as measured over all steps of one token."""
    last_step: float | None
    """``time.monotonic()`` of the last step's end."""
    out_of_memory: float | None
    """``time.monotonic()`` of the last session that found no room in the attention cache."""


class Session:
    """A session's steps, as its handler tells them."""

    def __init__(self, slot: _Slot, number: int) -> None:
        self._slot = slot
        self._number = number
        self._open = True
        self._ended: float | None = None
        self._longest_pause = 0.0
        self._note(time.monotonic() + IDLE_SECONDS)

    @contextmanager
    def step(self, tokens: int) -> Iterator[None]:
        """While a step is computed. What fails or is cut off served nothing."""
        began = time.monotonic()
        if self._ended is not None and tokens == 1:
            self._longest_pause = max(self._longest_pause, began - self._ended)
        self._note(_COMPUTING)
        try:
            yield
        finally:
            now = self._ended = time.monotonic()
            patience = PROMPT_SECONDS if tokens > 1 else IDLE_SECONDS
            self._note(now + max(patience, PAUSES * self._longest_pause))
            self._slot.last_step = now
        self._slot.tokens += tokens
        if tokens == 1:
            self._slot.single_steps += 1
            self._slot.single_seconds += now - began

    def close(self) -> None:
        """Gives its place to another one. A step that is still being cleaned up then notes nothing."""
        self._note(_FREE)
        self._open = False

    def _note(self, state: float) -> None:
        if self._open:
            self._slot.sessions[self._number] = state


class Counters:
    """Counts of all handlers. Make it before they are forked.

    :param handlers: how many there are
    """

    def __init__(self, handlers: int) -> None:
        self._slots = RawArray(_Slot, handlers)
        self.relayed: Callable[[], int] = lambda: 0
        """How many answers of others pass through this server: they break off with it, as its own do."""

    @contextmanager
    def session(self, handler: int) -> Iterator[Session]:
        """While a session lives; to be called in the process of the handler.

        :raises SessionRefused: when the handler has ``SESSIONS_A_HANDLER`` of them
        """
        with self._place(handler) as session:
            self._own(handler).opened += 1
            yield session

    @contextmanager
    def request(self, handler: int) -> Iterator[None]:
        """While a request outside of sessions is answered: as a session with one step, but not among the opened."""
        with self._place(handler) as session, session.step(0):
            yield

    @contextmanager
    def _place(self, handler: int) -> Iterator[Session]:
        slot = self._own(handler)
        free = next((number for number, state in enumerate(slot.sessions) if state == _FREE), None)
        if free is None:
            raise SessionRefused("This server has too many sessions already. Ask another peer.")
        session = Session(slot, free)
        try:
            yield session
        finally:
            session.close()

    def note_out_of_memory(self, handler: int) -> None:
        """A session found no room in the attention cache; to be called in the process of the handler."""
        self._own(handler).out_of_memory = time.monotonic()

    def _own(self, handler: int) -> _Slot:
        """A handler's slot. One that takes the place of another begins without its sessions."""
        slot: _Slot = self._slots[handler]
        if slot.pid != os.getpid():
            slot.sessions[:] = [_FREE] * SESSIONS_A_HANDLER
            slot.pid = os.getpid()
        return slot

    def read(self) -> Counts:
        """All handlers together, at this moment."""
        now = time.monotonic()
        states = [
            state
            for slot in self._slots
            if any(slot.sessions) and _lives(slot.pid)
            for state in slot.sessions
            if state != _FREE
        ]
        seconds = sum(slot.single_seconds for slot in self._slots)
        return Counts(
            sessions=len(states),
            active=sum(state == _COMPUTING or state > now for state in states) + self.relayed(),
            opened=sum(slot.opened for slot in self._slots),
            tokens=sum(slot.tokens for slot in self._slots),
            speed=sum(slot.single_steps for slot in self._slots) / seconds if seconds > 0 else None,
            last_step=max(slot.last_step for slot in self._slots) or None,
            out_of_memory=max(slot.out_of_memory for slot in self._slots) or None,
        )


def _lives(pid: int) -> bool:
    """Whether a process still runs; one that was killed stays in the list until its parent asks how it ended."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False
