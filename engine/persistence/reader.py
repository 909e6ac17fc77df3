"""From the bytes of a snapshot to values, one key at a time.

Whatever is in the file, the answer is its keys or an RdbError; and since only the end of the
file proves the beginning, a caller must throw away what it got when the error comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from engine.clock import MILLISECOND, SECOND
from engine.keyspace import Value
from engine.persistence import format as rdb
from engine.persistence.crc64 import Crc, crc64
from engine.persistence.errors import Damaged, RdbError, Unsupported
from engine.persistence.source import Source
from engine.persistence.values import LOADERS
from engine.persistence.writer import Item
from engine.sortedset import SortedSet

__all__ = ["read"]


def read(file: BinaryIO, crc: Crc = crc64, *, alone: bool = True) -> Iterator[Item]:
    """Every (key, value, deadline) of a snapshot, from the beginning of a file that can seek.

    Unless the snapshot is ``alone`` in it, the file stands at the end of the snapshot afterwards.
    Raises Damaged or Unsupported. An integer of up to 32 bits comes as an int. O(everything).
    """
    source = Source(file, crc)
    reader = _Reader(source)
    try:
        yield from reader.items()
        source.finish(checked=reader.version >= rdb.CHECKSUM_SINCE, alone=alone)
    except Unsupported as fault:
        # A flipped bit can turn a type we have into one that we lack: do not blame Redis for it.
        if alone and reader.version >= rdb.CHECKSUM_SINCE and not source.is_whole():
            what = f"the checksum does not match; nothing made sense from here on: {fault.what}"
            raise Damaged(what, fault.offset, fault.key) from None
        raise


class _Reader:
    """What is known between two items: the version, the database, the deadline to come."""

    __slots__ = ("_database", "_deadline", "_filled", "_source", "version")

    def __init__(self, source: Source) -> None:
        self._source = source
        self.version = 0
        self._database = 0
        self._filled: int | None = None  # the database that has keys; the engine has only one
        self._deadline: int | None = None

    def items(self) -> Iterator[Item]:
        self._header()
        source = self._source
        while (code := source.byte()) != rdb.EOF:
            operands = _OPCODES.get(code)
            if operands is not None:
                operands(self)
                continue
            key, value = self._pair(code)
            if value or not isinstance(value, (dict, SortedSet)):  # an empty one is absent
                yield key, value, self._deadline
            self._deadline = source.key = None

    def _header(self) -> None:
        source = self._source
        if source.remaining < rdb.HEADER_SIZE or source.take(len(rdb.MAGIC)) != rdb.MAGIC:
            raise Damaged("this is not a Redis snapshot: it does not begin with REDIS", 0)
        digits = source.take(rdb.HEADER_SIZE - len(rdb.MAGIC))
        if not digits.isdigit():
            raise Damaged(f"{digits!r} is no version of a snapshot", len(rdb.MAGIC))
        self.version = int(digits)
        if self.version not in rdb.READABLE:
            newest = rdb.READABLE[-1]
            what = f"version {self.version} cannot be read, only versions up to {newest}"
            raise Unsupported(what, len(rdb.MAGIC))

    def _pair(self, kind: int) -> tuple[bytes, Value]:
        source = self._source
        offset = source.offset - 1
        load = LOADERS.get(kind)
        if load is None and kind not in rdb.UNSUPPORTED_TYPES:
            raise self._unknown(kind, offset)
        key = source.key = source.string()
        if load is None:
            name = rdb.UNSUPPORTED_TYPES[kind]
            raise Unsupported(f"{name} (type {kind}) cannot be loaded", offset, key)
        if self._filled not in (None, self._database):
            what = (
                f"there are keys in the databases {self._filled} and {self._database}, not in one"
            )
            raise Unsupported(what, offset, key)
        self._filled = self._database
        return key, load(source)

    def _unknown(self, code: int, offset: int) -> RdbError:
        name = rdb.UNSUPPORTED_OPCODES.get(code)
        if name is None:
            return Damaged(f"{code} is no type of a value", offset)
        return Unsupported(f"{name} (opcode {code}) cannot be loaded", offset)

    def _select(self) -> None:
        self._database = self._source.length()

    def _expire_seconds(self) -> None:
        self._deadline = self._source.number(4, signed=True) * SECOND

    def _expire_milliseconds(self) -> None:
        self._deadline = self._source.number(8, signed=True) * MILLISECOND

    def _skip_lengths(self, count: int) -> None:
        for _ in range(count):
            self._source.length()

    def _skip_strings(self, count: int) -> None:
        for _ in range(count):
            self._source.string()


_OPCODES: dict[int, Callable[[_Reader], object]] = {
    rdb.SELECT: _Reader._select,
    rdb.EXPIRE_SECONDS: _Reader._expire_seconds,
    rdb.EXPIRE_MS: _Reader._expire_milliseconds,
    # What Redis notes for itself: of the file, of its tables, of the use of a key.
    rdb.AUX: lambda reader: reader._skip_strings(2),
    rdb.RESIZE: lambda reader: reader._skip_lengths(2),
    rdb.SLOT_INFO: lambda reader: reader._skip_lengths(3),
    rdb.IDLE: lambda reader: reader._skip_lengths(1),
    rdb.FREQUENCY: lambda reader: reader._source.byte(),
}
