"""Sorted sets: members ranked by score, as Redis ranks them.

Order: by score, then by the member's bytes. Everything rests on one *sort key* per member,

    eight bytes that order like the score  |  the member

and bytes compare like memory, in C. A dict leads from a member to its sort key, and an
ordered sequence holds the sort keys. Neither holds anything that the garbage collector
tracks one by one: at a million members a collection has some thousand lists to visit, and a
member costs about 180 bytes, its name included.

The sequence is a plain list while it is short, and a `RankedList` once that is faster;
it never turns back, since a set that was large once will be large again.

Reverse order is the exact mirror, ties included: an index counted from the other end.
Indices are 0-based here. n is the number of members, m the number of rows asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from sortedcontainers import SortedList

from engine.rankedlist import RankedList
from engine.sortkey import prefix_of, score_of

__all__ = ["SortedSet"]

PLAIN_LIMIT = 2_000
"""Up to here moving the tail of a plain list is cheaper than all that a `RankedList` keeps."""

SORTED_MEANWHILE = 4
"""Members that can be sorted in the time that moving one takes, about."""

Row = tuple[bytes, float]
"""(member, score)"""
_Places = tuple[int | None, int]


class SortedSet:
    """Members with scores; a score may be any float but NaN, and -0.0 is 0.0."""

    __slots__ = ("_bisect", "_distinct", "_keys", "_order")

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """O(n log n), and O(n) if the rows come in order or in reverse order."""
        self._keys: dict[bytes, bytes] = {
            member: prefix_of(score) + member for member, score in rows
        }
        self._order: list[bytes] | RankedList = sorted(self._keys.values())
        self._bisect: Any = bisect_left
        self._distinct: Any = None
        """The prefixes of all scores, each once, in order; None until somebody counts them."""
        self._grow()

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, member: bytes) -> bool:
        return member in self._keys

    def __iter__(self) -> Iterator[Row]:
        """Every (member, score), lowest first. Nothing may change meanwhile. O(n)."""
        return ((key[8:], score_of(key)) for key in self._order)

    def add(self, member: bytes, score: float) -> bool:
        """Set the score of ``member``; answer whether that changed anything. O(log n)."""
        if self.score(member) == score:
            return False
        self.move(member, score)
        return True

    def move(self, member: bytes, score: float, was: float | None = None) -> _Places:
        """Set the score of ``member``; its index before (None: it is new) and after. O(log n).

        ``was`` is its score before, if the caller knows it.
        """
        if score != score:
            raise ValueError("a score must be a number")
        before = self._keys.get(member)
        self._keys[member] = key = prefix_of(score) + member
        order = self._order
        if isinstance(order, list):
            places = self._move(order, before, key)
        elif before is None:
            places = (None, order.enter(key))
        else:
            places = order.move(before, key, score_of(before) if was is None else was, score)
        if self._distinct is not None:
            self._recount(before, key)
        return places

    def shed(self, limit: int) -> None:
        """Free about so many members of a set that is not used any more. O(limit)."""
        order, keys = self._order, self._keys
        if isinstance(order, RankedList):
            order.shed(limit)
        for _ in range(min(limit, len(keys))):
            keys.popitem()

    def update(self, scores: Mapping[bytes, float]) -> None:
        """Set m scores at once. O(m log n), or O(n log n) where sorting anew costs less."""
        if len(scores) * SORTED_MEANWHILE < len(self._keys):
            for member, score in scores.items():
                self.add(member, score)
            return
        if any(score != score for score in scores.values()):
            raise ValueError("a score must be a number")
        self._keys.update((member, prefix_of(score) + member) for member, score in scores.items())
        self._order = sorted(self._keys.values())
        self._bisect = bisect_left
        self._distinct = None
        self._grow()

    def remove(self, member: bytes) -> bool:
        """Whether the member was there. O(log n)."""
        key = self._keys.pop(member, None)
        if key is None:
            return False
        self._forget(key)
        if self._distinct is not None:
            self._recount(key, None)
        return True

    def score(self, member: bytes) -> float | None:
        """O(1)."""
        key = self._keys.get(member)
        return None if key is None else score_of(key)

    def index(self, member: bytes, *, reverse: bool = False) -> int | None:
        """How many members stand before this one. O(log n)."""
        key = self._keys.get(member)
        if key is None:
            return None
        index: int = self._bisect(self._order, key)
        return len(self._keys) - 1 - index if reverse else index

    def below(self, score: float, *, inclusive: bool = False) -> int:
        """How many members have a score below ``score`` (or at most). O(log n)."""
        return self._span(score)[inclusive]

    def count(self, minimum: float, maximum: float) -> int:
        """How many members have a score within the bounds, both included. O(log n)."""
        return max(0, self.below(maximum, inclusive=True) - self.below(minimum))

    def distinct(self) -> int:
        """How many different scores there are. As ``distinct_below``."""
        return len(self._scores())

    def distinct_below(self, score: float, *, inclusive: bool = False) -> int:
        """How many different scores are below ``score`` (or at most).

        O(log n); O(n) the first time, from when on each different score costs 56 bytes and
        each change as much time as a rank.
        """
        distinct = self._scores()
        bisect = distinct.bisect_right if inclusive else distinct.bisect_left
        return cast(int, bisect(prefix_of(score)))

    def forget_distinct(self) -> None:
        """Give back the memory of ``distinct_below``. O(different scores)."""
        self._distinct = None

    def passed(self, score: float, stored: bytes, *, reverse: bool = False) -> int:
        """How many rows stand up to and at where ``stored`` has, or would have, this score.

        ``stored`` is a member as iteration answers it. O(log n).
        """
        key = prefix_of(score) + stored
        if reverse:
            return len(self._keys) - cast(int, self._bisect(self._order, key))
        return cast(int, self._bisect(self._order, key + b"\0"))

    def slice(self, start: int, stop: int, *, reverse: bool = False) -> list[Row]:
        """The rows at ``start <= index < stop``; what lies outside is left out. O(log n + m)."""
        size = len(self._keys)
        start, stop = max(0, start), min(stop, size)
        if start >= stop:
            return []
        if not reverse:
            return [(key[8:], score_of(key)) for key in self._order[start:stop]]
        keys = self._order[size - stop : size - start]
        return [(key[8:], score_of(key)) for key in reversed(keys)]

    stored_slice = slice
    """As ``slice``, of what is stored of each member: for whoever writes sets down."""

    def by_score(self, minimum: float, maximum: float) -> tuple[int, int]:
        """The indices ``(start, stop)`` of the rows within the bounds, for ``slice``. O(log n)."""
        start = self.below(minimum)
        return start, max(start, self.below(maximum, inclusive=True))

    def _move(self, order: list[bytes], before: bytes | None, key: bytes) -> _Places:
        left = None if before is None else self._forget(before)
        entered = bisect_left(order, key)
        order.insert(entered, key)
        self._grow()
        return left, entered

    def _forget(self, key: bytes) -> int:
        order = self._order
        if isinstance(order, RankedList):
            return order.leave(key)
        index = bisect_left(order, key)
        del order[index]
        return index

    def _scores(self) -> Any:
        if self._distinct is None:
            self._distinct = SortedList(dict.fromkeys(key[:8] for key in self._order))
        return self._distinct

    def _span(self, score: float) -> tuple[int, int]:
        """How many members have a lower score, and how many at most this one. O(log n)."""
        order = self._order
        if isinstance(order, RankedList):
            return order.span(score)
        prefix = prefix_of(score)
        # The prefix as a number, plus one, is the smallest prefix of any higher score.
        above = (int.from_bytes(prefix, "big") + 1).to_bytes(8, "big")
        return bisect_left(order, prefix), bisect_left(order, above)

    def _recount(self, gone: bytes | None, come: bytes | None) -> None:
        """Keep the distinct scores, after a key has gone and another one has come."""
        distinct = self._distinct
        if come is not None and come[:8] not in distinct:
            distinct.add(come[:8])
        if gone is not None:
            below, through = self._span(score_of(gone))
            if below == through:
                distinct.remove(gone[:8])

    def _grow(self) -> None:
        order = self._order
        if isinstance(order, list) and len(order) > PLAIN_LIMIT:
            self._order = RankedList(order)
            self._bisect = RankedList.bisect_left

    def _check(self) -> None:
        """Assert every invariant; for tests. O(n log n)."""
        assert list(self._order) == sorted(self._keys.values())
        assert len(set(self._order)) == len(self._order) == len(self._keys)
        for member, key in self._keys.items():
            assert key[8:] == member
            assert prefix_of(score_of(key)) == key[:8]
        self._check_order()

    def _check_order(self) -> None:
        if isinstance(self._order, RankedList):
            self._order._check()
        if self._distinct is not None:
            self._distinct._check()
            assert list(self._distinct) == sorted({key[:8] for key in self._order})
