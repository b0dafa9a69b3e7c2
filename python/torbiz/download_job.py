"""A download that runs by itself: a detached process, watched through a file, one at a time, cancelled by SIGTERM.

The status file is replaced several times a second: a JSON object ``{"pid", "state", "doneBytes", "totalBytes",
"bytesPerSecond", "secondsLeft"}``, where ``state`` is ``downloading``, ``checking``, ``done``, ``cancelled`` or
``failed``, the last one with ``code`` and ``message`` (the codes are those of Torbiz's catalogue). While another
process holds the lock, this one ends at once: that one does the work.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

STATUS_SECONDS = 0.25
LOCK_PATIENCE_SECONDS = 1.0
"""One that has just said how it ended still holds the lock for a moment."""
SPEED_SECONDS = 10.0
"""The speed is that of so many last seconds."""


class DownloadError(Exception):
    """A failure with a sentence for people and a code of Torbiz's catalogue."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Speed:
    """How fast a number of bytes grows."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def reset(self) -> None:
        self._samples.clear()

    def note(self, done: int) -> float | None:
        """Bytes a second over the last ``SPEED_SECONDS``; None until it is known. ``done``: so many are there now.

        Where less comes than once in that time, it is that since the last time.
        """
        now = time.monotonic()
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[0][0] > SPEED_SECONDS:
            self._samples.popleft()
        seconds, count = now - self._samples[0][0], done - self._samples[0][1]
        return count / seconds if count > 0 and seconds >= 2 * STATUS_SECONDS else None


class Status:
    """The status file: written by a thread of its own, so that a silent network doesn't make it look dead."""

    def __init__(self, path: Path, total: int = 0) -> None:
        self._path = path
        self._total = total
        self._done = 0
        self._state = "downloading"
        self._speed = Speed()
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._write({})
        self._thread = threading.Thread(target=self._keep_writing, daemon=True)
        self._thread.start()

    def enter(self, state: str, done: int, total: int | None = None) -> None:
        """Begins a part of the work at so many bytes, of ``total`` where only now it is known."""
        with self._guard:
            self._total = self._total if total is None else total
            self._state, self._done = state, done
            self._speed.reset()

    def advance(self, count: int) -> None:
        with self._guard:
            self._done += count

    def reach(self, done: int) -> None:
        """So many bytes are here now."""
        with self._guard:
            self._done = done

    def end(self, state: str, code: str | None = None, message: str | None = None) -> None:
        self._ended.set()
        self._thread.join()
        with self._guard:
            self._state = state
        self._write({"code": code, "message": message} if code else {})

    def _keep_writing(self) -> None:
        while not self._ended.wait(STATUS_SECONDS):
            self._write({})

    def _write(self, more: dict[str, str | None]) -> None:
        with self._guard:
            speed = self._speed.note(self._done)
            left = self._total - self._done
            content = {
                "pid": os.getpid(),
                "state": self._state,
                "doneBytes": self._done,
                "totalBytes": self._total,
                "bytesPerSecond": speed and round(speed),
                "secondsLeft": left / speed if speed else None,
                **more,
            }
        draft = self._path.with_name(self._path.name + ".draft")
        # On a full disk the last status stays: the work itself meets the same trouble and ends by it.
        with contextlib.suppress(OSError):
            draft.write_text(json.dumps(content), encoding="utf-8")
            draft.replace(self._path)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Whether the lock is ours for the block's time. The kernel frees it with the process, however that ends."""
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    with path.open("w") as file:
        while not (ours := _try_lock(file.fileno())) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield ours


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _cancel(_number: int, _frame: FrameType | None) -> NoReturn:
    # Once is enough: a second signal must not break off what is left to do.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def run(
    work: Callable[[Status], None],
    explain: Callable[[Exception], DownloadError],
    *,
    status_file: Path,
    lock: Path,
    total: int = 0,
) -> int:
    """Does the work and writes how it ended.

    Args:
        work: Is given where to tell how far it is.
        explain: Any failure of it as a sentence for people.
        status_file: Tells everybody.
        lock: Held meanwhile.
        total: Bytes that are to come, where it is known.

    Returns:
        The process' exit code.
    """
    with _lock(lock) as ours:
        if not ours:
            return 0
        signal.signal(signal.SIGTERM, _cancel)
        status = Status(status_file, total)
        try:
            work(status)
        except KeyboardInterrupt:
            status.end("cancelled")
            return 130
        except Exception as error:
            known = _of_the_disk(error) or explain(error)
            status.end("failed", known.code, str(known))
            return 1
        status.end("done")
        return 0


def _of_the_disk(error: Exception) -> DownloadError | None:
    if not isinstance(error, OSError):
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DownloadError("disk-full", "No space is left on the disk for the model.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DownloadError("home-not-writable", f"The models' folder can't be written ({error.strerror}).")
    return None
