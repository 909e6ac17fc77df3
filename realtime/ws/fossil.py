"""Fossil deltas: what to do with one text to get another.

The format is that of the Fossil version control system
(https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki):

    {length of the target}\\n
    {length}@{offset},          copy so many bytes of the source, from there
    {length}:{bytes}            insert these
    {checksum of the target};

Numbers are in base 64, most significant digit first. The checksum is the sum of the target's
big-endian words of 32 bits, the last one padded with zeros.

The encoder is made for two versions of one document. What they share at both ends is found by
comparing them as numbers; for what lies between, blocks of the source are looked up at every
byte of the target, and matches are made as long as they get (Rsync's idea, with a dictionary
instead of a rolling sum). Deltas travel inside JSON strings, so what is inserted has to be
whole characters: copies begin and end where characters do.
"""

from __future__ import annotations

from struct import unpack

__all__ = ["MAX_BYTES", "BadDelta", "apply", "delta"]

MAX_BYTES = 16 * 1024
"""Of source and target. The time grows with them, and everybody else waits."""

BLOCK = 16
"""Bytes. A copy costs up to eight bytes to describe, so shorter matches gain little."""

MAX_STEPS = 4_096
"""Bytes looked at without a match, after which the rest is inserted; a match counts as a block."""

_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}


class BadDelta(ValueError):
    """Not a delta, or one of another source."""


def delta(source: bytes, target: bytes) -> bytes | None:
    """How to make ``target`` of ``source``; None if they are too long for it.

    Both are UTF-8. O(length) for what is alike at the ends, some 0.1 µs a byte between.
    """
    if len(source) > MAX_BYTES or len(target) > MAX_BYTES:
        return None
    head = _alike(source, target)
    tail = _alike_behind(source[head:], target[head:])
    out = [b"%b\n" % number(len(target))]
    at = _copy(out, target, 0, (0, 0, head))
    for match in _matches(source, target, head, len(target) - tail):
        at = _copy(out, target, at, match)
    at = _copy(out, target, at, (len(source) - tail, len(target) - tail, tail))
    _insert(out, target[at:])
    out.append(b"%b;" % number(checksum(target)))
    return b"".join(out)


def apply(source: bytes, difference: bytes) -> bytes:
    """The target. Raises BadDelta. O(length)."""
    size, at = _number(difference, 0, b"\n")
    parts: list[bytes] = []
    while True:
        value, at = _number(difference, at, b"@:;")
        kind = difference[at - 1 : at]
        if kind == b";":
            break
        if kind == b"@":
            offset, at = _number(difference, at, b",")
            parts.append(_exactly(source, offset, value))
        else:
            parts.append(_exactly(difference, at, value))
            at += value
    target = b"".join(parts)
    if len(target) != size or checksum(target) != value:
        raise BadDelta("it was made for another source")
    return target


def number(value: int) -> bytes:
    """A number in the digits of the format."""
    digits = bytearray()
    while True:
        digits.append(_DIGITS[value & 63])
        value >>= 6
        if not value:
            digits.reverse()
            return bytes(digits)


def checksum(data: bytes) -> int:
    """The sum of the words, modulo 2**32."""
    words = -(-len(data) // 4)
    total: int = sum(unpack(f">{words}I", data.ljust(4 * words, b"\0")))
    return total & 0xFFFF_FFFF


Match = tuple[int, int, int]
"""Where in the source, where in the target, and how many bytes."""


def _matches(source: bytes, target: bytes, at: int, end: int) -> list[Match]:
    """What of ``target[at:end]`` is found in the source, in order and without overlaps."""
    if end - at < BLOCK:
        return []
    blocks = {
        source[begin : begin + BLOCK]: begin for begin in range(0, len(source) - BLOCK + 1, BLOCK)
    }
    found: list[Match] = []
    steps, done, last = 0, at, end - BLOCK
    while at <= last and steps < MAX_STEPS:
        begin = blocks.get(target[at : at + BLOCK])
        if begin is None:
            at += 1
            steps += 1
            continue
        back = _alike_behind(source[max(0, begin - at + done) : begin], target[done:at])
        length = back + _alike(source[begin:], target[at:end])
        found.append((begin - back, at - back, length))
        done = at = at - back + length
        steps += BLOCK
    return found


def _copy(out: list[bytes], target: bytes, at: int, match: Match) -> int:
    """Insert up to the match, then copy it; or leave it to whoever comes next if it is short.

    A match that begins or ends within a character is cut to whole ones.
    """
    offset, begin, length = match
    end = begin + length
    while begin < end and _within(target, begin):
        begin += 1
        offset += 1
    while begin < end and _within(target, end):
        end -= 1
    described = b"%b@%b," % (number(end - begin), number(offset))
    if end - begin <= len(described):
        return at
    _insert(out, target[at:begin])
    out.append(described)
    return end


def _insert(out: list[bytes], data: bytes) -> None:
    if data:
        out.append(b"%b:%b" % (number(len(data)), data))


def _within(data: bytes, at: int) -> bool:
    """Whether a place is not between two characters of UTF-8."""
    return at < len(data) and data[at] & 0xC0 == 0x80


def _alike(one: bytes, other: bytes) -> int:
    """How many bytes are the same from the start. O(that, and a little more)."""
    size = min(len(one), len(other))
    step = 64
    at = 0
    while at < size and one[at : at + step] == other[at : at + step]:
        at += step
        step *= 2
    rest, against = one[at : min(at + step, size)], other[at : min(at + step, size)]
    differs = int.from_bytes(rest, "little") ^ int.from_bytes(against, "little")
    return min(size, at + (((differs & -differs).bit_length() - 1) // 8 if differs else len(rest)))


def _alike_behind(one: bytes, other: bytes) -> int:
    """How many bytes are the same from the end."""
    return _alike(one[::-1], other[::-1])


def _number(data: bytes, at: int, ends: bytes) -> tuple[int, int]:
    """A number that one of ``ends`` follows, and where it goes on behind that."""
    value, begin = 0, at
    while at < len(data) and data[at] not in ends:
        digit = _VALUES.get(data[at])
        if digit is None:
            raise BadDelta(f"no digit at {at}")
        value = value * 64 + digit
        at += 1
    if at == len(data) or at == begin:
        raise BadDelta(f"no number at {begin}")
    return value, at + 1


def _exactly(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise BadDelta("it refers to what is not there")
    return data[at : at + size]
