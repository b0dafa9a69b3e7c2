"""Asks a server that speaks OpenAI's interface, whoever runs it."""

from __future__ import annotations

from collections.abc import Callable

from torbiz.engines.base import AskError, Delta, Finished, Progress, Question


class OtherServerEngine:
    """Passes questions on, and the answers back as they come."""

    def answer(
        self, question: Question, emit: Callable[[Progress | Delta], None], cancelled: Callable[[], bool]
    ) -> Finished:
        raise AskError("server-unreachable", "Not there yet.")

    def discard(self) -> None:
        """Closes what is open."""
