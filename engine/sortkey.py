"""Scores as bytes: eight of them compare, in C, as the scores do. They begin every sort key."""

from __future__ import annotations

from array import array
from operator import neg
from struct import Struct, unpack
from typing import cast

__all__ = ["prefix_of", "score_of", "scores_of"]

_DOUBLE = Struct(">d")
_INVERTED = bytes(255 - byte for byte in range(256))
_NOT_NEGATIVE = 0x80


def prefix_of(score: float) -> bytes:
    """Eight bytes that compare as the score does.

    IEEE doubles of one sign order like their bits. Negating sets the sign bit of what is
    positive; inverting all bits turns the order of what is negative.
    """
    if score >= 0:
        return _DOUBLE.pack(-score if score else -0.0)
    return _DOUBLE.pack(score).translate(_INVERTED)


def score_of(key: bytes) -> float:
    """The score that a key begins with."""
    if key[0] & _NOT_NEGATIVE:
        return -cast(float, _DOUBLE.unpack_from(key)[0]) + 0.0
    return cast(float, _DOUBLE.unpack(key[:8].translate(_INVERTED))[0])


def scores_of(keys: list[bytes]) -> array[float]:
    """The scores of keys that are in order. O(their number), nearly all of it in C."""
    if not keys or keys[0][0] & _NOT_NEGATIVE != keys[-1][0] & _NOT_NEGATIVE:
        return array("d", map(score_of, keys))
    prefixes, layout = b"".join([key[:8] for key in keys]), f">{len(keys)}d"
    if keys[0][0] & _NOT_NEGATIVE:
        return array("d", map(neg, unpack(layout, prefixes)))
    return array("d", unpack(layout, prefixes.translate(_INVERTED)))
