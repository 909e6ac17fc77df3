"""The compact form of a board that does not change any more, as values of a store.

    head         what every look begins with: of each block, its first score, and its first ranks
    rows:{i}     a block: a thousand entries in the order of ranks, column by column
    index:{j}    a bucket of members: in which block each of them is

A column is compressed by itself, so whoever asks for scores pays for no names. Numbers are stored
as *byte planes*, the first bytes of all of them, then the second ones, as Blosc does it: sorted
scores are alike in their upper bytes, so that what is left of a score is 1 to 3 bytes.

A score is stored as a *key*, which ascends from the best entry to the worst: its negative, where
the highest score is best. A member's bucket and *fingerprint* of 16 bits come from a keyed hash
(BLAKE2b). Of a thousand members in a bucket some share a fingerprint, for one in sixty or so, so
a block that the index names is a candidate; only its names tell. The key of the hash is drawn for
each board, so nobody can choose names that all fall together.

Names of some ten letters that are alike come to about 10 bytes a member, random UUIDs to 26; in a
sorted set a member takes 175.

Pure. Whatever cannot be read raises `Damaged`: every column has a checksum of its own.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from realtime.backends.base import Entry
from realtime.errors import InternalError

__all__ = ["ROWS", "SALT", "Block", "Bucket", "Damaged", "Head", "Packing", "blocks_of", "place_of"]

ROWS = 1_000
"""Entries per block: to unpack one costs about 0.2 ms, and it is some 5 to 25 KB."""

SALT = 16
"""Bytes of the key of a board's hash."""

_VERSION = 1
_LEVEL = 6
_OBJECT = 60
"""Bytes that an object in memory takes besides its contents, and the reference to it."""


class Damaged(InternalError):
    """What was stored cannot be read."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the archive of this season is damaged: {what}")


def blocks_of(total: int, rows: int) -> int:
    """How many blocks, and buckets, so many entries have."""
    return -(-total // rows)


def place_of(salt: bytes, member: bytes, buckets: int) -> tuple[int, int]:
    """The bucket of a member, and its fingerprint. About 1 µs."""
    number = int.from_bytes(blake2b(member, digest_size=8, key=salt).digest(), "big")
    return number % buckets, number >> 48


class Head(NamedTuple):
    """What is known of all blocks. 24 bytes per block."""

    edition: int
    """Tells boards apart that come to lie under one name after each other."""
    salt: bytes
    total: int
    rows: int
    """Per block, but for the last one."""
    last: float
    """The key of the worst entry."""
    firsts: array[float]
    """The key of each block's first entry."""
    starts: array[int]
    """The index of the first of all entries whose score that one has."""
    denses: array[int]
    """Its dense rank."""

    @property
    def weight(self) -> int:
        """Bytes of memory, about."""
        return 4 * _OBJECT + 3 * 8 * len(self.firsts)

    def value(self) -> bytes:
        """As it is stored."""
        columns = [_compressed(numbers) for numbers in (self.firsts, self.starts, self.denses)]
        stored = _StoredHead(
            _VERSION, self.edition, self.salt, self.total, self.rows, self.last, columns
        )
        return msgspec.msgpack.encode(stored)

    @classmethod
    def read(cls, value: bytes) -> Head:
        """Raises Damaged."""
        stored = _decoded(value, _StoredHead)
        if stored.version != _VERSION or stored.rows < 1 or len(stored.columns) != 3:
            raise Damaged("its head has another form")
        firsts, starts, denses = stored.columns
        count = blocks_of(stored.total, stored.rows)
        return cls(
            stored.edition,
            stored.salt,
            stored.total,
            stored.rows,
            stored.last,
            _numbers("d", firsts, count),
            _numbers("Q", starts, count),
            _numbers("Q", denses, count),
        )


class Block:
    """Some entries that stand behind each other. Names and metadata are unpacked when asked for."""

    __slots__ = ("_members", "_notes", "_stored", "keys", "weight")

    def __init__(self, value: bytes) -> None:
        """Raises Damaged; so may whatever else is asked of it."""
        self._stored = stored = _decoded(value, _StoredBlock)
        self.keys: array[float] = _numbers("d", stored.keys, stored.rows)
        """Ascending: see above."""
        self._members: list[bytes] | None = None
        self._notes: list[bytes | None] | None = None
        columns = (2 if stored.notes else 1) * stored.rows
        unpacked = stored.members_size + stored.notes_size
        self.weight = len(value) + 8 * stored.rows + _OBJECT * columns + unpacked
        """Bytes of memory, about, when everything is unpacked."""

    @property
    def members(self) -> list[bytes]:
        if self._members is None:
            stored = self._stored
            text = _inflated(stored.members, stored.members_size)
            self._members = _column(_decoded(text, list[bytes]), stored.rows)
        return self._members

    @property
    def notes(self) -> list[bytes | None]:
        """The metadata of each."""
        if self._notes is None:
            stored = self._stored
            if stored.notes:
                text = _inflated(stored.notes, stored.notes_size)
                self._notes = _column(_decoded(text, list[bytes | None]), stored.rows)
            else:
                self._notes = [None] * stored.rows
        return self._notes

    @staticmethod
    def value(keys: array[float], entries: Sequence[Entry]) -> bytes:
        """As it is stored."""
        members = msgspec.msgpack.encode([entry.member for entry in entries])
        notes = b""
        if any(entry.metadata is not None for entry in entries):
            notes = msgspec.msgpack.encode([entry.metadata for entry in entries])
        stored = _StoredBlock(
            rows=len(entries),
            keys=_compressed(keys),
            members_size=len(members),
            members=zlib.compress(members, _LEVEL),
            notes_size=len(notes),
            notes=zlib.compress(notes, _LEVEL) if notes else b"",
        )
        return msgspec.msgpack.encode(stored)


class Bucket:
    """Where some of the members are."""

    __slots__ = ("_blocks", "_fingerprints", "weight")

    def __init__(self, value: bytes) -> None:
        """Raises Damaged."""
        stored = _decoded(value, _StoredBucket)
        self._fingerprints: array[int] = _numbers("H", stored.fingerprints, stored.members)
        self._blocks: array[int] = _numbers("I", stored.blocks, stored.members)
        self.weight = 3 * _OBJECT + 6 * stored.members

    def candidates(self, fingerprint: int) -> array[int]:
        """The blocks that a member with this fingerprint may be in. O(log members)."""
        start = bisect_left(self._fingerprints, fingerprint)
        return self._blocks[start : bisect_right(self._fingerprints, fingerprint, start)]

    @staticmethod
    def value(places: array[int]) -> bytes:
        """As it is stored; each place is a fingerprint and, in the lower 32 bits, a block."""
        ordered = sorted(places)
        stored = _StoredBucket(
            members=len(ordered),
            fingerprints=_compressed(array("H", [place >> 32 for place in ordered])),
            blocks=_compressed(array("I", [place & 0xFFFFFFFF for place in ordered])),
        )
        return msgspec.msgpack.encode(stored)


class Packing:
    """Packs a board of known size, block by block in order. Holds 8 bytes per member."""

    def __init__(
        self, edition: int, salt: bytes, total: int, rows: int, *, descending: bool
    ) -> None:
        self._edition = edition
        self._salt = salt
        self._total = total
        self._rows = rows
        self._sign = -1.0 if descending else 1.0
        self._places = [array("Q") for _ in range(blocks_of(total, rows))]
        self._firsts: array[float] = array("d")
        self._starts: array[int] = array("Q")
        self._denses: array[int] = array("Q")
        self._seen = 0
        self._last: float | None = None
        self._start = self._dense = 0

    def block(self, entries: Sequence[Entry]) -> bytes:
        """The next block as it is stored, of ``rows`` entries unless it is the last one.

        About 2 ms."""
        number = len(self._firsts)
        keys = array("d", [self._sign * entry.score for entry in entries])
        for at, key in enumerate(keys):
            if key != self._last:
                self._start, self._dense, self._last = self._seen + at, self._dense + 1, key
            if at == 0:
                self._firsts.append(key)
                self._starts.append(self._start)
                self._denses.append(self._dense)
        self._seen += len(entries)
        for entry in entries:
            bucket, fingerprint = place_of(self._salt, entry.member, len(self._places))
            self._places[bucket].append(fingerprint << 32 | number)
        return Block.value(keys, entries)

    def buckets(self) -> Iterator[bytes]:
        """The index as it is stored, after all blocks."""
        return map(Bucket.value, self._places)

    def head(self) -> Head:
        """The head, after all blocks."""
        assert self._seen == self._total and self._last is not None
        return Head(
            self._edition,
            self._salt,
            self._total,
            self._rows,
            self._last,
            self._firsts,
            self._starts,
            self._denses,
        )


class _StoredHead(msgspec.Struct, array_like=True):
    version: int
    edition: int
    salt: bytes
    total: int
    rows: int
    last: float
    columns: list[bytes]


class _StoredBlock(msgspec.Struct, array_like=True):
    rows: int
    keys: bytes
    members_size: int
    """Before it was compressed."""
    members: bytes
    notes_size: int
    notes: bytes


class _StoredBucket(msgspec.Struct, array_like=True):
    members: int
    fingerprints: bytes
    blocks: bytes


def _decoded(value: bytes, shape: Any) -> Any:
    try:
        return msgspec.msgpack.decode(value, type=shape)
    except msgspec.MsgspecError as error:
        raise Damaged(str(error)) from error


def _column(column: list[Any], rows: int) -> list[Any]:
    if len(column) != rows:
        raise Damaged(f"a column of {len(column)} rows instead of {rows}")
    return column


def _inflated(value: bytes, size: int) -> bytes:
    """What was compressed, which had this size."""
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(value, max(1, size))
        text += unpacking.flush() if not unpacking.unconsumed_tail else b""
    except zlib.error as error:
        raise Damaged(str(error)) from error
    if not unpacking.eof or len(text) != size:
        raise Damaged(f"a column that has not its {size} bytes")
    return text


def _compressed(numbers: array[Any]) -> bytes:
    """Numbers as byte planes."""
    raw, width = _little_endian(numbers).tobytes(), numbers.itemsize
    return zlib.compress(b"".join([raw[plane::width] for plane in range(width)]), _LEVEL)


def _numbers(code: Any, value: bytes, count: int) -> array[Any]:
    """The other way round."""
    numbers: array[Any] = array(code)
    width = numbers.itemsize
    planes = _inflated(value, width * count)
    raw = bytearray(width * count)
    for plane in range(width):
        raw[plane::width] = planes[plane * count : (plane + 1) * count]
    numbers.frombytes(raw)
    return _little_endian(numbers)


def _little_endian(numbers: array[Any]) -> array[Any]:
    """Stored numbers mean the same on every machine."""
    if sys.byteorder == "little":
        return numbers
    swapped = numbers[:]
    swapped.byteswap()
    return swapped
