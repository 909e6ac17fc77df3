"""A `SortedList` that says where things were and where they went.

A submit asks four questions of the same order: the rank before, the place to delete, the place
to insert, the rank after. Asked one by one, each bisects the list of sublists and then a
sublist. Here the place that was found for a change also gives the rank: half the bisections,
and fewer cold cache lines, which is what large boards wait for.

This leans on how `SortedList` is built (its documented "list of lists" and the positional
index over it); ``_check`` of the base class holds it to that in every test.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from sortedcontainers import SortedList

__all__ = ["RankedList"]


class RankedList(SortedList):  # type: ignore[misc]  # the library has no types
    """Distinct byte strings in order."""

    _lists: list[list[bytes]]
    _maxes: list[bytes]
    _len: int
    _index: list[int]
    _offset: int
    _load: int
    _loc: Any
    _delete: Any
    _expand: Any

    def move(self, old: bytes, new: bytes) -> tuple[int, int]:
        """Replace a value that is there by one that is not; both indices. O(log n).

        The index of ``new`` counts ``old`` no more. Where no sublist has to be split or
        joined, the walk up the positional index that counts what lies to the left also
        brings the counts up to date, and the root, which gains what it loses, is left alone.
        """
        maxes, lists, counts, load = self._maxes, self._lists, self._index, self._load
        p = bisect_left(maxes, old)
        source = lists[p]
        q = min(bisect_left(maxes, new), len(maxes) - 1)
        target = lists[q]
        if not counts or len(source) <= (load >> 1) + 1 or len(target) >= load << 1:
            return self.leave(old), self.enter(new)
        before = bisect_left(source, old)
        del source[before]
        after = bisect_left(target, new)
        target.insert(after, new)
        maxes[p] = source[-1]
        maxes[q] = target[-1]
        node = self._offset + p
        while node:
            if not node & 1:
                before += counts[node - 1]
            counts[node] -= 1
            node = (node - 1) >> 1
        node = self._offset + q
        while node:
            if not node & 1:
                after += counts[node - 1]
            counts[node] += 1
            node = (node - 1) >> 1
        return before, after

    def enter(self, value: bytes) -> int:
        """Add a value that is not there; its index. O(log n)."""
        maxes, lists = self._maxes, self._lists
        if not maxes:
            self.add(value)
            return 0
        position = min(bisect_left(maxes, value), len(maxes) - 1)
        sublist = lists[position]
        place = bisect_left(sublist, value)
        index: int = self._loc(position, place)  # before it may count what comes now
        sublist.insert(place, value)
        maxes[position] = sublist[-1]
        self._expand(position)
        self._len += 1
        return index

    def leave(self, value: bytes) -> int:
        """Remove a value that is there; the index it had. O(log n)."""
        position = bisect_left(self._maxes, value)
        place = bisect_left(self._lists[position], value)
        index: int = self._loc(position, place)
        self._delete(position, place)
        return index

    def shed(self, limit: int) -> None:
        """Free whole sublists, of about so many values, of a list that is not used any more."""
        lists = self._lists
        while lists and limit > 0:
            limit -= len(lists.pop())
