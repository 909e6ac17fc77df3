"""The end of the last increment is not whole: did a crash leave it so, or is it damage?

Let the first batch that is not whole be batch k, at offset X. What can be there:

* nothing but the beginning of it: the process, or the machine, died while it was written.
* zeros: a power cut after the file had grown and before all of its bytes were on disk. What
  is missing then are whole sectors. Later batches may have got there before earlier ones.
* anything else: no crash does that. Bytes were changed.

A later batch that is whole says up to which one the disk was known to have everything. Says
it k, or more, then k was lost after it had been safe, and no cut may hide that. So we look
for such a batch first. Texts that look like one may lie in what users have stored; they could
make us refuse, never accept. How long we look is bounded, see EFFORT.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from engine.persistence.annotations import LINE, MAX_LINE, head

__all__ = ["Tail", "whole_batches"]

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""

EFFORT = 16
"""How many times the tail's own length we read in search of whole batches. Those that are
whole do not overlap, so it takes one time; many lines that promise long batches take more."""

PIECE = 1 << 20
"""Bytes per read; a multiple of SECTOR."""


def whole_batches(file: BinaryIO, start: int) -> list[int]:
    """The sequences of the batches that are whole behind ``start``, to tell what is lost. O(n)."""
    tail = Tail(file, start, file.seek(0, io.SEEK_END), None)
    return [sequence for sequence, _ in tail.find()]


class Tail:
    """A file from ``start`` on, where batch ``sequence`` should be and is not. n: its bytes.

    ``sequence`` is None where no batch came before; then what stands there tells, if it can.
    """

    __slots__ = ("_effort", "_file", "_sequence", "_size", "_start")

    def __init__(self, file: BinaryIO, start: int, size: int, sequence: int | None) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._sequence = sequence
        self._effort = EFFORT * (size - start) + PIECE

    def verdict(self, what: str, *, cut: bool) -> tuple[bool, str]:
        """Whether it is torn, and why it is or is not. O(n).

        ``what`` says what is wrong with it; ``cut``: that nothing is, but that it has no end.
        """
        missing, found = self._sequence or self._announced(), False
        for sequence, synced in self.find():
            found = True
            missing = missing or sequence - 1
            if sequence <= missing:  # what a batch is appended to was on disk before
                return False, f"{what}, and batch {sequence} stands only behind it"
            if synced >= missing:
                proof = f"batch {sequence} behind it says that batch {missing} was on disk already"
                return False, f"{what}, and {proof}"
        if self._effort < 0:
            return False, f"{what}, and what follows is too intricate to be searched"
        if cut and not found and not self._is_whole_but_for_its_length():
            return True, what
        if self._has_zeros():
            return True, f"{what}; zeros stand there, as a power cut leaves them"
        return False, what

    def find(self) -> Iterator[tuple[int, int]]:
        """(sequence, synced) of the whole batches behind the start, until the effort is spent."""
        end = self._start
        for offset, line in self._lines():
            if offset < end:
                continue  # within a batch that is whole
            sequence, size, synced = map(int, line.group(1, 2, 3))
            body = offset + len(line[0])
            if body + size > self._size:
                continue
            self._effort -= size
            if self._effort < 0:
                return
            if self._crc(head(line), body, size) == int(line[4], 16):
                yield sequence, synced
                end = body + size

    def _lines(self) -> Iterator[tuple[int, re.Match[bytes]]]:
        """Whatever looks like the line of a batch, and the offset of it."""
        for offset, piece in self._pieces(self._start, overlap=MAX_LINE):
            for line in LINE.finditer(piece):
                if offset + line.start() < _end_of_piece(offset):  # or it comes again
                    yield offset + line.start(), line

    def _line(self) -> re.Match[bytes] | None:
        """The line at the start, if one is there."""
        self._file.seek(self._start)
        return LINE.match(self._file.read(MAX_LINE))

    def _announced(self) -> int | None:
        line = self._line()
        return None if line is None else int(line[1])

    def _is_whole_but_for_its_length(self) -> bool:
        """Whether the checksum is right for the bytes that are there, and only the length lies."""
        line = self._line()
        if line is None:
            return False
        body = self._start + line.end()
        size = self._size - body
        honest = b"%b:%d:%b:" % (line[1], size, line[3])
        return self._crc(honest, body, size) == int(line[4], 16)

    def _has_zeros(self) -> bool:
        """Whether a sector is all zeros; or what there is of the first one, or of the last.

        However short those are: a record begins with # or *, and ends with a line feed, and no
        single flipped bit makes a zero of any of them.
        """
        for offset, piece in self._pieces(self._start):
            for at in range(-(offset % SECTOR), len(piece), SECTOR):
                if not piece[max(0, at) : at + SECTOR].strip(b"\0"):
                    return True
        return False

    def _crc(self, before: bytes, offset: int, size: int) -> int:
        """The checksum of some text, and of the bytes that stand at ``offset``."""
        crc = zlib.crc32(before)
        for _, piece in self._pieces(offset, offset + size):
            crc = zlib.crc32(piece, crc)
        return crc

    def _pieces(
        self, start: int, end: int | None = None, overlap: int = 0
    ) -> Iterator[tuple[int, bytes]]:
        """Offsets and bytes. Pieces end at multiples of PIECE, and reach ``overlap`` beyond."""
        end = self._size if end is None else end
        offset = start
        while offset < end:
            next_offset = _end_of_piece(offset)
            self._file.seek(offset)
            yield offset, self._file.read(min(next_offset + overlap, end) - offset)
            offset = next_offset


def _end_of_piece(offset: int) -> int:
    return (offset // PIECE + 1) * PIECE
