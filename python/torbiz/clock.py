"""This computer's clock against time as it passes: people set it, and a virtual machine's is set after a sleep."""

from __future__ import annotations

import time

STEP_SECONDS = 1.0
"""What a clock moves by at once, at least, where it is set. One that is only steered takes minutes for it."""


class ClockSteps:
    """Notices when the clock is set."""

    def __init__(self) -> None:
        self._ahead = _ahead()

    def look(self) -> float:
        """By how many seconds it was set since the last look, or was steered in all; 0 while it is too little."""
        step = _ahead() - self._ahead
        if abs(step) < STEP_SECONDS:
            return 0.0
        self._ahead += step
        return step


def _ahead() -> float:
    return time.time() - time.monotonic()
