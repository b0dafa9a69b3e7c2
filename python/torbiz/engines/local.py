"""Computes answers in this process with llama.cpp."""

from __future__ import annotations

from collections.abc import Callable

from torbiz.engines.base import AskError, Delta, Finished, Progress, Question


class LocalEngine:
    """Keeps one model loaded: the one that was asked last."""

    def answer(
        self, question: Question, emit: Callable[[Progress | Delta], None], cancelled: Callable[[], bool]
    ) -> Finished:
        raise AskError("model-broken", "Not there yet.")

    def discard(self) -> None:
        """Unloads the model."""
