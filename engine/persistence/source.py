"""Reading a snapshot a block at a time, never past its end, never more than it holds.

A `Source` answers bytes, lengths and strings from where it stands. Whatever a length in the
file says, it is compared with what is left of the file before anything is allocated. What
has been read is added to the checksum once per block.

Values of many rows read `buffer` from `position` themselves, and put the position back.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from engine.persistence import format as rdb
from engine.persistence.crc64 import Crc
from engine.persistence.errors import Damaged, Malformed
from engine.persistence.lzf import MAX_RATIO, decompress

__all__ = ["Source"]

BLOCK = 1 << 20
"""Bytes per read: large enough that reading costs nothing, small beside any engine."""

_INTEGERS = {rdb.INT8: 1, rdb.INT16: 2, rdb.INT32: 4}


class Source:
    """A file that can seek, read from its beginning."""

    __slots__ = ("_base", "_checksum", "_crc", "_file", "_size", "buffer", "key", "position")

    def __init__(self, file: BinaryIO, crc: Crc) -> None:
        self._file = file
        self._crc = crc
        self._checksum = 0
        self._size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._base = 0  # the offset of buffer[0]
        self.buffer = b""
        self.position = 0
        self.key: bytes | None = None  # whose value is being read, for errors

    @property
    def offset(self) -> int:
        """The byte of the file that comes next."""
        return self._base + self.position

    @property
    def remaining(self) -> int:
        """Bytes of the file that come next."""
        return self._size - self.offset

    def damaged(self, what: str) -> Damaged:
        return Damaged(what, self.offset, self.key)

    def fill(self, wanted: int) -> None:
        """Have ``wanted`` bytes in the buffer from the position on, or raise Damaged."""
        available = len(self.buffer) - self.position
        if available >= wanted:
            return
        if wanted > self.remaining:
            left = self.remaining
            raise self.damaged(
                f"the file is cut short: {wanted} bytes were to come, {left} are left"
            )
        self._let_go()
        parts = [self.buffer]
        while available < wanted:
            parts.append(self._read())
            available += len(parts[-1])
        self.buffer = b"".join(parts)

    def take(self, size: int) -> bytes:
        self.fill(size)
        end = self.position + size
        data = self.buffer[self.position : end]
        self.position = end
        return data

    def byte(self) -> int:
        if self.position == len(self.buffer):
            self.fill(1)
        byte = self.buffer[self.position]
        self.position += 1
        return byte

    def number(self, size: int, *, signed: bool = False) -> int:
        """An integer of ``size`` bytes, little endian."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def length(self) -> int:
        first = self.byte()
        if first < 0x40:
            return first
        if first < 0x80:
            return (first & 0x3F) << 8 | self.byte()
        if first in (0x80, 0x81):
            return int.from_bytes(self.take(4 if first == 0x80 else 8), "big")
        self.position -= 1
        raise self.damaged(f"no length begins with {first:#04x}")

    def count(self, row: int) -> int:
        """How many rows follow, each of at least ``row`` bytes."""
        count = self.length()
        if count * row > self.remaining:
            raise self.damaged(f"{count} rows were announced, {self.remaining} bytes are left")
        return count

    def scalar(self) -> bytes | int:
        """A string; one that is stored as an integer comes as an int."""
        first = self.byte()
        if width := _INTEGERS.get(first):
            return self.number(width, signed=True)
        if first == rdb.COMPRESSED:
            return self._compressed()
        self.position -= 1
        return self.take(self.length())

    def string(self) -> bytes:
        scalar = self.scalar()
        return scalar if isinstance(scalar, bytes) else b"%d" % scalar

    def strings(self, count: int) -> list[bytes]:
        """``count`` strings. Nearly all are short and at hand: the loop makes no calls for them."""
        strings: list[bytes] = []
        buffer, position = self.buffer, self.position
        size = len(buffer)
        for _ in range(count):
            length = buffer[position] if position < size else size
            end = position + length + 1
            if length < 0x40 and end <= size:
                strings.append(buffer[position + 1 : end])
                position = end
            else:  # long, stored as an integer, compressed, or across the end of the buffer
                self.position = position
                strings.append(self.string())
                buffer, position = self.buffer, self.position
                size = len(buffer)
        self.position = position
        return strings

    def finish(self, *, checked: bool, alone: bool) -> None:
        """Compare the checksum of everything up to here with the one that comes next.

        Nothing may follow a snapshot that is ``alone``; otherwise the file is put to its end.
        """
        self._let_go()
        offset = self.offset
        stored = self.number(rdb.CHECKSUM_SIZE) if checked else 0
        if stored not in (0, self._checksum):  # Redis writes 0 when told not to compute it
            raise Damaged("the checksum does not match", offset)
        if alone and self.remaining:
            raise self.damaged(f"{self.remaining} bytes follow the end of the snapshot")
        self._file.seek(self.offset)

    def is_whole(self) -> bool:
        """Whether the checksum of the whole file matches, wherever reading has got to."""
        while (rest := self.remaining - rdb.CHECKSUM_SIZE) > 0:
            self.take(min(rest, BLOCK))
        self._let_go()
        return rest == 0 and self.number(rdb.CHECKSUM_SIZE) in (0, self._checksum)

    def _compressed(self) -> bytes:
        length, size = self.length(), self.length()
        if size > MAX_RATIO * length:
            raise self.damaged(f"{length} compressed bytes cannot hold the {size} announced")
        offset = self.offset
        data = self.take(length)
        try:
            return decompress(data, size)
        except Malformed as fault:
            raise Damaged(str(fault), offset, self.key) from None

    def _let_go(self) -> None:
        """Drop what was read from the buffer, and add it to the checksum."""
        done = self.buffer[: self.position]
        self._checksum = self._crc(done, self._checksum)
        self.buffer = self.buffer[self.position :]
        self._base += len(done)
        self.position = 0

    def _read(self) -> bytes:
        block = self._file.read(BLOCK)
        if not block:
            raise self.damaged("the file shrank while it was read")
        return block
