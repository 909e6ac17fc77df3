"""What a connection is held that does not keep up: in order, and dropped as channels allow.

Every piece is framed bytes. Replies, and pushes of channels that rather disconnect than drop,
are *fixed*: they are never dropped here. What comes through a fan whose policy drops is *loose*:

    DROP_OLDEST   all of it is held, within the channel's share of the room for loose pieces;
                  what has waited longest goes first
    LATEST        one piece is held, the newest; it takes its place at the end

A channel never costs another one its pieces. Only when something fixed would not fit any more
does it take the room of what is loose, whose channels have said that they can do without.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

from realtime.services.namespaces import SlowPolicy
from realtime.ws.fan import Fan

__all__ = ["Held"]


class _Piece(NamedTuple):
    data: bytes
    publications: int
    """That are in it, if it is loose."""
    fan: Fan | None


class _Loose:
    """The pieces of one fan, the oldest first."""

    __slots__ = ("numbers", "size")

    def __init__(self) -> None:
        self.numbers: deque[int] = deque()
        self.size = 0


class Held:
    """A queue whose inner pieces can be dropped. Every operation is O(1), amortized."""

    __slots__ = ("_last", "_loose", "_pieces", "loose", "size")

    def __init__(self) -> None:
        self.size = 0
        """Bytes of all pieces."""
        self.loose = 0
        """Bytes of those that may be dropped."""
        self._pieces: OrderedDict[int, _Piece] = OrderedDict()
        self._loose: dict[Fan, _Loose] = {}
        self._last = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def append(self, data: bytes) -> None:
        """Something fixed."""
        self._append(_Piece(data, 0, None))

    def append_loose(self, fan: Fan, data: bytes, count: int, room: int) -> int:
        """Something of a channel that drops; how many publications had to go for it.

        ``room``: bytes that all loose pieces together may have.
        """
        dropped = 0
        if fan.policy is SlowPolicy.LATEST:
            while fan in self._loose:
                dropped += self._drop(fan)
        own = self._loose.get(fan)
        if own is None:
            own = self._loose[fan] = _Loose()
        own.numbers.append(self._append(_Piece(data, count, fan)))
        own.size += len(data)
        self.loose += len(data)
        if fan.policy is SlowPolicy.DROP_OLDEST:
            share = room // len(self._loose)
            while len(own.numbers) > 1 and own.size > share:
                dropped += self._drop(fan)
            while own.numbers and self.loose > room:
                dropped += self._drop(fan)
        return dropped

    def make_room(self, size: int) -> int:
        """Drop loose pieces, the oldest first, until so many bytes are free or none is left.

        How many publications that were. O(pieces).
        """
        dropped = 0
        until = self.size - size
        for piece in list(self._pieces.values()):
            if self.size <= until or not self._loose:
                break
            if piece.fan is not None:
                dropped += self._drop(piece.fan)
        return dropped

    def pop(self) -> tuple[bytes, int]:
        """The oldest piece, and how many loose publications are in it."""
        number = next(iter(self._pieces))
        data, count, fan = self._pieces[number]
        if fan is None:
            del self._pieces[number]
            self.size -= len(data)
        else:
            self._drop(fan)
        return data, count

    def clear(self) -> None:
        self._pieces.clear()
        self._loose.clear()
        self.size = self.loose = 0

    def _append(self, piece: _Piece) -> int:
        self._last += 1
        self._pieces[self._last] = piece
        self.size += len(piece.data)
        return self._last

    def _drop(self, fan: Fan) -> int:
        """Take out the oldest piece of a fan; how many publications it held."""
        own = self._loose[fan]
        data, count, _ = self._pieces.pop(own.numbers.popleft())
        own.size -= len(data)
        self.size -= len(data)
        self.loose -= len(data)
        if not own.numbers:
            del self._loose[fan]
        return count
