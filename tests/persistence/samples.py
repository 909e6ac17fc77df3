"""Values to write and to compare, and the shortest ways to write and to read them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from engine.keyspace import Value, text
from engine.persistence.rdb import About, Item, crc64, read, write
from engine.sortedset import SortedSet
from engine.stream import Stream, StreamId

__all__ = [
    "ITEMS",
    "dumped",
    "every_type",
    "loaded",
    "plain",
    "sealed",
    "stream",
    "unchecked",
]

NOW = 1_700_000_000_000_000
ABOUT = About(NOW)
CHECKSUM = 8


def dumped(items: Iterable[Item]) -> bytes:
    return b"".join(write(items, ABOUT))


def loaded(data: bytes) -> list[Item]:
    return list(read(io.BytesIO(data)))


def unchecked(data: bytes) -> bytes:
    """The same file with its checksum switched off, so that only its structure protects it."""
    return data[:-CHECKSUM] + bytes(CHECKSUM)


def sealed(body: bytes) -> bytes:
    """A file of version 10 whose items are ``body``, with the right checksum."""
    data = b"REDIS0010" + body + b"\xff"
    return data + crc64(data).to_bytes(CHECKSUM, "little")


def plain(items: Iterable[Item]) -> dict[bytes, Any]:
    """Items as what compares by content, deadlines as the format keeps them."""
    return {
        key: (_plain(value), None if deadline is None else -(-deadline // 1000))
        for key, value, deadline in items
    }


def _plain(value: Value) -> object:
    if isinstance(value, SortedSet):
        value._check()
        return list(value)
    if isinstance(value, Stream):
        value._check()
        return list(value.entries), value.last_id, value.max_deleted_id, value.added
    return value if isinstance(value, dict) else text(value)


def stream(*entries: tuple[StreamId, tuple[bytes, ...]]) -> Stream:
    made = Stream()
    for entry_id, fields in entries:
        made.append(entry_id, fields)
    return made


def every_type() -> list[Item]:
    """One small value of each type and of each way to be held."""
    board = SortedSet([(b"ada", 1.5), (b"bob", -2.0), (b"eve", float("inf"))])
    history = stream(((1, 0), (b"d", b"{}")), ((2, 0), (b"d", b"1", b"i", b"2")))
    return [
        (b"text", b"hello", None),
        (b"counter", -7, NOW + 1),
        (b"window", (3, 1_700_000_000), NOW + 5_000),
        (b"session", {b"user": b"ada", b"": b""}, NOW + 60_000_000),
        (b"board", board, None),
        (b"channel", history, None),
    ]


# Strategies. Sizes are drawn around the places where encodings change.

UINT64 = st.integers(0, 2**64 - 1)
SHORT = st.binary(max_size=12)
LONG = st.builds(
    lambda part, size: (part * size)[:size],
    st.binary(min_size=1, max_size=4),
    st.sampled_from([63, 64, 127, 4095, 4096, 16_383, 16_384, 70_000]),
)
BYTES = st.one_of(SHORT, SHORT, SHORT, LONG)

EDGES = [sign * 2**bits + step for bits in (7, 15, 31) for sign in (1, -1) for step in (-1, 0)]

STRINGS = st.one_of(
    BYTES,
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(EDGES),
    st.tuples(UINT64, UINT64),
)
HASHES = st.dictionaries(BYTES, BYTES, min_size=1, max_size=5)
SORTED_SETS = st.dictionaries(BYTES, st.floats(allow_nan=False), min_size=1, max_size=5).map(
    lambda rows: SortedSet(rows.items())
)


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    ids = sorted(draw(st.sets(st.tuples(UINT64, UINT64), max_size=6)) - {(0, 0)})
    names = draw(st.lists(BYTES, max_size=2))
    made = Stream()
    for entry_id in ids:
        same = draw(st.booleans())
        fields = [b"other", *names] if not same else names
        made.append(entry_id, tuple(part for name in fields for part in (name, draw(BYTES))))
    made.trim(draw(st.integers(0, 6)))
    if draw(st.booleans()) and made.entries:
        made.max_deleted_id = made.entries[0][0]
    assert all(before[0] < after[0] for before, after in pairwise(made.entries))
    return made


ITEMS = st.dictionaries(
    BYTES,
    st.tuples(
        st.one_of(STRINGS, HASHES, SORTED_SETS, streams()),
        st.one_of(st.none(), st.integers(1, 2**55)),
    ),
    max_size=5,
).map(lambda keys: [(key, value, deadline) for key, (value, deadline) in keys.items()])
