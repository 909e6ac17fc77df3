"""The lines of a journal that are no commands; Redis skips whatever begins with #.

    #RT:<sequence>:<bytes>:<synced>:<crc>\\r\\n      ours, before the commands of a batch
    #TS:<seconds>\\r\\n                             of a redis-server that notes the time

`engine.persistence.journal` says what they mean.
"""

from __future__ import annotations

import re
import zlib

__all__ = ["LINE", "MAX_LINE", "TIMESTAMP", "head", "is_beginning", "matches", "seal"]

MAX_LINE = 127
"""Bytes of a line with its end: what Redis reads of one."""

LINE = re.compile(rb"#RT:([1-9]\d{0,18}):([1-9]\d{0,9}):(0|[1-9]\d{0,18}):([0-9a-f]{8})\r\n")
"""Groups: sequence, bytes, synced, crc."""
TIMESTAMP = re.compile(rb"#TS:\d{1,19}\r\n")

_BEGINNINGS = (
    re.compile(
        rb"#RT:(?:[1-9]\d{0,18}(?::(?:[1-9]\d{0,9}(?::(?:(?:0|[1-9]\d{0,18})"
        rb"(?::(?:[0-9a-f]{0,8}|[0-9a-f]{8}\r))?)?)?)?)?)?"
    ),
    re.compile(rb"#TS:(?:\d{1,19}\r?)?"),
    re.compile(rb"#(?:[RT]|RT|TS)?"),
)


def seal(sequence: int, synced: int, body: bytes) -> bytes:
    """The batch of these commands, ready to be appended. O(bytes)."""
    covered = b"%d:%d:%d:" % (sequence, len(body), synced)
    return b"#RT:%b%08x\r\n%b" % (covered, zlib.crc32(body, zlib.crc32(covered)), body)


def head(line: re.Match[bytes]) -> bytes:
    """What the checksum of a line covers besides the body."""
    return line.string[line.start(1) : line.start(4)]


def matches(line: re.Match[bytes], body: bytes) -> bool:
    """Whether the seal is of this body. O(bytes)."""
    covered = line.string[line.start(1) : line.start(4)]  # written out: once per batch
    return zlib.crc32(body, zlib.crc32(covered)) == int(line[4], 16)


def is_beginning(data: bytes) -> bool:
    """Whether more bytes could make a whole line of this. O(MAX_LINE)."""
    return any(beginning.fullmatch(data) for beginning in _BEGINNINGS)
