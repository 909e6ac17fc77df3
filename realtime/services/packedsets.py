"""Reading boards that are packed: the same questions and answers as of a sorted set.

A packed board does not change, so an answer may be put together from several values, and is
exact as of one instant all the same. Somebody may be erased from it: who has begun to read learns
of that, and begins anew (`Superseded`). Where many parts are needed, many are fetched at once.
Indices are 0-based, best first; *keys* and blocks are those of `realtime.services.packing`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from realtime.backends.base import (
    Board,
    Entry,
    EntryPosition,
    Histogram,
    Onward,
    Page,
    Ranking,
    Standing,
    bounds_between,
    index_at,
)
from realtime.services.erasing import head_without
from realtime.services.packing import Block, Damaged, Head, place_of
from realtime.services.shelf import BLOCK, HEAD, INDEX, Edition, Shelf

__all__ = ["Erasure", "PackedSets"]

_PLACE = 9
"""Bytes before the name in what a sorted set stores where ties go to the first; 0xFF begins them,
and no name."""


class _Found(NamedTuple):
    """A member, in the block where it stands."""

    number: int
    block: Block
    at: int


class Erasure(NamedTuple):
    """How many entries are left when somebody was erased, and the values that are other ones then,
    by what the board's key is followed by."""

    total: int
    values: dict[bytes, bytes]


class PackedSets:
    """What `realtime.backends.base.SortedSetReads` has, of one packed board.

    The rules passed are those that the board had when it was packed."""

    def __init__(self, shelf: Shelf, of: Edition, head: Head) -> None:
        self._shelf = shelf
        self._of = of
        self._head = head
        self.total = head.total

    async def size(self, board: Board) -> int:
        return self.total

    async def standing(self, board: Board, member: bytes) -> Standing | None:
        found = await self._find(member)
        if found is None:
            return None
        entry = self._entry(board.ranking, found, True)
        ordinal = board.ranking.ranks == "ordinal"
        return Standing(entry, self.total, self._index(found) if ordinal else self._start(found))

    async def page(self, board: Board, offset: int, limit: int, *, metadata: bool = False) -> Page:
        return await self._page(board.ranking, offset, limit, metadata)

    async def page_by_score(
        self,
        board: Board,
        minimum: float,
        maximum: float,
        offset: int,
        limit: int,
        *,
        metadata: bool = False,
    ) -> Page:
        best, worst = (-maximum, -minimum) if board.ranking.descending else (minimum, maximum)
        start = await self._before(best)
        stop = max(start, await self._before(worst, inclusive=True))
        first = start + offset
        page = await self._page(board.ranking, first, min(limit, stop - first), metadata)
        return Page(stop - start, page.entries)

    async def members(
        self, board: Board, members: Sequence[bytes], *, metadata: bool = False
    ) -> Page:
        entries = {
            self._index(found): self._entry(board.ranking, found, metadata)
            async for found in self._search(list(dict.fromkeys(members)))
        }
        return Page(self.total, [entries[index] for index in sorted(entries)])

    async def around(
        self, board: Board, member: bytes, radius: int, *, metadata: bool = False
    ) -> Page | None:
        found = await self._find(member)
        if found is None:
            return None
        start = self._centred(self._index(found), radius, 2 * radius + 1)
        return await self._page(board.ranking, start, 2 * radius + 1, metadata)

    async def around_score(
        self, board: Board, score: float, radius: int, *, metadata: bool = False
    ) -> Page:
        index = await self._before(-score if board.ranking.descending else score)
        start = self._centred(index, radius, 2 * radius)
        return await self._page(board.ranking, start, 2 * radius, metadata)

    async def onward(
        self, board: Board, after: EntryPosition | None, limit: int, *, metadata: bool = False
    ) -> Onward:
        """Where ties go to the first, and who stood at the position was erased, it begins with
        those who have the same score."""
        start = 0 if after is None else await self._behind(board.ranking, after)
        page = await self._page(board.ranking, start, limit, metadata)
        end = None
        if page.entries and start + limit < self.total:
            end = EntryPosition(page.entries[-1].score, page.entries[-1].member)
        return Onward(page, end, 0)

    async def at_percentile(self, board: Board, percentile: float) -> Page:
        return await self._page(board.ranking, index_at(self.total, percentile), 1, False)

    async def histogram(self, board: Board, bounds: Sequence[float] | int) -> Histogram:
        descending = board.ranking.descending
        if isinstance(bounds, int):
            best = self._head.firsts[self._head.block_at(0)]
            worst = self._head.last
            low, high = (-worst, -best) if descending else (best, worst)
            bounds = bounds_between(low + 0.0, high + 0.0, bounds)
        edges = await self._edges(bounds, descending)
        counts = [high - low for low, high in pairwise(edges)]
        return Histogram(self.total, list(bounds), counts, edges[0], self.total - edges[-1])

    async def without(self, member: bytes, mark: int) -> Erasure | None:
        """What is to be stored for the member not to be on the board any more; None: it is not.

        About 4 ms. ``mark`` is another one than that of any part there is."""
        found = await self._find(member)
        if found is None:
            return None
        number, block, at = found
        head = self._head
        bucket, fingerprint = place_of(head.salt, member, len(head.firsts))
        index = await self._shelf.bucket(self._of, head, bucket)
        after = head_without(head, (number, at), block.keys, await self._last_but(found), mark)
        after.block_marks[number] = after.bucket_marks[bucket] = mark
        values = {
            BLOCK % number: block.without(at, mark),
            INDEX % bucket: index.without(fingerprint, number, mark),
            HEAD: after.value(),
        }
        return Erasure(after.total, values)

    async def _last_but(self, found: _Found) -> float:
        """The key of the worst entry besides this one; any if there is none."""
        if self._index(found) < self.total - 1 or self.total == 1:
            return self._head.last
        number = self._head.block_at(self.total - 2)
        block = await self._shelf.block(self._of, self._head, number)
        return block.keys[self.total - 2 - self._head.befores[number]]

    # Indices

    def _index(self, found: _Found) -> int:
        return self._head.befores[found.number] + found.at

    def _start(self, found: _Found) -> int:
        """The index of the first of all entries that have the same score."""
        number, block, at = found
        first = bisect_left(block.keys, block.keys[at])
        return self._head.befores[number] + first if first else self._head.starts[number]

    def _centred(self, index: int, radius: int, rows: int) -> int:
        """Where a page begins that has an index in its middle, and is full at the ends, too."""
        return max(0, min(index - radius, self.total - rows))

    async def _before(self, key: float, *, inclusive: bool = False) -> int:
        """How many entries have a lower key, or at most this one. O(log n), and one block."""
        (found,) = await self._all_before([(key, inclusive)])
        return found

    async def _all_before(self, keys: Sequence[tuple[float, bool]]) -> list[int]:
        """As `_before`, of several keys; each block is looked at once."""
        found = [0] * len(keys)
        wanted: defaultdict[int, list[int]] = defaultdict(list)
        for at, (key, inclusive) in enumerate(keys):
            number = _bisect(inclusive)(self._head.firsts, key) - 1
            if number >= 0:
                wanted[number].append(at)
        async for number, block in self._blocks(list(wanted)):
            for at in wanted[number]:
                key, inclusive = keys[at]
                found[at] = self._head.befores[number] + _bisect(inclusive)(block.keys, key)
        return found

    async def _edges(self, bounds: Sequence[float], descending: bool) -> list[int]:
        """How many entries have a score below each bound; of the last one, at most it."""
        last = len(bounds) - 1
        if not descending:
            return await self._all_before([(key, at == last) for at, key in enumerate(bounds)])
        better = await self._all_before([(-score, at < last) for at, score in enumerate(bounds)])
        return [self.total - count for count in better]

    async def _behind(self, ranking: Ranking, position: EntryPosition) -> int:
        """How many entries stand no further than a position. O(log n)."""
        stored = position.stored
        member = stored[_PLACE:] if stored[0] == 0xFF else stored
        found = await self._find(member)
        if found is not None:
            return self._index(found) + 1
        key = -position.score if ranking.descending else position.score
        low = await self._before(key)
        if ranking.ties == "first":
            return low  # the places of those who share a score are not stored
        high = await self._before(key, inclusive=True)
        while low < high:
            middle = (low + high) // 2
            (entry,) = (await self._page(ranking, middle, 1, False)).entries
            if (entry.member > member) is ranking.descending:
                low = middle + 1
            else:
                high = middle
        return low

    # Members

    async def _find(self, member: bytes) -> _Found | None:
        """One bucket, and nearly always one block, or none if the member is not there."""
        found = [one async for one in self._search([member])]
        return found[0] if found else None

    async def _search(self, members: Sequence[bytes]) -> AsyncIterator[_Found]:
        """Those who are there, each bucket and each block looked at once."""
        blocks = await self._candidates(members)
        async for number, block in self._blocks(list(blocks)):
            for at in block.places(blocks[number]):
                yield _Found(number, block, at)

    async def _candidates(self, members: Sequence[bytes]) -> dict[int, list[bytes]]:
        """Which of the members may be in which blocks."""
        sought: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for member in members:
            number, fingerprint = place_of(self._head.salt, member, len(self._head.firsts))
            sought[number].append((fingerprint, member))
        found: defaultdict[int, list[bytes]] = defaultdict(list)
        numbers = list(sought)
        at = 0
        async for bucket in self._shelf.buckets(self._of, self._head, numbers):
            for fingerprint, member in sought[numbers[at]]:
                for candidate in set(bucket.candidates(fingerprint)):
                    found[candidate].append(member)
            at += 1
        return found

    async def _blocks(self, numbers: Sequence[int]) -> AsyncIterator[tuple[int, Block]]:
        if len(numbers) == 1:  # nearly always, and there is less to do
            yield numbers[0], await self._shelf.block(self._of, self._head, numbers[0])
            return
        at = 0
        async for block in self._shelf.blocks(self._of, self._head, numbers):
            yield numbers[at], block
            at += 1

    # Entries

    async def _page(self, ranking: Ranking, start: int, limit: int, metadata: bool) -> Page:
        entries: list[Entry] = []
        head, stop = self._head, min(start + limit, self.total)
        if start >= stop:
            return Page(self.total, entries)
        async for number, block in self._blocks(
            range(head.block_at(start), head.block_at(stop - 1) + 1)
        ):
            size, before = len(block.keys), head.befores[number]
            if size != head.size(number):
                raise Damaged(f"block {number} has {size} entries instead of {head.size(number)}")
            part = range(max(start - before, 0), min(stop - before, size))
            if part:
                entries += self._ranked(ranking, number, block, part, metadata)
        return Page(self.total, entries)

    def _ranked(
        self, ranking: Ranking, number: int, block: Block, part: range, metadata: bool
    ) -> list[Entry]:
        """Consecutive entries of a block."""
        first = self._entry(ranking, _Found(number, block, part[0]), metadata)
        members, before = block.members, self._head.befores[number]
        entries, keys, rank = [first], block.keys, first.rank
        for at in part[1:]:
            if ranking.ranks == "ordinal":
                rank += 1
            elif keys[at] != keys[at - 1]:
                rank = rank + 1 if ranking.ranks == "dense" else before + at + 1
            score = _score(ranking, keys[at])
            entries.append(Entry(rank, members[at], score, block.notes[at] if metadata else None))
        return entries

    def _entry(self, ranking: Ranking, found: _Found, metadata: bool) -> Entry:
        number, block, at = found
        match ranking.ranks:
            case "ordinal":
                rank = self._index(found) + 1
            case "competition":
                rank = self._start(found) + 1
            case "dense":
                rank = self._head.denses[number] + block.denses[at]
        note = block.notes[at] if metadata else None
        return Entry(rank, block.members[at], _score(ranking, block.keys[at]), note)


def _bisect(inclusive: bool) -> Callable[[Sequence[float], float], int]:
    return bisect_right if inclusive else bisect_left


def _score(ranking: Ranking, key: float) -> float:
    return -key + 0.0 if ranking.descending else key
