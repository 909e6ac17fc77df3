"""Listpacks: Redis' row of short strings and integers in one block of bytes.

    total bytes (4, little endian) | elements (2; 65535: count them) | element … | 0xff

An element is an encoding, its content, and its own length once more, seven bits to a byte,
so that Redis can also walk backwards. We walk forwards and step over it. Small hashes,
small sorted sets and every node of a stream are listpacks.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.persistence.errors import Malformed

__all__ = ["Element", "pack", "text", "unpack"]

Element = bytes | int
"""What an element holds. Redis stores a string that looks like an integer as one."""

HEADER = 6
END = 0xFF
UNCOUNTED = 65_535

_WIDTHS = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}
_LENGTH_BOUNDS = (2**14 - 1, 2**21 - 1, 2**28 - 1)
_SMALL = tuple(bytes([number, 1]) for number in range(128))


def text(element: Element) -> bytes:
    """The string that an element stands for."""
    return element if isinstance(element, bytes) else b"%d" % element


def unpack(data: bytes) -> list[Element]:
    """Every element; Malformed if ``data`` is no listpack. O(n)."""
    if len(data) <= HEADER or int.from_bytes(data[:4], "little") != len(data):
        raise Malformed(f"a listpack of {len(data)} bytes announces another size")
    elements: list[Element] = []
    at = HEADER
    try:
        while data[at] != END:
            element, at = _element(data, at)
            elements.append(element)
    except IndexError:
        raise Malformed("a listpack has no end") from None
    if at != len(data) - 1:
        raise Malformed("a listpack ends before its last byte")
    count = int.from_bytes(data[4:6], "little")
    if count not in (len(elements), UNCOUNTED):
        raise Malformed(f"a listpack announces {count} elements and has {len(elements)}")
    return elements


def _element(data: bytes, at: int) -> tuple[Element, int]:
    """The element at ``at``, and where the next begins. IndexError: there is none."""
    first = data[at]
    if first < 0x80:
        return first, at + 2
    if first < 0xC0:
        return _string(data, at, at + 1, first & 0x3F)
    if first < 0xE0:
        number = (first & 0x1F) << 8 | data[at + 1]
        return number - 0x2000 if number & 0x1000 else number, at + 3
    if first < 0xF0:
        return _string(data, at, at + 2, (first & 0x0F) << 8 | data[at + 1])
    if first == 0xF0:
        return _string(data, at, at + 5, int.from_bytes(data[at + 1 : at + 5], "little"))
    width = _WIDTHS.get(first)
    if width is None:
        raise Malformed(f"a listpack has an element of unknown kind {first:#04x}")
    number = int.from_bytes(data[at + 1 : at + 1 + width], "little", signed=True)
    return number, at + 2 + width


def _string(data: bytes, start: int, at: int, length: int) -> tuple[bytes, int]:
    end = at + length
    if end >= len(data):
        raise Malformed("a listpack ends within a string")
    return data[at:end], end + _length_size(end - start)


def _length_size(length: int) -> int:
    """How many bytes an element's own length takes, behind the element."""
    if length < 128:
        return 1
    # Redis' own bounds: from here on it is one byte early, at 2**14 - 1 and its like.
    return 2 + sum(length >= bound for bound in _LENGTH_BOUNDS)


def pack(elements: Iterable[Element]) -> bytes:
    """The listpack of these elements. O(n)."""
    parts = [_encoded(element) for element in elements]
    body = b"".join(parts)
    size = HEADER + len(body) + 1
    count = min(len(parts), UNCOUNTED)
    return b"%b%b%b\xff" % (size.to_bytes(4, "little"), count.to_bytes(2, "little"), body)


def _encoded(element: Element) -> bytes:
    if isinstance(element, int):
        return _SMALL[element] if 0 <= element < 128 else _encoded_integer(element)
    length = len(element)
    if length < 64:
        return b"%c%b%c" % (0x80 | length, element, length + 1)
    if length < 4096:
        head = b"%c%c" % (0xE0 | length >> 8, length & 0xFF)
    else:
        head = b"\xf0" + length.to_bytes(4, "little")
    return head + element + _backwards(len(head) + length)


def _encoded_integer(number: int) -> bytes:
    for kind, width in _WIDTHS.items():
        if -(1 << 8 * width - 1) <= number < 1 << 8 * width - 1:
            return b"%c%b%c" % (kind, number.to_bytes(width, "little", signed=True), width + 1)
    raise ValueError(f"{number} does not fit 64 bits")


def _backwards(length: int) -> bytes:
    """An element's own length as it is read from behind: most significant seven bits first.

    Read from behind, a set high bit means that more follows, so only the first byte has none.
    """
    size = _length_size(length)
    digits = [length >> 7 * place & 0x7F | 0x80 for place in reversed(range(size))]
    digits[0] &= 0x7F
    return bytes(digits)
