"""Keeps hivemind's processes from outliving the one that started them.

hivemind forks a process for its DHT, which in turn starts the p2pd program. When their parent is killed, both would run
on for ever, with copies of its sockets and locks.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing.util import register_after_fork
from pathlib import Path

import psutil

from torbiz.bounded import run_bounded as run_bounded

PARENT_POLL_SECONDS = 1.0


class ForkGuard:
    """While it lives, processes that multiprocessing forks have default signals, none of our sockets, and end with us.

    It isn't ``os.register_at_fork``: uvloop runs those hooks in the programs that it starts too, whose standard output
    is a socket.

    :param keep_from_child: further descriptors that only this process may hold, such as a lock
    """

    def __init__(self, keep_from_child: Iterable[int] = ()) -> None:
        self._parent = os.getpid()
        self._kept = tuple(keep_from_child)
        register_after_fork(self, ForkGuard._in_child)

    def _in_child(self) -> None:
        # SIGTERM's default is how multiprocessing ends its children; our own handler would only swallow it.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _let_go({*self._kept, *_sockets()})
        threading.Thread(target=_end_with, args=(self._parent,), daemon=True).start()


def _sockets() -> list[int]:
    found = []
    for entry in Path("/dev/fd").iterdir():
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(entry.name)).st_mode):
                found.append(int(entry.name))
    return found


def _let_go(descriptors: Iterable[int]) -> None:
    """Puts /dev/null in their place: inherited objects may still close these numbers, so they must not be used anew."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    kill(descendants(os.getpid()))
    os._exit(0)


def descendants(pid: int) -> list[psutil.Process]:
    """All living children of ``pid`` and theirs."""
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def kill(processes: Iterable[psutil.Process]) -> None:
    """Ends those that still live, at once. psutil knows a process by its start time too, so a reused id is safe."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
