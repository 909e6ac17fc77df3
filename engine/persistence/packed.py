"""The packed forms of small values before Redis 7: ziplists and zipmaps. Read only.

A ziplist is what listpacks replaced: bytes (4) | offset of the last (4) | count (2) |
entries | 0xff, where each entry begins with the length of the one before it. A zipmap is
older still, a hash of at most 254 short fields: count | length name | length free value … 0xff.
"""

from __future__ import annotations

from engine.persistence.errors import Malformed
from engine.persistence.listpack import Element

__all__ = ["unpack_ziplist", "unpack_zipmap"]

HEADER = 10
END = 0xFF
LONG = 0xFE
"""A first length byte of this says that the length is in the four bytes behind it."""
UNCOUNTED = 65_535

_WIDTHS = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}


def unpack_ziplist(data: bytes) -> list[Element]:
    """Every element; Malformed if ``data`` is no ziplist. O(n)."""
    if len(data) <= HEADER or int.from_bytes(data[:4], "little") != len(data):
        raise Malformed(f"a ziplist of {len(data)} bytes announces another size")
    elements: list[Element] = []
    at = HEADER
    try:
        while data[at] != END:
            at += 5 if data[at] == LONG else 1
            element, at = _entry(data, at)
            elements.append(element)
    except IndexError:
        raise Malformed("a ziplist has no end") from None
    if at != len(data) - 1:
        raise Malformed("a ziplist ends before its last byte")
    count = int.from_bytes(data[8:10], "little")
    if count not in (len(elements), UNCOUNTED):
        raise Malformed(f"a ziplist announces {count} elements and has {len(elements)}")
    return elements


def _entry(data: bytes, at: int) -> tuple[Element, int]:
    """The entry whose encoding is at ``at``, and where the next one begins."""
    first = data[at]
    if first < 0x40:
        return _slice(data, at + 1, first)
    if first < 0x80:
        return _slice(data, at + 2, (first & 0x3F) << 8 | data[at + 1])
    if first < 0xC0:
        return _slice(data, at + 5, int.from_bytes(data[at + 1 : at + 5], "big"))
    width = _WIDTHS.get(first)
    if width is not None:
        number = int.from_bytes(data[at + 1 : at + 1 + width], "little", signed=True)
        return number, at + 1 + width
    if 0xF1 <= first <= 0xFD:
        return first - 0xF1, at + 1
    raise Malformed(f"a ziplist has an entry of unknown kind {first:#04x}")


def unpack_zipmap(data: bytes) -> list[bytes]:
    """name, value, name, value, …; Malformed if ``data`` is no zipmap. O(n)."""
    parts: list[bytes] = []
    at = 1
    try:
        while data[at] != END:
            length, at = _zipmap_length(data, at)
            name, at = _slice(data, at, length)
            length, at = _zipmap_length(data, at)
            free = data[at]
            value, at = _slice(data, at + 1, length)
            at += free
            parts += (name, value)
    except IndexError:
        raise Malformed("a zipmap has no end") from None
    if at != len(data) - 1:
        raise Malformed("a zipmap ends before its last byte")
    return parts


def _zipmap_length(data: bytes, at: int) -> tuple[int, int]:
    if data[at] < LONG:
        return data[at], at + 1
    return int.from_bytes(data[at + 1 : at + 5], "little"), at + 5


def _slice(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    end = at + length
    if end >= len(data):
        raise Malformed("a packed value ends within a string")
    return data[at:end], end
