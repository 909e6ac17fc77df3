"""From the file to a value: one loader per type that Redis writes and the engine has.

A loader is called where the value begins and leaves the source where it ends. Whatever is
wrong with the bytes, it raises Damaged. n is the number of rows of the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import TypeVar

from engine.keyspace import Hash, Value
from engine.persistence import format as rdb
from engine.persistence.errors import Damaged, Malformed
from engine.persistence.listpack import Element, text, unpack
from engine.persistence.packed import unpack_ziplist, unpack_zipmap
from engine.persistence.source import Source
from engine.persistence.streams import load_stream
from engine.sortedset import Row, SortedSet

__all__ = ["LOADERS"]

Loader = Callable[[Source], Value]
E = TypeVar("E", bound=Element)

_unpack_double = Struct("<d").unpack_from
_NUMBER = re.compile(rb"[+-]?(?:inf|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", re.IGNORECASE)

_SPECIAL_SCORES = {253: float("nan"), 254: float("inf"), 255: float("-inf")}
"""What the length byte of a score means in the oldest form of sorted sets."""


def _load_hash(source: Source) -> Hash:
    """O(n)."""
    count = source.count(row=2)
    parts = iter(source.strings(2 * count))
    return _distinct(source, dict(zip(parts, parts, strict=True)), count)


def _load_sorted_set(source: Source, rows: Callable[[Source, int], Iterator[Row]]) -> SortedSet:
    """O(n), since the rows are in order."""
    count = source.count(row=2)
    return _distinct(source, SortedSet(rows(source, count)), count)


def _rows(source: Source, count: int) -> Iterator[Row]:
    """Member and double, ``count`` times. The loop of a million-member board: no calls in it."""
    unpack_double = _unpack_double
    buffer, position = source.buffer, source.position
    size = len(buffer)
    for _ in range(count):
        length = buffer[position] if position < size else size
        end = position + length + 9
        if length < 0x40 and end <= size:
            member = buffer[position + 1 : end - 8]
        else:  # long, stored as an integer, compressed, or across the end of the buffer
            source.position = position
            member = source.string()
            source.fill(8)
            buffer, end = source.buffer, source.position + 8
            size = len(buffer)
        (score,) = unpack_double(buffer, end - 8)
        if score != score:
            raise source.damaged(f"the score of {member!r} is not a number")
        yield member, score
        position = end
    source.position = position


def _rows_as_text(source: Source, count: int) -> Iterator[Row]:
    """Member and decimal number, ``count`` times: what Redis wrote before version 4."""
    for _ in range(count):
        member = source.string()
        length = source.byte()
        special = _SPECIAL_SCORES.get(length)
        try:
            score = _score(source.take(length)) if special is None else special
        except Malformed as fault:
            raise source.damaged(str(fault)) from None
        if score != score:
            raise source.damaged(f"the score of {member!r} is not a number")
        yield member, score


def _score(written: Element) -> float:
    if isinstance(written, int):
        return float(written)
    if not _NUMBER.fullmatch(written):  # float() would also take "nan" and "1_000"
        raise Malformed(f"{written!r} is not a score")
    return float(written)


def _packed_hash(unpack_pairs: Callable[[bytes], Sequence[Element]]) -> Loader:
    def load(source: Source) -> Hash:
        names, values = _pairs(source, unpack_pairs)
        record = dict(zip(map(text, names), map(text, values), strict=True))
        return _distinct(source, record, len(names))

    return load


def _packed_sorted_set(unpack_pairs: Callable[[bytes], Sequence[Element]]) -> Loader:
    def load(source: Source) -> SortedSet:
        members, scores = _pairs(source, unpack_pairs)
        try:
            rows = zip(map(text, members), map(_score, scores), strict=True)
            return _distinct(source, SortedSet(rows), len(members))
        except Malformed as fault:
            raise source.damaged(str(fault)) from None

    return load


def _pairs(
    source: Source, unpack_pairs: Callable[[bytes], Sequence[E]]
) -> tuple[Sequence[E], Sequence[E]]:
    """The even and the odd elements of a packed value."""
    offset = source.offset
    try:
        elements = unpack_pairs(source.string())
        if len(elements) % 2:
            raise Malformed(f"{len(elements)} elements are no pairs")
    except Malformed as fault:
        raise Damaged(str(fault), offset, source.key) from None
    return elements[::2], elements[1::2]


S = TypeVar("S", Hash, SortedSet)


def _distinct(source: Source, value: S, count: int) -> S:
    if len(value) != count:
        raise source.damaged(
            f"of {count} members or fields, {count - len(value)} stand there twice"
        )
    return value


LOADERS: dict[int, Loader] = {
    rdb.STRING: Source.scalar,
    rdb.HASH: _load_hash,
    rdb.HASH_ZIPMAP: _packed_hash(unpack_zipmap),
    rdb.HASH_ZIPLIST: _packed_hash(unpack_ziplist),
    rdb.HASH_LISTPACK: _packed_hash(unpack),
    rdb.ZSET: lambda source: _load_sorted_set(source, _rows_as_text),
    rdb.ZSET_2: lambda source: _load_sorted_set(source, _rows),
    rdb.ZSET_ZIPLIST: _packed_sorted_set(unpack_ziplist),
    rdb.ZSET_LISTPACK: _packed_sorted_set(unpack),
    rdb.STREAM_LISTPACKS: lambda source: load_stream(source, tracked=False),
    rdb.STREAM_LISTPACKS_2: lambda source: load_stream(source, tracked=True),
    rdb.STREAM_LISTPACKS_3: lambda source: load_stream(source, tracked=True),
}
