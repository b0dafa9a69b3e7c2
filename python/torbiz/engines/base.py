"""What an engine takes, what it tells, and how it fails. Nothing is imported here that only some environments have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypedDict

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
    temperature: float | None = 0.0
    """0 is greedy: the likeliest token each time. None: nobody said, and another server does as it likes."""
    top_p: float | None = 1.0
    """None: as temperature."""
    seed: int | None = None
    stop: Sequence[str] = ()
    """Texts that end the answer; they are not part of it."""

    def chosen(self) -> tuple[float, float]:
        """Temperature and top_p for an engine here: OpenAI's 1 where nobody said."""
        return (
            1.0 if self.temperature is None else self.temperature,
            1.0 if self.top_p is None else self.top_p,
        )


@dataclass(frozen=True)
class LocalModel:
    """A model that this computer computes itself."""

    path: Path
    """A GGUF file."""
    context: int | None
    """Tokens that a chat has room for. None: what the model was made for, as far as the memory goes."""


@dataclass(frozen=True)
class Swarm:
    """A model whose blocks the peers of a Petals swarm compute."""

    model_path: Path
    """A folder with config, tokenizer and safetensors: embeddings and head are computed here, blocks by the peers."""
    dht_prefix: str
    initial_peers: tuple[str, ...]
    """Multiaddrs; empty for Petals' public network."""


@dataclass(frozen=True)
class OtherServer:
    """A model of a server that speaks OpenAI's interface."""

    base_url: str
    """Up to and with its version, such as ``http://127.0.0.1:11434/v1``."""
    api_key: str | None = field(default=None, repr=False)


Target = LocalModel | Swarm | OtherServer


@dataclass(frozen=True)
class Question:
    """What to ask, of which model, and how to choose the answer's tokens."""

    model: str
    target: Target
    messages: tuple[Message, ...] = field(repr=False)
    """An assistant's message as the last one is continued from exactly there."""
    sampling: Sampling
    conversation: str | None = None
    """The same for a chat's first question and those that follow: an engine may keep what it computed for it."""


@dataclass(frozen=True)
class Progress:
    """What happens before the answer's first piece, or while a lost peer is replaced."""

    stage: Literal["waiting", "loading-model", "connecting", "reading-prompt", "recovering"]
    done: int | None = None
    total: int | None = None
    """Bytes of the model's file where the stage is loading-model; tokens of the prompt where it is reading-prompt. What
    is known of it from an earlier question is done when reading begins."""


@dataclass(frozen=True)
class Delta:
    """A piece of the answer."""

    text: str = field(repr=False)
    """What may be shown now: never half a character, never the beginning of what may become a stop text."""
    tokens: int
    """Tokens that were made since the last piece."""


@dataclass(frozen=True)
class Hop:
    """A peer on the way of an answer, and the blocks that it served. Both numbers count."""

    peer: str
    first: int
    last: int


@dataclass(frozen=True)
class Finished:
    """The end of an answer."""

    text: str = field(repr=False)
    """What was still held back."""
    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    """Every token that was made, the end mark among them."""
    cached_tokens: int = 0
    """Tokens of the prompt that were known from an earlier question and not computed again."""
    route: tuple[Hop, ...] | None = None
    """In the order of the blocks; None where no peers are asked."""


class Engine(Protocol):
    """What answers questions. Its methods run in threads, never two ``answer`` at once."""

    def answer(
        self, question: Question, emit: Callable[[Progress | Delta], None], cancelled: Callable[[], bool]
    ) -> Finished:
        """Answers a question. Only what this engine was made for comes as its target.

        :param emit: called in this thread with each piece, as soon as it is there
        :param cancelled: to be asked at every step
        :raises AskError: when it fails
        :raises Cancelled: when ``cancelled`` said so
        """
        ...

    def discard(self) -> None:
        """Gives up what is loaded, even while ``answer`` hangs in it.

        :raises Stuck: when no later answer can be expected of this process
        """
        ...


class AskError(Exception):
    """An expected failure: ``code`` is one of Torbiz's error codes, the text a sentence without the prompt."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Stuck(AskError):
    """The engine is in a state that it can't leave in this process."""

    def __init__(self) -> None:
        super().__init__("ask-failed", "The engine hangs. It ends now, and the next question starts a new one.")


class Cancelled(Exception):
    """The one who asked has gone."""
