"""Between text and tokens: what may be shown of an answer, and what a prompt adds to tokens that are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

REPLACEMENT = "\ufffd"
"""What a decoder puts for bytes that are no character (yet)."""


class TokenDecoder:
    """Turns tokens into text as they come.

    A character can be spread over several tokens, so text that ends in U+FFFD waits for more. A token's text can depend
    on the one before it (a leading space is dropped at the start of a text only), so each step decodes the tokens from
    the last whole piece on, and takes what the new ones add to it.

    :param decode: the tokenizer's decoding of a list of tokens
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._shown = 0
        """The number of tokens in the window whose text was given out."""

    def add(self, token: int) -> str:
        """The text that ``token`` completes; empty while a character is incomplete."""
        self._window.append(token)
        return self._take(at_end=False)

    def flush(self) -> str:
        """What was held back, incomplete as it is."""
        return self._take(at_end=True)

    def _take(self, *, at_end: bool) -> str:
        shown = self._decode(self._window[: self._shown])
        text = self._decode(self._window)
        if not at_end and (text.endswith(REPLACEMENT) or len(text) <= len(shown)):
            return ""
        self._window = self._window[self._shown :]
        self._shown = len(self._window)
        return text[len(shown) :]


class CharacterJoiner:
    """Puts characters together whose two UTF-16 halves come in two pieces, as the JSON of some servers has them."""

    def __init__(self) -> None:
        self._held = ""

    def add(self, text: str) -> str:
        """The whole characters so far. A half that no other one follows becomes U+FFFD."""
        text = self._held + text
        end = len(text) - ("\ud800" <= text[-1:] <= "\udbff")
        self._held = text[end:]
        return self._whole(text[:end])

    def flush(self) -> str:
        """What was held back, incomplete as it is."""
        held, self._held = self._held, ""
        return self._whole(held)

    @staticmethod
    def _whole(text: str) -> str:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class StopFilter:
    """Ends a text at the first of the stop texts, and holds back what may become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False

    def add(self, text: str) -> str:
        """The part of the text so far that can be shown. Sets ``stopped`` when a stop text was met."""
        text = self._held + text
        starts = [start for start in (text.find(stop) for stop in self._stops) if start >= 0]
        if starts:
            self.stopped, self._held = True, ""
            return text[: min(starts)]
        keep = max((self._overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back, as no stop text came of it."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """The length of the longest end of ``text`` that is a beginning of ``stop``."""
        return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)


@dataclass(frozen=True)
class Prompt:
    """A chat as its model reads it."""

    text: str = field(repr=False)
    tokens: list[int] = field(repr=False)
    spans: list[tuple[int, int]] = field(repr=False)
    """Where in the text each token's characters begin and end; empty where the tokenizer doesn't tell."""

    def after(self, tokens: Sequence[int], text: str) -> list[int] | None:
        """What follows ``tokens``, which stand for ``text``; None when this prompt doesn't begin with them.

        A model may spell its answer with other tokens than the tokenizer would. Then the text decides, as long as it
        ends where a token begins.
        """
        if self.tokens[: len(tokens)] == tokens:
            return self.tokens[len(tokens) :]
        if not self.text.startswith(text):
            return None
        if len(self.text) == len(text):
            return []
        for index in range(1, len(self.spans)):
            if self.spans[index - 1][1] == self.spans[index][0] == len(text):
                return self.tokens[index:]
        return None
