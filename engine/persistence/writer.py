"""From values to the bytes of a snapshot, a chunk at a time.

A sorted set is written from its highest member down, as Redis does: whoever loads it then
always inserts at the front. Nothing is compressed: it costs more time than it saves disk.

Values are taken as they are while they are written, so nothing may change meanwhile: the
caller has a copy of the process (see `realtime.snapshots`), or does nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from struct import Struct

from engine.keyspace import Hash, Value, text
from engine.persistence import format as rdb
from engine.persistence.crc64 import Crc, crc64
from engine.persistence.encoding import SHORT, integer, length, string
from engine.persistence.streams import dump_stream
from engine.sortedset import SortedSet

__all__ = ["About", "Item", "write"]

CHUNK = 256 * 1024
"""Bytes per chunk: one write and one checksum call each, and little memory."""

ROWS = 4096
"""Rows of one value that are made at once; about 100 KiB."""

Item = tuple[bytes, Value, int | None]
"""(key, value, deadline in microseconds since 1970, or None)"""

_double = Struct("<d").pack
_milliseconds = Struct("<q").pack


@dataclass(frozen=True, slots=True)
class About:
    """What a snapshot says of itself. Readers may show it; nothing depends on it."""

    created_at: int
    """Microseconds since 1970."""
    used_memory: int = 0
    """Bytes."""
    keys: int = 0
    """A hint that lets the reader size its table."""


def write(items: Iterable[Item], about: About, crc: Crc = crc64) -> Iterator[bytes]:
    """The bytes of a snapshot of ``items``. O(everything).

    Redis keeps deadlines in milliseconds; ours are rounded up, so nothing expires early.
    An empty hash or sorted set and an absent one are the same thing, and are not written.
    """
    checksum = 0
    for chunk in _gathered(_parts(items, about)):
        checksum = crc(chunk, checksum)
        yield chunk
    yield checksum.to_bytes(rdb.CHECKSUM_SIZE, "little")


def _gathered(parts: Iterable[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for part in parts:
        buffer += part
        if len(buffer) >= CHUNK:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


def _parts(items: Iterable[Item], about: About) -> Iterator[bytes]:
    yield _header(about)
    for key, value, deadline in items:
        head = b"" if deadline is None else _expiry(deadline)
        if isinstance(value, int):
            yield b"%b%c%b%b" % (head, rdb.STRING, string(key), integer(value))
        elif isinstance(value, (bytes, tuple)):
            yield b"%b%c%b%b" % (head, rdb.STRING, string(key), string(text(value)))
        elif isinstance(value, dict):
            if value:
                yield b"%b%c%b%b" % (head, rdb.HASH, string(key), length(len(value)))
                yield from _fields(value)
        elif isinstance(value, SortedSet):
            if value:
                yield b"%b%c%b%b" % (head, rdb.ZSET_2, string(key), length(len(value)))
                yield from _rows(value)
        else:
            yield b"%b%c%b" % (head, rdb.STREAM_LISTPACKS_2, string(key))
            yield from dump_stream(value)
    yield b"%c" % rdb.EOF


def _header(about: About) -> bytes:
    facts: Mapping[bytes, bytes] = {
        b"redis-ver": string(b"7.0.0"),  # whose format this is
        b"redis-bits": integer(64),
        b"ctime": integer(about.created_at // 1_000_000),
        b"used-mem": integer(about.used_memory),
    }
    aux = [b"%c%b%b" % (rdb.AUX, string(name), fact) for name, fact in facts.items()]
    hints = b"%c%b%b" % (rdb.RESIZE, length(about.keys), length(0))
    return b"%b%04d%b%c%b%b" % (rdb.MAGIC, rdb.VERSION, b"".join(aux), rdb.SELECT, length(0), hints)


def _expiry(deadline: int) -> bytes:
    return b"%c%b" % (rdb.EXPIRE_MS, _milliseconds(-(-deadline // 1000)))


def _fields(record: Hash) -> Iterator[bytes]:
    """Name and value; nearly all are short, so that loop makes no calls for them."""
    short, limit = SHORT, len(SHORT)
    fields = iter(record.items())
    while batch := list(islice(fields, ROWS)):
        yield b"".join(
            [
                short[len(part)] + part if len(part) < limit else string(part)
                for field in batch
                for part in field
            ]
        )


def _rows(board: SortedSet) -> Iterator[bytes]:
    """Member and double, highest first; most members are short, so that loop has no calls."""
    short, double = SHORT, _double
    for start in range(0, len(board), ROWS):
        rows = board.stored_slice(start, start + ROWS, reverse=True)
        if max(len(member) for member, _ in rows) < len(short):
            yield b"".join([short[len(member)] + member + double(score) for member, score in rows])
        else:
            yield b"".join([string(member) + double(score) for member, score in rows])
