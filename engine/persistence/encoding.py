"""The two atoms that everything in a snapshot is written with: lengths and strings."""

from __future__ import annotations

__all__ = ["SHORT", "integer", "length", "string"]

SHORT = tuple(bytes([number]) for number in range(64))
"""The lengths that take one byte, ready made for the loops over millions of rows."""

_INTEGERS = ((0xC0, 1), (0xC1, 2), (0xC2, 4))


def length(number: int) -> bytes:
    """A length, in one to nine bytes."""
    if number < 64:
        return SHORT[number]
    if number < 2**14:
        return (0x4000 | number).to_bytes(2, "big")
    if number < 2**32:
        return b"\x80" + number.to_bytes(4, "big")
    return b"\x81" + number.to_bytes(8, "big")


def string(data: bytes) -> bytes:
    """A string as it is."""
    return length(len(data)) + data


def integer(number: int) -> bytes:
    """A string that is the decimal text of ``number``, in as few bytes as Redis would."""
    for kind, width in _INTEGERS:
        if -(1 << 8 * width - 1) <= number < 1 << 8 * width - 1:
            return b"%c%b" % (kind, number.to_bytes(width, "little", signed=True))
    return string(b"%d" % number)
