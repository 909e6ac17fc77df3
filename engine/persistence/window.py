"""Reading a file a piece at a time: a buffer, and where we stand in it.

Whoever parses reads ``data`` from ``at`` and moves ``at``. What lies before it is dropped
when the next piece is read, so bytes are copied once, whatever the size of a record.
"""

from __future__ import annotations

import io
from typing import BinaryIO

__all__ = ["PIECE", "Window"]

PIECE = 1 << 20
"""Bytes per read."""


class Window:
    """A file that can seek, from ``start`` to the end it had when it was opened."""

    __slots__ = ("_base", "_file", "at", "data", "size")

    def __init__(self, file: BinaryIO, start: int = 0) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        self._base = file.seek(start)  # the offset of data[0]
        self.data = b""
        self.at = 0

    @property
    def offset(self) -> int:
        """The byte of the file that comes next."""
        return self._base + self.at

    @property
    def remaining(self) -> int:
        """Bytes of the file that come next."""
        return self.size - self._base - self.at

    def fill(self, wanted: int) -> bool:
        """Have ``wanted`` bytes from here on; False: the file ends before, and we have the rest."""
        held = len(self.data) - self.at
        if held >= wanted:
            return True
        available = self.remaining
        parts = [self.data[self.at :]]
        self._base += self.at
        self.at = 0
        while held < min(wanted, available):
            piece = self._file.read(min(PIECE, available - held))
            if not piece:  # it shrank while we read
                available = held
            parts.append(piece)
            held += len(piece)
        self.data = b"".join(parts)
        return held >= wanted

    def take(self, size: int) -> bytes:
        """The next bytes, which must have been filled."""
        end = self.at + size
        data = self.data[self.at : end]
        self.at = end
        return data
