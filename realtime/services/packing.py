"""The compact form of a board that does not change any more, as values of a store.

    head         what every look begins with: of each block, its first score, and its first ranks
    rows:{i}     a block: a thousand entries in the order of ranks, column by column
    index:{j}    a bucket of members: in which block each of them is

A column is compressed by itself, so whoever asks for scores pays for no names; see
`realtime.services.columns`.

A score is stored as a *key*, which ascends from the best entry to the worst: its negative, where
the highest score is best. A member's bucket and *fingerprint* of 16 bits come from a keyed hash
(BLAKE2b). Of a thousand members in a bucket some share a fingerprint, for one in sixty or so, so
a block that the index names is a candidate; only its names tell. The key of the hash is drawn for
each board, so nobody can choose names that all fall together.

Who is *erased* is taken out of his block, his bucket and the head, and all that speaks of where he
stood. These get a new *mark*, a number drawn at random, and the head says which mark each block and
bucket has: so whoever reads parts of different instants learns of it. Blocks may become shorter by
that, and empty.

Names of some ten letters that are alike come to about 10 bytes a member, random UUIDs to 26; in a
sorted set a member takes 175.

Pure. Whatever cannot be read raises `Damaged`.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from realtime.backends.base import Entry
from realtime.services.columns import (
    LEVEL,
    Damaged,
    column,
    compressed,
    decoded,
    inflated,
    numbers_of,
)

__all__ = ["ROWS", "SALT", "Block", "Bucket", "Damaged", "Head", "Packing", "blocks_of", "place_of"]

ROWS = 1_000
"""Entries per block: to unpack one costs about 0.2 ms, and it is some 5 to 25 KB."""

SALT = 16
"""Bytes of the key of a board's hash."""

_PACKED, _ERASED = 1, 2
"""Forms of a head: as it was packed, and after somebody was erased."""
_COLUMNS = {_PACKED: 3, _ERASED: 6}
_FEW = 4
"""Members that are found sooner by looking at all of a block than by a dict of it."""
_OBJECT = 60
"""Bytes that an object in memory takes besides its contents, and the reference to it."""


def blocks_of(total: int, rows: int) -> int:
    """How many blocks, and buckets, so many entries have."""
    return -(-total // rows)


def place_of(salt: bytes, member: bytes, buckets: int) -> tuple[int, int]:
    """The bucket of a member, and its fingerprint. About 1 µs."""
    number = int.from_bytes(blake2b(member, digest_size=8, key=salt).digest(), "big")
    return number % buckets, number >> 48


class Head(NamedTuple):
    """What is known of all blocks. 40 bytes per block."""

    edition: int
    """Tells boards apart that come to lie under one name after each other."""
    salt: bytes
    total: int
    rows: int
    """Per block, but for the last one."""
    last: float
    """The key of the worst entry; if there is none any more, of one that was."""
    firsts: array[float]
    """The key of each block's first entry. One that has become empty keeps it."""
    starts: array[int]
    """The index of the first of all entries whose score that one has."""
    denses: array[int]
    """Its dense rank."""
    befores: array[int]
    """How many entries stand in the blocks before."""
    block_marks: array[int]
    """The mark of each block; 0 for what is as it was packed."""
    bucket_marks: array[int]
    mark: int
    """Its own."""

    @property
    def weight(self) -> int:
        """Bytes of memory, about."""
        return 7 * _OBJECT + 5 * 8 * len(self.firsts)

    def block_at(self, index: int) -> int:
        """The block in which the entry with this index is. O(log blocks)."""
        return bisect_right(self.befores, index) - 1

    def size(self, number: int) -> int:
        """How many entries a block has."""
        is_last = number == len(self.befores) - 1
        return (self.total if is_last else self.befores[number + 1]) - self.befores[number]

    def value(self) -> bytes:
        """As it is stored: shorter if nobody was erased."""
        columns = [compressed(numbers) for numbers in (self.firsts, self.starts, self.denses)]
        stored = _StoredHead(
            _PACKED, self.edition, self.salt, self.total, self.rows, self.last, columns
        )
        if self.mark:
            columns += map(compressed, (self.befores, self.block_marks, self.bucket_marks))
            stored.version, stored.blocks, stored.mark = _ERASED, len(self.firsts), self.mark
        return msgspec.msgpack.encode(stored)

    @classmethod
    def read(cls, value: bytes) -> Head:
        """Raises Damaged."""
        stored = decoded(value, _StoredHead)
        if stored.rows < 1 or len(stored.columns) != _COLUMNS.get(stored.version):
            raise Damaged("its head has another form")
        is_whole = stored.version == _PACKED
        count = blocks_of(stored.total, stored.rows) if is_whole else stored.blocks
        columns = [
            numbers_of(code, text, count)
            for code, text in zip("dQQQII", stored.columns, strict=False)
        ]
        if is_whole:
            columns += _untouched(count, stored.rows)
        firsts, starts, denses, befores, block_marks, bucket_marks = columns
        return cls(
            stored.edition,
            stored.salt,
            stored.total,
            stored.rows,
            stored.last,
            firsts,
            starts,
            denses,
            befores,
            block_marks,
            bucket_marks,
            stored.mark,
        )


class Block:
    """Some entries that stand behind each other. Names and metadata are unpacked when asked for."""

    __slots__ = ("_denses", "_members", "_notes", "_stored", "keys", "mark", "weight")

    def __init__(self, value: bytes) -> None:
        """Raises Damaged; so may whatever else is asked of it."""
        self._stored = stored = decoded(value, _StoredBlock)
        self.mark: int = stored.mark
        self.keys: array[float] = numbers_of("d", stored.keys, stored.rows)
        """Ascending: see above."""
        self._members: list[bytes] | None = None
        self._notes: list[bytes | None] | None = None
        self._denses: array[int] | None = None
        columns = (2 if stored.notes else 1) * stored.rows
        unpacked = stored.members_size + stored.notes_size
        self.weight = len(value) + 12 * stored.rows + _OBJECT * columns + unpacked
        """Bytes of memory, about, when everything is unpacked."""

    @property
    def members(self) -> list[bytes]:
        if self._members is None:
            stored = self._stored
            text = inflated(stored.members, stored.members_size)
            self._members = column(decoded(text, list[bytes]), stored.rows)
        return self._members

    @property
    def notes(self) -> list[bytes | None]:
        """The metadata of each."""
        if self._notes is None:
            stored = self._stored
            if stored.notes:
                text = inflated(stored.notes, stored.notes_size)
                self._notes = column(decoded(text, list[bytes | None]), stored.rows)
            else:
                self._notes = [None] * stored.rows
        return self._notes

    @property
    def denses(self) -> array[int]:
        """How many scores there are before each, of those in this block."""
        if self._denses is None:
            steps = [key != last for last, key in pairwise(self.keys)]
            self._denses = array("I", accumulate(steps, initial=0))
        return self._denses

    def places(self, names: Sequence[bytes]) -> Iterator[int]:
        """Where those of these members stand who are in this block."""
        there = self.members
        if len(names) <= _FEW:
            yield from [there.index(name) for name in names if name in there]
            return
        places = {name: at for at, name in enumerate(there)}
        yield from [places[name] for name in names if name in places]

    def without(self, at: int, mark: int) -> bytes:
        """As it is stored without one of its entries. About 2 ms."""
        keys, members, notes = self.keys[:], self.members[:], self.notes[:]
        for values in (keys, members, notes):
            values.pop(at)
        return Block.value(keys, members, notes, mark)

    @staticmethod
    def value(
        keys: array[float],
        members: Sequence[bytes],
        notes: Sequence[bytes | None],
        mark: int = 0,
    ) -> bytes:
        """As it is stored."""
        names = msgspec.msgpack.encode(members)
        noted = b""
        if any(note is not None for note in notes):
            noted = msgspec.msgpack.encode(notes)
        stored = _StoredBlock(
            rows=len(members),
            keys=compressed(keys),
            members_size=len(names),
            members=zlib.compress(names, LEVEL),
            notes_size=len(noted),
            notes=zlib.compress(noted, LEVEL) if noted else b"",
            mark=mark,
        )
        return msgspec.msgpack.encode(stored)


class Bucket:
    """Where some of the members are."""

    __slots__ = ("_blocks", "_fingerprints", "mark", "weight")

    def __init__(self, value: bytes) -> None:
        """Raises Damaged."""
        stored = decoded(value, _StoredBucket)
        self._fingerprints: array[int] = numbers_of("H", stored.fingerprints, stored.members)
        self._blocks: array[int] = numbers_of("I", stored.blocks, stored.members)
        self.mark: int = stored.mark
        self.weight = 3 * _OBJECT + 6 * stored.members

    def candidates(self, fingerprint: int) -> array[int]:
        """The blocks that a member with this fingerprint may be in. O(log members)."""
        start = bisect_left(self._fingerprints, fingerprint)
        return self._blocks[start : bisect_right(self._fingerprints, fingerprint, start)]

    def without(self, fingerprint: int, block: int, mark: int) -> bytes:
        """As it is stored without a member who has this fingerprint, and is in this block."""
        pairs = zip(self._fingerprints, self._blocks, strict=True)
        places = array("Q", [_place(*pair) for pair in pairs])
        places.remove(_place(fingerprint, block))
        return Bucket.value(places, mark)

    @staticmethod
    def value(places: array[int], mark: int = 0) -> bytes:
        """As it is stored; each place is a fingerprint and, in the lower 32 bits, a block."""
        ordered = sorted(places)
        stored = _StoredBucket(
            members=len(ordered),
            fingerprints=compressed(array("H", [place >> 32 for place in ordered])),
            blocks=compressed(array("I", [place & 0xFFFFFFFF for place in ordered])),
            mark=mark,
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
            self._places[bucket].append(_place(fingerprint, number))
        members = [entry.member for entry in entries]
        return Block.value(keys, members, [entry.metadata for entry in entries])

    def buckets(self) -> Iterator[bytes]:
        """The index as it is stored, after all blocks."""
        return map(Bucket.value, self._places)

    def head(self) -> Head:
        """The head, after all blocks."""
        assert self._seen == self._total and self._last is not None
        befores, *marks = _untouched(len(self._firsts), self._rows)
        return Head(
            self._edition,
            self._salt,
            self._total,
            self._rows,
            self._last,
            self._firsts,
            self._starts,
            self._denses,
            befores,
            marks[0],
            marks[1],
            0,
        )


class _StoredHead(msgspec.Struct, array_like=True):
    version: int
    edition: int
    salt: bytes
    total: int
    rows: int
    last: float
    columns: list[bytes]
    blocks: int = 0
    """If somebody was erased; before that their number follows from the total."""
    mark: int = 0


class _StoredBlock(msgspec.Struct, array_like=True):
    rows: int
    keys: bytes
    members_size: int
    """Before it was compressed."""
    members: bytes
    notes_size: int
    notes: bytes
    mark: int = 0


class _StoredBucket(msgspec.Struct, array_like=True):
    members: int
    fingerprints: bytes
    blocks: bytes
    mark: int = 0


def _place(fingerprint: int, block: int) -> int:
    return fingerprint << 32 | block


def _untouched(blocks: int, rows: int) -> list[array[int]]:
    """What a head says of blocks and buckets as long as nobody is erased."""
    marks = array("I", bytes(4 * blocks))
    return [array("Q", range(0, blocks * rows, rows)), marks, marks]
