"""Fields of a protobuf message, such as an ONNX file is, without its schema and without the package that reads them.

Encoding: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import mmap
from collections.abc import Container, Iterator

Message = bytes | memoryview | mmap.mmap


def fields(message: Message, wanted: Container[int] | None = None) -> Iterator[tuple[int, bytes | memoryview]]:
    """Numbers and contents of the fields of a message; a packed list is one field, an integer its varint.

    Args:
        message: The message.
        wanted: Numbers of the fields whose content is read, None for all; of others it is empty.

    Raises:
        ValueError: The message is cut short or none.
        IndexError: It ends within a number.
    """
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            end = varint(message, at)[1]
        elif kind == 2:
            length, at = varint(message, at)
            end = at + length
        elif kind in (1, 5):
            end = at + (8 if kind == 1 else 4)
        else:
            raise ValueError(f"field of kind {kind}")
        if end > len(message):
            raise ValueError(f"{end - len(message)} bytes are missing")
        yield number, message[at:end] if wanted is None or number in wanted else b""
        at = end


def varint(message: Message, at: int = 0) -> tuple[int, int]:
    """An integer and the place behind it."""
    value = shift = 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128 or shift > 63:
            return value, at
