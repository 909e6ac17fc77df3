"""The checksum of snapshots: CRC-64 with the polynomial of Jones, as Redis computes it.

Reflected, started from 0, not inverted; the check value of ``b"123456789"`` is
0xe9c6d914c4b8d9ca. This one needs nothing but Python and takes about 0.1 µs a byte: right
for tests and small files. A server injects one written in C wherever a `Crc` is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Crc", "crc64"]

Crc = Callable[[bytes, int], int]
"""``(data, checksum of what came before) -> checksum``."""

POLYNOMIAL = 0x95AC9329AC4BC9B5
"""0xad93d23594c935a9 with its bits in reverse order, since we shift to the right."""


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(_entry(byte) for byte in range(256))


def crc64(data: bytes, checksum: int = 0) -> int:
    """The checksum of ``data``, going on from ``checksum``. O(n)."""
    table = _TABLE
    for byte in data:
        checksum = table[(checksum ^ byte) & 0xFF] ^ checksum >> 8
    return checksum
