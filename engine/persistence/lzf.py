"""LZF, the compression that Redis applies to strings of more than twenty bytes.

A compressed text is a run of two kinds of instructions. A control byte below 32 says that
so many bytes plus one follow literally. Any other looks back: its upper three bits are the
length minus two (7: the next byte adds to it), its lower five and the next byte the
distance minus one. A look back may overlap what it is writing; then it repeats.

Read only: what we write is not compressed, since Redis need not care and we need the time.
"""

from __future__ import annotations

from engine.persistence.errors import Malformed

__all__ = ["MAX_RATIO", "decompress"]

MAX_RATIO = 88
"""Three bytes make 264 at most, so a longer promise is a lie that must not be allocated."""

_LITERAL = 32


def decompress(data: bytes, size: int) -> bytes:
    """The ``size`` bytes that ``data`` stands for; Malformed if it does not. O(size)."""
    out = bytearray()
    at = 0
    try:
        while at < len(data):
            control = data[at]
            if control < _LITERAL:
                end = at + 2 + control
                if end > len(data):
                    raise Malformed("compressed text ends within a literal")
                out += data[at + 1 : end]
                at = end
            else:
                at = _look_back(data, at, out)
            if len(out) > size:
                raise Malformed(f"compressed text is longer than the {size} bytes announced")
    except IndexError:
        raise Malformed("compressed text ends within an instruction") from None
    if len(out) != size:
        raise Malformed(f"compressed text has {len(out)} bytes, {size} were announced")
    return bytes(out)


def _look_back(data: bytes, at: int, out: bytearray) -> int:
    """Obey the look back at ``at``; answer where the next instruction begins."""
    control = data[at]
    length = control >> 5
    if length == 7:
        at += 1
        length += data[at]
    distance = ((control & 31) << 8 | data[at + 1]) + 1
    if distance > len(out):
        raise Malformed("compressed text looks back before its beginning")
    length += 2
    start = len(out) - distance
    pattern = out[start : start + length]
    out += (pattern * (length // len(pattern) + 1))[:length]
    return at + 2
