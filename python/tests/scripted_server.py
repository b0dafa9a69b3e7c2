"""The real ask server, as a program, with an engine that says what its question tells it to."""

from __future__ import annotations

import time
from collections.abc import Callable

from torbiz import ask_server
from torbiz.ask_engines import Engines
from torbiz.engines.base import Cancelled, Delta, Finished, Progress, Question

WORDS = ("one ", "zwei ", "三 ", "😀 ", '"five"\n')


class Speaker:
    """Answers a number of words, at a pace: the question is ``words seconds``."""

    def answer(
        self, question: Question, emit: Callable[[Progress | Delta], None], cancelled: Callable[[], bool]
    ) -> Finished:
        words, seconds = question.messages[0]["content"].split()[:2]
        emit(Progress("reading-prompt", 0, 7))
        for number in range(int(words)):
            then = time.monotonic() + float(seconds)
            while not cancelled() and time.monotonic() < then:
                time.sleep(min(0.01, float(seconds)))
            if cancelled():
                raise Cancelled
            emit(Delta(WORDS[number % len(WORDS)], 1))
        return Finished("end", "stop", 7, int(words) + 1, 3)

    def discard(self) -> None:
        """Holds nothing."""


if __name__ == "__main__":
    Engines.make = lambda _self, _kind: Speaker()  # type: ignore[assignment, method-assign]
    ask_server.main()
