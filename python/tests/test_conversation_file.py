"""What a power cut would lose of a conversation."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from tests.ask_process import wait_for
from torbiz import conversation_file
from torbiz.conversation_file import SYNC_SECONDS, ConversationFile


def test_what_was_written_is_brought_to_the_disk_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    to_disk = conversation_file.to_disk

    def note(descriptor: int) -> None:
        synced.set()  # before it: other programs may keep the disk busy for long
        to_disk(descriptor)

    monkeypatch.setattr(conversation_file, "to_disk", note)
    (tmp_path / "c").touch()
    file = ConversationFile(tmp_path / "c")
    try:
        time.sleep(SYNC_SECONDS / 2)
        assert not synced.is_set(), "nothing was written"
        file.append({"type": "delta"})
        # The machine may be slow; a second it must not be by its own plan.
        assert SYNC_SECONDS <= 1
        assert synced.wait(SYNC_SECONDS + 5)
    finally:
        file.close()


def test_what_was_written_last_is_brought_to_the_disk_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(conversation_file, "to_disk", synced.append)
    (tmp_path / "c").touch()
    file = ConversationFile(tmp_path / "c")
    file.append({"type": "end"})
    file.close()
    wait_for(lambda: len(synced) == 1)


def test_a_mac_is_asked_to_empty_its_drives_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda *command: asked.append(command))
    monkeypatch.setattr(os, "fsync", lambda descriptor: asked.append(descriptor))
    conversation_file.to_disk(7)
    assert asked == [(7, 51)]

    def unknown(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "not there")

    monkeypatch.setattr(fcntl, "fcntl", unknown)
    conversation_file.to_disk(7)
    assert asked == [(7, 51), 7]
