"""Columns as they are stored in packed boards: numbers, names, compressed and checked.

Numbers are stored as *byte planes*, the first bytes of all of them, then the second ones, as Blosc
does it: sorted scores are alike in their upper bytes, so that what is left of a score is 1 to 3
bytes. Whatever cannot be read raises `Damaged`: every column has a checksum of its own.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from typing import Any

import msgspec

from realtime.errors import InternalError

__all__ = ["LEVEL", "Damaged", "column", "compressed", "decoded", "inflated", "numbers_of"]

LEVEL = 6
"""Of the compression."""


class Damaged(InternalError):
    """What was stored cannot be read."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the archive of this season is damaged: {what}")


def decoded(value: bytes, shape: Any) -> Any:
    """What MessagePack says, of this shape."""
    try:
        return msgspec.msgpack.decode(value, type=shape)
    except msgspec.MsgspecError as error:
        raise Damaged(str(error)) from error


def column(values: list[Any], rows: int) -> list[Any]:
    """The same, if it has so many rows."""
    if len(values) != rows:
        raise Damaged(f"a column of {len(values)} rows instead of {rows}")
    return values


def inflated(value: bytes, size: int) -> bytes:
    """What was compressed, which had this size."""
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(value, max(1, size))
        text += unpacking.flush() if not unpacking.unconsumed_tail else b""
    except zlib.error as error:
        raise Damaged(str(error)) from error
    if not unpacking.eof or len(text) != size:
        raise Damaged(f"a column that has not its {size} bytes")
    return text


def compressed(numbers: array[Any]) -> bytes:
    """Numbers as byte planes."""
    raw, width = _little_endian(numbers).tobytes(), numbers.itemsize
    return zlib.compress(b"".join([raw[plane::width] for plane in range(width)]), LEVEL)


def numbers_of(code: Any, value: bytes, count: int) -> array[Any]:
    """The other way round."""
    numbers: array[Any] = array(code)
    width = numbers.itemsize
    planes = inflated(value, width * count)
    raw = bytearray(width * count)
    for plane in range(width):
        raw[plane::width] = planes[plane * count : (plane + 1) * count]
    numbers.frombytes(raw)
    return _little_endian(numbers)


def _little_endian(numbers: array[Any]) -> array[Any]:
    """Stored numbers mean the same on every machine."""
    if sys.byteorder == "little":
        return numbers
    swapped = numbers[:]
    swapped.byteswap()
    return swapped
