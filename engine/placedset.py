"""Sorted sets in which, of equal scores, whoever reached it first stands first.

Whoever reaches a score is given a *place*: a number that only grows. The sort key of a member is

    eight bytes that order like the score  |  0xFF  |  the place, eight bytes  |  the member

and what is stored, and shown to whoever reads the stored set, is all but the score. So it is an
ordinary sorted set everywhere else: in a snapshot, in a journal and in Redis. 0xFF begins no
UTF-8 text, hence no name, so that both kinds may be mixed: a member of whom it is not known when
they reached their score has no place, and stands before all of that score who have one. That is
how a set becomes a placed one for nothing.

Places grow with time in both directions of reading: with ``reverse`` the highest score is first,
and within a score still whoever was first. A group of equal scores has the same indices however
it is turned, so its rows are found by counting what is below it and what is above.

A place is the microsecond at which it was taken, or the next number if that one is taken; the
latest place there is says what was taken, so nothing has to be kept beside the set.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import groupby, islice
from typing import cast

from engine.rankedlist import RankedList
from engine.sortedset import Row, SortedSet
from engine.sortkey import prefix_of, score_of

__all__ = ["MARK", "PlacedSet"]

MARK = 0xFF
"""Begins a place: no UTF-8 text begins so."""

_PLACE = 9
"""Bytes of a place, with its mark."""


def _member(key: bytes) -> bytes:
    return key[8 + _PLACE :] if len(key) > 8 + _PLACE and key[8] == MARK else key[8:]


def _is_placed(key: bytes) -> bool:
    return len(key) > 8 + _PLACE and key[8] == MARK


def _score_bytes(key: bytes) -> bytes:
    return key[:8]


class PlacedSet(SortedSet):
    """Members must not begin with the byte 0xFF. Iteration answers rows as they are stored."""

    __slots__ = ("_latest", "placed")

    def __init__(self) -> None:
        super().__init__()
        self._latest = 0
        self.placed = 0
        """How many members have a place."""

    @classmethod
    def of(cls, board: SortedSet) -> PlacedSet:
        """Take over a set as it was stored; ``board`` must not be used any more.

        O(n): about 30 ms a million members if none has a place, and 1 s if all have.
        """
        made = cls()
        made._order, made._bisect, made._keys = board._order, board._bisect, board._keys
        made._distinct = board._distinct
        if board and max(board._keys)[0:1] == b"\xff":
            made._keys = {_member(key): key for key in board._order}
            placed = [key[9:17] for key in board._order if _is_placed(key)]
            made.placed = len(placed)
            made._latest = int.from_bytes(max(placed), "big") if placed else 0
        return made

    def plain(self) -> SortedSet:
        """Become an ordinary set, once no member has a place; this one must not be used any more.

        O(1)."""
        assert not self.placed
        made = SortedSet()
        made._order, made._bisect, made._keys = self._order, self._bisect, self._keys
        made._distinct = self._distinct
        return made

    def reach(self, member: bytes, score: float, now: int) -> None:
        """Set the score of a member, who is the last to have reached it. O(log n)."""
        self._latest = max(now, self._latest + 1)
        place = b"\xff" + self._latest.to_bytes(8, "big")
        self._set(member, prefix_of(score) + place + member, score)

    def forget_places(self, limit: int) -> list[tuple[bytes, bytes, float]]:
        """Move up to so many members to where they stand without a place.

        Answers what was stored of them, their names and scores. O(log n) each, and O(n) to find
        the first.
        """
        placed = ((name, key) for name, key in self._keys.items() if _is_placed(key))
        found = [(key[8:], name, score_of(key)) for name, key in islice(placed, limit)]
        for _, name, score in found:
            self._set(name, prefix_of(score) + name, score)
        return found

    def stored(self, member: bytes) -> bytes | None:
        """What is stored of a member. O(1)."""
        key = self._keys.get(member)
        return None if key is None else key[8:]

    def move(self, member: bytes, score: float, was: float | None = None) -> tuple[int | None, int]:
        raise TypeError("a member of a placed set reaches a score at some time")

    def remove(self, member: bytes) -> bool:
        key = self._keys.get(member)
        if key is None:
            return False
        if _is_placed(key):
            self.placed -= 1
        return super().remove(member)

    def index(self, member: bytes, *, reverse: bool = False) -> int | None:
        key = self._keys.get(member)
        if key is None:
            return None
        return self._falling(key) if reverse else cast(int, self._bisect(self._order, key))

    def passed(self, score: float, stored: bytes, *, reverse: bool = False) -> int:
        if not reverse:
            return super().passed(score, stored)
        return self._falling(prefix_of(score) + stored + b"\0")

    def slice(self, start: int, stop: int, *, reverse: bool = False) -> list[Row]:
        start, stop = max(0, start), min(stop, len(self._keys))
        if start >= stop:
            return []
        keys = self._descending(start, stop) if reverse else self._order[start:stop]
        return [(_member(key), score_of(key)) for key in keys]

    def _falling(self, key: bytes) -> int:
        """The index, from the highest score, of a key that is or could be there. O(log n)."""
        order, score = self._order, score_of(key)
        if isinstance(order, RankedList):
            return order.falling(key, score)
        below, through = self._span(score)
        return len(order) - through + bisect_left(order, key) - below

    def _descending(self, start: int, stop: int) -> Iterator[bytes]:
        """The keys at these indices, highest score first. O(log n + their number)."""
        size = len(self._keys)
        at = start
        for prefix, group in groupby(
            reversed(self._order[size - stop : size - start]), _score_bytes
        ):
            keys = list(group)
            if at == start or at + len(keys) == stop:  # there may be more of it than was asked for
                below, through = self._span(score_of(prefix))
                first = below + at - (size - through)
                keys = self._order[first : first + len(keys)]
            else:
                keys.reverse()
            yield from keys
            at += len(keys)

    def _set(self, member: bytes, key: bytes, score: float) -> None:
        """Give a member this key, which begins with this score."""
        before = self._keys.get(member)
        self._keys[member] = key
        self.placed += _is_placed(key) - (before is not None and _is_placed(before))
        order = self._order
        if isinstance(order, list):
            self._move(order, before, key)
        elif before is None:
            order.enter(key)
        else:
            order.move(before, key, score_of(before), score)
        if self._distinct is not None:
            self._recount(before, key)

    def _check(self) -> None:
        assert list(self._order) == sorted(self._keys.values())
        assert len(set(self._order)) == len(self._order) == len(self._keys)
        assert all(_member(key) == member for member, key in self._keys.items())
        placed = [key[9:17] for key in self._order if _is_placed(key)]
        assert self.placed == len(placed) == len(set(placed))
        assert not placed or int.from_bytes(max(placed), "big") <= self._latest
        self._check_order()
