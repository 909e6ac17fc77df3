"""The arguments of commands: numbers, deadlines, ids; strict where Redis is.

Everything raises Malformed for what Redis would not have logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.clock import MILLISECOND, SECOND
from engine.keyspace import String
from engine.persistence.errors import Malformed
from engine.stream import StreamId

__all__ = ["INT64", "deadline", "double", "held", "integer", "pairs", "stream_id"]

INT64 = range(-(2**63), 2**63)
"""The integers that Redis has."""
UINT64_MAX = 2**64 - 1

_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_NATURAL = re.compile(rb"[0-9]{1,20}")
_DOUBLE = re.compile(
    rb"[+-]?(?:inf(?:inity)?|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)", re.IGNORECASE
)
_HEXADECIMAL = re.compile(rb"[+-]?0x[0-9a-f]+\.?[0-9a-f]*(?:p[+-]?[0-9]+)?", re.IGNORECASE)

_UNITS = {
    b"EX": (SECOND, True), b"PX": (MILLISECOND, True),
    b"EXAT": (SECOND, False), b"PXAT": (MILLISECOND, False),
}  # fmt: skip
"""Of a deadline: how many microseconds, and whether it counts from now on."""

_SHORT = 18
"""Digits that fit 64 bits, whatever they are."""


def integer(written: bytes) -> int:
    """A signed integer of 64 bits, in the one way to write it. O(1)."""
    if not _INTEGER.fullmatch(written) or (number := int(written)) not in INT64:
        raise Malformed(f"{_shown(written)} is no integer of 64 bits")
    return number


def double(written: bytes) -> float:
    """A score. O(1)."""
    if written.isdigit() or _DOUBLE.fullmatch(written):
        return float(written)
    if _HEXADECIMAL.fullmatch(written):  # a client may write so, and Redis repeats it
        return float.fromhex(written.decode())
    raise Malformed(f"{_shown(written)} is no number")


def held(written: bytes) -> String:
    """A string as the engine holds it: the decimal text of an integer as an int. O(1)."""
    if written.isdigit() and len(written) <= _SHORT:
        return int(written) if written[0] != ord("0") or len(written) == 1 else written
    if _INTEGER.fullmatch(written) and (number := int(written)) in INT64:
        return number
    return written


def deadline(unit: bytes, written: bytes, now: int) -> int:
    """Microseconds since 1970; ``unit`` is EX, PX, EXAT or PXAT. O(1)."""
    scale, relative = _UNITS[unit]
    return integer(written) * scale + (now if relative else 0)


def stream_id(written: bytes) -> StreamId:
    """``7-0``, or ``7``, which is the same. O(1)."""
    first, _, second = written.partition(b"-")
    parts = (first, second or b"0")
    if not all(map(_NATURAL.fullmatch, parts)) or max(made := tuple(map(int, parts))) > UINT64_MAX:
        raise Malformed(f"{_shown(written)} is no id of a stream's entry")
    return made[0], made[1]


def pairs(parts: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """name, value, name, value, … in twos; at least once."""
    if not parts or len(parts) % 2:
        raise Malformed(f"{len(parts)} arguments are not pairs")
    return zip(parts[::2], parts[1::2], strict=True)


def _shown(written: bytes) -> str:
    return repr(written[:40])
