"""What equal means: same type, same content in canonical order, same deadline.

The canonical order is the sorted set's own, a hash's fields by their names, a stream's
entries by id, and a stream's counters with them. Deadlines count in whole milliseconds, as
stores and snapshots keep them. How a string is held does not matter, only its text.

A *seal* is the digest of one key with its deadline beside it; 24 bytes, so that those of
millions of keys can be held. It is made without the code that writes snapshots or commands:
whatever that forgot, shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from struct import Struct, pack

from engine.keyspace import text, type_name
from engine.sortedset import SortedSet
from engine.stream import Stream
from realtime.transfer.ends import Item

__all__ = ["Seal", "Total", "deadline_of", "seal"]

Seal = bytes

SIZE = 16
"""Bytes of a digest. Nobody forges one; it must only never meet another by chance."""

ROWS = 4096
"""Rows that are hashed at once. It is part of what a digest is."""

NEVER = -1

_deadline = Struct("<q")


def seal(item: Item) -> Seal:
    """The seal of one key. O(n), O(n log n) for a hash."""
    key, value, deadline = item
    milliseconds = _deadline.pack(NEVER if deadline is None else -(-deadline // 1000))
    state = blake2b(_strings([key, type_name(value).encode(), milliseconds]), digest_size=SIZE)
    if isinstance(value, dict):
        parts = _fields(value)
    elif isinstance(value, SortedSet):
        parts = _rows(value)
    elif isinstance(value, Stream):
        parts = _entries(value)
    else:
        parts = iter([text(value)])
    for part in parts:
        state.update(part)
    return state.digest() + milliseconds


def deadline_of(sealed: Seal) -> int | None:
    """Microseconds since 1970, or None."""
    (milliseconds,) = _deadline.unpack_from(sealed, SIZE)
    return None if milliseconds == NEVER else milliseconds * 1000


class Total:
    """One digest of many keys, in whatever order they come; 32 hexadecimal digits."""

    __slots__ = ("_sum",)

    def __init__(self, seals: Iterable[Seal] = ()) -> None:
        self._sum = sum(map(_number, seals))

    def add(self, sealed: Seal) -> None:
        self._sum += _number(sealed)

    def remove(self, sealed: Seal) -> None:
        self._sum -= _number(sealed)

    def __str__(self) -> str:
        return f"{self._sum % 256**SIZE:0{2 * SIZE}x}"


def _number(sealed: Seal) -> int:
    return int.from_bytes(sealed[:SIZE])


def _strings(parts: Sequence[bytes]) -> bytes:
    """No two sequences make the same bytes."""
    return pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts)) + b"".join(parts)


def _fields(record: Mapping[bytes, bytes]) -> Iterator[bytes]:
    names = iter(sorted(record))
    while batch := list(islice(names, ROWS)):
        yield _strings(batch)
        yield _strings([record[name] for name in batch])


def _rows(board: SortedSet) -> Iterator[bytes]:
    for start in range(0, len(board), ROWS):
        members, scores = zip(*board.stored_slice(start, start + ROWS), strict=True)
        yield _strings(members)
        yield pack(f"<{len(scores)}d", *scores)


def _entries(stream: Stream) -> Iterator[bytes]:
    yield pack("<5Q", *stream.last_id, *stream.max_deleted_id, stream.added)
    for (milliseconds, sequence), fields in stream.entries:
        yield pack("<2Q", milliseconds, sequence)
        yield _strings(fields)
