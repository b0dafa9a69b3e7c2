from __future__ import annotations

import random

import pytest

from torbiz.engines.text import REPLACEMENT, CharacterJoiner, Prompt, StopFilter, TokenDecoder

TEXTS = [
    "The capital of France is Paris.",
    " leading and trailing spaces ",
    "żółć 😀👩‍👩‍👧‍👦 日本語 \u0301e",
    "a\ufffdb\ufffd",
    "",
]


def split(data: bytes, dice: random.Random) -> list[bytes]:
    cuts = sorted(dice.sample(range(1, len(data)), dice.randint(0, len(data) - 1))) if len(data) > 1 else []
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def decoder_of(pieces: list[bytes]) -> TokenDecoder:
    """A byte-level tokenizer whose token i is the i-th piece."""
    return TokenDecoder(lambda tokens: b"".join(pieces[token] for token in tokens).decode(errors="replace"))


@pytest.mark.parametrize("text", TEXTS)
def test_any_split_of_the_bytes_gives_the_text_and_never_half_a_character(text: str) -> None:
    dice = random.Random(1)
    for _ in range(300):
        pieces = split(text.encode(), dice)
        decoder = decoder_of(pieces)
        shown = ""
        for token in range(len(pieces)):
            shown += decoder.add(token)
            assert text.startswith(shown)
        assert shown + decoder.flush() == text


@pytest.mark.parametrize("text", TEXTS)
def test_any_split_into_utf16_halves_gives_the_text_and_never_half_a_character(text: str) -> None:
    data = text.encode("utf-16-le")
    halves = [data[place : place + 2].decode("utf-16-le", "surrogatepass") for place in range(0, len(data), 2)]
    joiner = CharacterJoiner()
    shown = ""
    for half in halves:
        shown += joiner.add(half)
        assert text.startswith(shown)
    assert shown + joiner.flush() == text


def test_a_half_that_stays_alone_is_replaced() -> None:
    joiner = CharacterJoiner()
    assert [joiner.add(half) for half in ("\ude00a", "\ud83d", "b\ud83d", "")] == ["\ufffda", "", "\ufffdb", ""]
    assert joiner.flush() == REPLACEMENT
    assert joiner.flush() == ""


def test_invalid_bytes_come_out_as_the_whole_text_is_decoded() -> None:
    dice = random.Random(2)
    for _ in range(300):
        data = bytes(dice.choice(b"ab\xe2\x82\xac\xf0\x9f\xff") for _ in range(dice.randint(1, 12)))
        pieces = split(data, dice)
        decoder = decoder_of(pieces)
        shown = "".join(decoder.add(token) for token in range(len(pieces))) + decoder.flush()
        assert shown == data.decode(errors="replace")


def test_an_incomplete_character_waits_and_is_shown_at_the_end() -> None:
    pieces = [b"ok ", b"\xf0\x9f", b"\x98"]
    decoder = decoder_of(pieces)
    assert [decoder.add(token) for token in range(3)] == ["ok ", "", ""]
    assert decoder.flush() == REPLACEMENT


def test_a_space_that_the_tokenizer_drops_at_the_start_only_is_kept_between_tokens() -> None:
    words = [" The", " capital", " of"]
    decoder = TokenDecoder(lambda tokens: "".join(words[token] for token in tokens).removeprefix(" "))
    assert [decoder.add(token) for token in range(3)] == ["The", " capital", " of"]


def test_tokens_without_text_show_nothing() -> None:
    words = ["a", "", "b"]
    decoder = TokenDecoder(lambda tokens: "".join(words[token] for token in tokens))
    assert [decoder.add(token) for token in range(3)] == ["a", "", "b"]
    assert decoder.flush() == ""


@pytest.mark.parametrize("stops", [["STOP"], ["STOP", "TO"], ["xx", "xy"], ["aab"], [""], []])
def test_a_stop_text_is_never_shown_however_the_text_is_split(stops: list[str]) -> None:
    dice = random.Random(3)
    for _ in range(400):
        text = "".join(dice.choice("STOPxyab") for _ in range(dice.randint(1, 16)))
        found = [text.find(stop) for stop in stops if stop and stop in text]
        stop_filter = StopFilter(stops)
        shown = ""
        for piece in split(text.encode(), dice):
            shown += stop_filter.add(piece.decode())
            if stop_filter.stopped:
                break
        if not stop_filter.stopped:
            shown += stop_filter.flush()
        assert stop_filter.stopped == bool(found)
        # Two stop texts that overlap: the one complete first ends the text, though the other began before it.
        assert text.startswith(shown)
        if len(stops) == 1:
            assert shown == (text[: min(found)] if found else text)
        assert not any(stop and stop in shown for stop in stops)


def test_what_may_become_a_stop_text_waits() -> None:
    stop_filter = StopFilter(["\n\nUser:"])
    assert stop_filter.add("Paris.\n") == "Paris."
    assert stop_filter.add("\nUs") == ""
    assert stop_filter.add("e") == ""
    assert stop_filter.add("ful") == "\n\nUseful"


def test_a_prompt_goes_on_after_tokens_that_it_begins_with() -> None:
    prompt = Prompt("Q: Hi A: Hello!", [1, 2, 3, 4], [(0, 5), (5, 8), (8, 14), (14, 15)])
    assert prompt.after([1, 2], "whatever they stand for") == [3, 4]
    # "Hello" was made of other tokens than the tokenizer's 3.
    assert prompt.after([1, 2, 8, 9], "Q: Hi A: Hello") == [4]
    assert prompt.after([1, 2, 8, 9, 4], "Q: Hi A: Hello!") == []
    # In the middle of a token nothing says how the rest is spelled.
    assert prompt.after([1, 2, 8], "Q: Hi A: Hel") is None
    assert prompt.after([1, 2, 8, 9], "Q: Hi A: Hullo") is None
    assert Prompt("Q: Hi A: Hello!", [1, 2, 3, 4], []).after([1, 2, 8, 9], "Q: Hi A: Hello") is None
