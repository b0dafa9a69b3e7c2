"""Writes an answer into its conversation's file: JSON lines that are only ever added to."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from torbiz.engines.base import AskError

logger = logging.getLogger("torbiz.conversation_file")

SYNC_SECONDS = 1.0
"""What was written is on the disk itself after this, at the latest."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Deleted(Exception):
    """Somebody deleted the conversation: nothing of it may be kept."""


class ConversationFile:
    """Adds lines to a conversation that exists. Other processes may do so at the same time.

    ``append`` returns when the operating system has the line: the death of this process loses nothing. A thread of its
    own takes care of what a power cut would lose, as a disk can take long to answer.

    :raises AskError: conversation-unknown
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            logger.error("A conversation can't be opened: %s", errno.errorcode.get(error.errno or 0))
            raise AskError("conversation-unknown", "The conversation isn't there any more.") from None
        self._writing = threading.Lock()
        self._open = True
        self._unsynced = False
        self._failure: OSError | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._sync, daemon=True, name="sync").start()

    def append(self, record: dict[str, Any]) -> None:
        """Adds a line. Nothing happens after ``close``.

        :raises AskError: disk-full, ask-failed when it can't be written
        :raises Deleted: when the file was deleted
        """
        # Only ASCII: half a character, which some servers send, must not make a line that nobody can read.
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        with self._writing:
            if not self._open:
                return
            try:
                if self._failure:
                    raise self._failure
                status = os.fstat(self._descriptor)
                if status.st_nlink == 0:
                    raise Deleted
                # A line that was torn, by a power cut or a full disk, must not take this one with it.
                if status.st_size and os.pread(self._descriptor, 1, status.st_size - 1) != b"\n":
                    line = b"\n" + line
                self._unsynced = True
                written = os.write(self._descriptor, line)
            except OSError as error:
                raise unwritable(error) from None
            if written < len(line):
                raise AskError("disk-full", "The disk is full: the rest of the answer can't be kept.")

    def close(self) -> None:
        """No line comes after this. What was written reaches the disk in a while."""
        with self._writing:
            self._open = False
        self._closed.set()

    def _sync(self) -> None:
        while True:
            last = self._closed.wait(SYNC_SECONDS)
            if self._unsynced:
                self._unsynced = False
                try:
                    to_disk(self._descriptor)
                except OSError as error:  # disks of a network tell only here that they are full
                    self._failure = error
            if last:
                break
        os.close(self._descriptor)


def to_disk(descriptor: int) -> None:
    """Brings what was written to a file to the disk itself.

    macOS' ``fsync`` leaves it in the drive's own memory, which a power cut loses; ``fcntl(2)`` there says so, and has a
    command that doesn't. Not every file system knows that one.
    """
    if hasattr(fcntl, "F_FULLFSYNC"):
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
        else:
            return
    os.fsync(descriptor)


def unwritable(error: OSError) -> AskError:
    """What a failed write means to a person."""
    if error.errno in NO_ROOM:
        return AskError("disk-full", "The disk is full: the rest of the answer can't be kept.")
    logger.error("Writing failed: %s", errno.errorcode.get(error.errno or 0))
    return AskError("ask-failed", "The conversation's file can't be written.")


def now() -> str:
    """The time as conversations tell it: ISO 8601 in UTC, with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
