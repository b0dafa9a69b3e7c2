"""Chooses the engine that a question needs, and loads no more than that."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from torbiz.engines.base import (
    AskError,
    Delta,
    Engine,
    Finished,
    LocalModel,
    OtherServer,
    Progress,
    Question,
    Swarm,
    Target,
)
from torbiz.logs import configure_logging

if TYPE_CHECKING:
    from torbiz.processes import ForkGuard

logger = logging.getLogger("torbiz.ask_engines")


class Engines:
    """One engine of each sort, made with the first question for it: imports take long, and no environment has all.

    :param lock: the descriptor that only this process may hold
    :param socket: where clients ask. The file next to it, ``.loading``, is there while a model is loaded, when nothing
        else in this process may get to run: they take a silent server for one that hangs, but not then
    """

    def __init__(self, lock: int, socket: Path) -> None:
        self._lock = lock
        self._note = socket.with_name(f"{socket.name}.loading")
        self._noted = True  # perhaps by one that was killed
        self._note_loading(False)
        self._engines: dict[type[Target], Engine] = {}
        self._guard: ForkGuard | None = None
        self.loaded: str | None = None
        """Path of the model that answered last and is still loaded."""

    def answer(
        self, question: Question, emit: Callable[[Progress | Delta], None], cancelled: Callable[[], bool]
    ) -> Finished:
        """As ``Engine.answer``.

        :raises AskError: engine-invalid when this environment has no such engine
        """
        kind = type(question.target)
        engine = self._engines.get(kind) or self._engines.setdefault(kind, self.make(kind))
        path = model_path(question.target)
        if path and path != self.loaded:
            self.loaded = None

        def tell(piece: Progress | Delta) -> None:
            if path and isinstance(piece, Delta):
                self.loaded = path
            self._note_loading(isinstance(piece, Progress) and piece.stage == "loading-model")
            emit(piece)

        try:
            return engine.answer(question, tell, cancelled)
        finally:
            self._note_loading(False)
            if self._engines.get(kind) is not engine:
                engine.discard()  # it was given up, perhaps before it had loaded anything

    def prepare(self, model: Path) -> None:
        """Begins what the first question for a model of this computer needs: imports, and its file's way to memory."""

        def begin() -> None:
            with suppress(AskError, OSError):
                if hasattr(os, "posix_fadvise"):
                    with model.open("rb") as file:
                        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
                self._engines.setdefault(LocalModel, self.make(LocalModel))

        threading.Thread(target=begin, daemon=True, name="prepare").start()

    def _note_loading(self, loading: bool) -> None:
        with suppress(OSError):
            if loading:
                self._note.touch(mode=0o600)
            elif self._noted:
                self._note.unlink()
        self._noted = loading

    def discard(self) -> None:
        """As ``Engine.discard``, for all."""
        engines, self._engines, self.loaded = list(self._engines.values()), {}, None
        for engine in engines:
            engine.discard()

    def end_processes(self) -> None:
        """Ends those that an engine has started and left, at once."""
        if self._guard:
            from torbiz.processes import descendants, kill

            kill(descendants(os.getpid()))

    def make(self, kind: type[Target]) -> Engine:
        """:raises AskError: engine-invalid"""
        try:
            if kind is LocalModel:
                from torbiz.engines.local import LocalEngine

                return LocalEngine()
            if kind is OtherServer:
                from torbiz.engines.other_server import OtherServerEngine

                return OtherServerEngine()
            from torbiz.engines.swarm import SwarmClient
            from torbiz.processes import ForkGuard
        except ImportError as error:
            logger.error("Importing failed: %s", error)
            raise AskError("engine-invalid", "This ask server's environment has no such engine.") from error
        self._guard = self._guard or ForkGuard(keep_from_child=(self._lock,))
        # Petals' imports bring handlers and levels of their own.
        configure_logging()
        return SwarmClient()


def model_path(target: Target) -> str | None:
    """The model that a target loads into this process."""
    if isinstance(target, LocalModel):
        return str(target.path)
    return str(target.model_path) if isinstance(target, Swarm) else None
