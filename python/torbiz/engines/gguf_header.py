"""The few facts of a GGUF file that decide how it is loaded, without what reading all of it costs.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Union

Scalar = Union[int, float, bool, str]  # noqa: UP007
Value = Union[Scalar, "list[Scalar]"]

_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_LONGEST = 1 << 20
"""Bytes of a single value. What claims to be longer is damage."""
_NOT_A_MODEL = "It isn't a model in GGUF form."


class HeaderError(Exception):
    """The file is no GGUF model that can chat; the text is a sentence that says why."""


@dataclass(frozen=True)
class Header:
    """What a model is."""

    architecture: str
    context: int
    """Tokens that it was trained for."""
    cache_bytes: int
    """What llama.cpp keeps for each token of the context, in half precision. Layers that keep a shorter window or a
    state of fixed size are counted like the others, so it can be less."""


def read_header(path: Path) -> Header:
    """Reads from the beginning of a file as much as it takes.

    llama.cpp checks the rest itself, the tensors' extents among it, and refuses what is damaged.

    :raises HeaderError: when it isn't a whole GGUF header, or one of a model that can't chat
    :raises OSError: when it can't be read
    """
    with path.open("rb") as file:
        try:
            return _header_of(_read_fields(file))
        except (struct.error, EOFError, UnicodeDecodeError, KeyError, TypeError, OverflowError) as error:
            raise HeaderError(_NOT_A_MODEL) from error


def _read_fields(file: BinaryIO) -> Mapping[str, Value]:
    if _take(file, 4) != b"GGUF" or _number(file, "<I") not in (2, 3):
        raise HeaderError(_NOT_A_MODEL)
    _number(file, "<Q")  # of tensors
    fields: dict[str, Value] = {}
    for _ in range(_number(file, "<Q")):
        key = _string(file)
        # The model's own numbers come first. The vocabulary is the bulk of the header, and nothing of it is needed.
        if key.startswith("tokenizer."):
            break
        fields[key] = _value(file, _number(file, "<I"))
    return fields


def _header_of(fields: Mapping[str, Value]) -> Header:
    architecture = str(fields["general.architecture"])

    def number(name: str) -> int:
        value = fields[f"{architecture}.{name}"]
        if isinstance(value, (list, str)):
            raise TypeError
        return int(value)

    if fields.get(f"{architecture}.attention.causal") is False:
        raise HeaderError("It makes no text.")
    heads = fields[f"{architecture}.attention.head_count"]
    layers = number("block_count")
    per_layer = fields.get(f"{architecture}.attention.head_count_kv", heads)
    cached_heads = [per_layer] * layers if isinstance(per_layer, (int, float)) else per_layer
    most_heads = max(heads) if isinstance(heads, list) else heads
    size = number("embedding_length") // max(1, int(most_heads))
    key_size, value_size = (
        number(f"attention.{name}") if f"{architecture}.attention.{name}" in fields else size
        for name in ("key_length", "value_length")
    )
    cache_bytes = sum(int(count) for count in cached_heads) * (key_size + value_size) * 2
    return Header(architecture, number("context_length"), cache_bytes)


def _value(file: BinaryIO, kind: int) -> Value:
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _number(file, _FORMATS[kind])
    element, length = _number(file, "<I"), _number(file, "<Q")
    if length > _LONGEST:
        raise HeaderError(_NOT_A_MODEL)
    read: Callable[[], Scalar] = (
        (lambda: _string(file)) if element == _STRING else (lambda: _number(file, _FORMATS[element]))
    )
    return [read() for _ in range(length)]


def _string(file: BinaryIO) -> str:
    return _take(file, _number(file, "<Q")).decode()


def _number(file: BinaryIO, form: str) -> int:
    number: int = struct.unpack(form, _take(file, struct.calcsize(form)))[0]
    return number


def _take(file: BinaryIO, size: int) -> bytes:
    if size > _LONGEST:
        raise HeaderError(_NOT_A_MODEL)
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data
