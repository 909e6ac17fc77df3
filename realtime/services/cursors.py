"""Cursors: where to go on in a board, however its entries move meanwhile.

A cursor says where the last entry of a page stood, and not how many there were before it. So what
comes next is what stands behind that place when it is asked: an entry that moves may be seen
twice or not at all, as it is with whoever moves; all others are seen once.

    version | flags | check of the board's name | generation | score | what is stored of the member
      1 B      1 B              4 B                  8 B        8 B        1 to 264 B

It is no secret, and who makes one up learns nothing that other pages would not show.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from typing import NamedTuple

from realtime.backends.base import EntryPosition, Ranking
from realtime.errors import Conflict, Gone, InvalidInput

__all__ = ["START", "Cursor"]

START = "start"
"""Begins at the best entry."""

_VERSION = 1
_HEAD = struct.Struct(">BBIQd")
_MOST = 4 * (_HEAD.size + 9 + 255) // 3 + 4
"""Letters of the longest cursor."""


class Cursor(NamedTuple):
    """A place on a board."""

    generation: int
    flags: int
    position: EntryPosition

    @classmethod
    def at(cls, ranking: Ranking, generation: int, position: EntryPosition) -> Cursor:
        return cls(generation, _flags(ranking), position)

    @classmethod
    def read(cls, board: str, text: str) -> Cursor:
        """Raises InvalidInput for what is no cursor of this board."""
        try:
            if len(text) > _MOST:
                raise ValueError
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            version, flags, check, generation, score = _HEAD.unpack_from(raw)
        except (ValueError, binascii.Error, struct.error):
            raise InvalidInput("this is no cursor") from None
        stored = raw[_HEAD.size :]
        if version != _VERSION or not stored or score != score:
            raise InvalidInput("this is no cursor")
        if check != _check(board):
            raise InvalidInput("this cursor is of another board")
        return cls(generation, flags, EntryPosition(score, stored))

    def text(self, board: str) -> str:
        """As clients get it."""
        score, stored = self.position
        head = _HEAD.pack(_VERSION, self.flags, _check(board), self.generation, score)
        return base64.urlsafe_b64encode(head + stored).rstrip(b"=").decode()

    def check(self, ranking: Ranking, generation: int) -> None:
        """Raises Gone if the board was deleted since, and Conflict if it is ordered otherwise."""
        if generation != self.generation:
            raise Gone("the board was deleted since; begin anew")
        if self.flags != _flags(ranking):
            raise Conflict("the board is ordered by other rules since; begin anew")


def _flags(ranking: Ranking) -> int:
    return ranking.descending + 2 * (ranking.ties == "first")


def _check(board: str) -> int:
    return zlib.crc32(board.encode())
