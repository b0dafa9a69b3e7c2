"""What an engine takes, what it yields, and how it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

FinishReason = Literal["stop", "length"]


class Message(TypedDict):
    """One turn of a chat, in OpenAI's form."""

    role: str
    content: str


@dataclass(frozen=True)
class Sampling:
    """How to choose tokens and when to end, with OpenAI's meanings."""

    max_tokens: int | None = None
    """None: as many as the model's context has room for."""
    temperature: float = 0.0
    """0 is greedy: the likeliest token each time."""
    top_p: float = 1.0
    seed: int | None = None
    stop: Sequence[str] = ()
    """Texts that end the answer; they are not part of it."""


@dataclass(frozen=True)
class Delta:
    """One token was made. ``text`` is what may be shown now: empty while a character or a stop text is incomplete."""

    text: str
    token: int


@dataclass(frozen=True)
class Finished:
    """The end of an answer, always the last thing an engine yields."""

    text: str
    """What was still held back."""
    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    """Every token that was made, the end mark among them."""


class AskError(Exception):
    """An expected failure: ``code`` is one of Torbiz's error codes, the text a sentence without the prompt."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Stuck(AskError):
    """The engine is in a state that it can't leave in this process."""

    def __init__(self) -> None:
        super().__init__("ask-failed", "The swarm's client hangs. It ends now, and the next question starts a new one.")


class Cancelled(Exception):
    """The one who asked has gone."""
