"""Finish: no new sessions, peers are told at once, answers on their way come to their end, within a limit."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from types import FrameType

from torbiz.counters import Counters, SessionRefused
from torbiz.status import StatusFile, time_text

logger = logging.getLogger("torbiz.finishing")

FINISH_SECONDS = 300
"""How long answers may take to come to their end, unless told otherwise."""
LIMIT_FILE = "finish-seconds"
"""In the cache folder: another limit, left there for the next finish only. A signal can't carry one."""
POLL_SECONDS = 0.25
REFUSAL = "This server finishes its sessions and takes no new ones. Ask another peer."
"""What peers hear that come all the same. They know it by these very words (``torbiz.engines.swarm``), also those of
other versions."""


class Finish:
    """Takes the wish (SIGUSR1) and sees it through.

    A handler of a signal may run at any moment of the main thread, so it only notes the wish; a thread calls
    ``stop_serving``, and the main thread calls ``wait`` once Petals has left its loop for that.

    :param seconds: the limit, unless ``LIMIT_FILE`` in ``folder`` says otherwise
    """

    def __init__(self, seconds: int, folder: Path, status: StatusFile, counters: Counters) -> None:
        self._seconds = seconds
        self._limit_file = folder / LIMIT_FILE
        self._limit_file.unlink(missing_ok=True)  # of a finish that never came to read it
        self._status = status
        self._counters = counters
        self._wanted = RawValue("b", 0)  # shared with Petals' handlers, which are forked
        self.stop_serving: Callable[[], None] = lambda: None

    @property
    def wanted(self) -> bool:
        """Whether it was asked for. True in all processes at once."""
        return bool(self._wanted.value)

    def install(self) -> None:
        """Listens to SIGUSR1. Forked children ignore it."""
        signal.signal(signal.SIGUSR1, self._handle)
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN))

    def check(self) -> None:
        """To be called for a new session, and for a request outside of sessions.

        :raises SessionRefused: when it can't be taken any more
        """
        if self.wanted:
            raise SessionRefused(REFUSAL)

    def wait(self, announce_offline: Callable[[], None]) -> None:
        """Until no answer is on its way, or the limit is over."""
        seconds = self._limit()
        by = time_text(time.time() + seconds)
        active = self._counters.read().active
        logger.info("Finishing: answers on their way: %d; at most until %s", active, by)
        self._status.update(stage="finishing", finishBy=by, active=active)
        announce_offline()
        end = time.monotonic() + seconds
        while active := self._counters.read().active:
            if time.monotonic() >= end:
                logger.warning("The time is over: answers that break off: %d", active)
                return
            time.sleep(POLL_SECONDS)
        logger.info("No answer is on its way any more")

    def _limit(self) -> int:
        """In seconds."""
        try:
            seconds = max(0, int(self._limit_file.read_text(encoding="ascii")))
            self._limit_file.unlink()
        except (OSError, ValueError):
            return self._seconds
        return seconds

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.wanted:
            return
        stage = self._status.status.stage
        if stage == "online":
            self._wanted.value = 1
            threading.Thread(target=self.stop_serving, name="finish", daemon=True).start()
        elif stage not in ("stopping", "stopped"):
            # Nobody is served yet. StopSignals takes it from here.
            os.kill(os.getpid(), signal.SIGINT)
