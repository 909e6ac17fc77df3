"""Reading boards that are packed: the same questions and answers as of a sorted set.

A packed board does not change, so an answer may be put together from several values, and is
exact as of one instant all the same. What was unpacked is kept on a `Shelf` of bounded size.
Indices are 0-based, best first; *keys* and blocks are those of `realtime.services.packing`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

from realtime.backends.base import (
    Board,
    Entry,
    EntryPosition,
    Histogram,
    Onward,
    Page,
    Ranking,
    Standing,
    Values,
    bounds_between,
    index_at,
)
from realtime.errors import InvalidInput, NotFound
from realtime.services.packing import Block, Bucket, Damaged, Head, place_of
from realtime.services.turns import give_way

__all__ = ["BLOCK", "HEAD", "INDEX", "SALT_KEY", "Edition", "PackedSets", "Shelf"]

HEAD = b":head"
SALT_KEY = b":salt"
BLOCK = b":rows:%d"
INDEX = b":index:%d"

BUDGET = 16 * 1024 * 1024
"""Bytes of unpacked parts that are kept, about; some 150 blocks of names alone."""

_PLACE = 9
"""Bytes before the name in what a sorted set stores where ties go to the first; 0xFF begins them,
and no name."""


class Edition(NamedTuple):
    """A board that is packed, or to be: where it lies, and which of those that may come to lie
    there after each other."""

    key: bytes
    edition: int


class _Weighs(Protocol):
    @property
    def weight(self) -> int: ...


Part = TypeVar("Part", bound=_Weighs)


class Shelf:
    """Fetches parts of packed boards, and keeps those used last, up to a number of bytes."""

    def __init__(self, values: Values, budget: int = BUDGET) -> None:
        self._values = values
        self._budget = budget
        self._parts: OrderedDict[tuple[Edition, bytes], _Weighs] = OrderedDict()
        self.weight = 0
        """Bytes of what is kept, about."""

    async def head(self, of: Edition) -> Head | None:
        """None if it is not packed: the head is what is written last, and deleted first."""
        kept = self._kept((of, HEAD))
        if isinstance(kept, Head):
            return kept
        value = await self._values.get(of.key + HEAD)
        head = None if value is None else Head.read(value)
        if head is None or head.edition != of.edition:
            return None
        self._keep((of, HEAD), head)
        return head

    async def block(self, of: Edition, number: int) -> Block:
        return await self._part(of, BLOCK % number, Block, f"block {number}")

    async def bucket(self, of: Edition, number: int) -> Bucket:
        return await self._part(of, INDEX % number, Bucket, f"index {number}")

    async def _part(
        self, of: Edition, suffix: bytes, read: Callable[[bytes], Part], name: str
    ) -> Part:
        kept = self._kept((of, suffix))
        if kept is not None:
            return kept  # type: ignore[return-value]  # a suffix says which kind it is
        value = await self._values.get(of.key + suffix)
        if value is None:
            raise await self._gone(of, name)
        try:
            part = read(value)
        except Damaged as error:
            raise Damaged(f"{name} cannot be read") from error
        self._keep((of, suffix), part)
        await give_way()  # to unpack a block takes a while, and who asks for one may ask for many
        return part

    async def _gone(self, of: Edition, name: str) -> Exception:
        """Why a part is not there."""
        self._drop((of, HEAD))
        if await self._values.get(of.key + HEAD) is None:
            return NotFound("this season is not kept any more")
        return Damaged(f"{name} is missing")

    def _kept(self, name: tuple[Edition, bytes]) -> _Weighs | None:
        part = self._parts.get(name)
        if part is not None:
            self._parts.move_to_end(name)
        return part

    def _keep(self, name: tuple[Edition, bytes], part: _Weighs) -> None:
        self._drop(name)  # somebody else may have fetched it meanwhile
        if part.weight > self._budget:
            return
        self._parts[name] = part
        self.weight += part.weight
        while self.weight > self._budget:
            self._drop(next(iter(self._parts)))

    def _drop(self, name: tuple[Edition, bytes]) -> None:
        part = self._parts.pop(name, None)
        if part is not None:
            self.weight -= part.weight


class _Found(NamedTuple):
    """A member, in its block."""

    number: int
    block: Block
    at: int


class PackedSets:
    """What `realtime.backends.base.SortedSetReads` has, of one packed board.

    The rules passed are those that the board had when it was packed."""

    def __init__(self, shelf: Shelf, of: Edition, head: Head) -> None:
        self._shelf = shelf
        self._of = of
        self._head = head
        self._total = head.total
        self._rows = head.rows

    async def size(self, board: Board) -> int:
        return self._total

    async def standing(self, board: Board, member: bytes) -> Standing | None:
        found = await self._find(member)
        if found is None:
            return None
        entry = self._entry(board.ranking, found, True)
        ordinal = board.ranking.ranks == "ordinal"
        return Standing(entry, self._total, self._index(found) if ordinal else self._start(found))

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
        return Page(self._total, [entries[index] for index in sorted(entries)])

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
        """The position must be one that this board has given out, packed or not."""
        start = 0 if after is None else await self._behind(after)
        page = await self._page(board.ranking, start, limit, metadata)
        end = None
        if page.entries and start + limit < self._total:
            end = EntryPosition(page.entries[-1].score, page.entries[-1].member)
        return Onward(page, end, 0)

    async def at_percentile(self, board: Board, percentile: float) -> Page:
        return await self._page(board.ranking, index_at(self._total, percentile), 1, False)

    async def histogram(self, board: Board, bounds: Sequence[float] | int) -> Histogram:
        descending = board.ranking.descending
        if isinstance(bounds, int):
            best, worst = self._head.firsts[0], self._head.last
            low, high = (-worst, -best) if descending else (best, worst)
            bounds = bounds_between(low + 0.0, high + 0.0, bounds)
        edges = [await self._below(bound, descending) for bound in bounds[:-1]]
        edges.append(await self._below(bounds[-1], descending, inclusive=True))
        counts = [high - low for low, high in pairwise(edges)]
        return Histogram(self._total, list(bounds), counts, edges[0], self._total - edges[-1])

    # Indices

    def _index(self, found: _Found) -> int:
        return found.number * self._rows + found.at

    def _centred(self, index: int, radius: int, rows: int) -> int:
        """Where a page begins that has an index in its middle, and is full at the ends, too."""
        return max(0, min(index - radius, self._total - rows))

    async def _before(self, key: float, *, inclusive: bool = False) -> int:
        """How many entries have a lower key, or at most this one. O(log n), and one block."""
        bisect = bisect_right if inclusive else bisect_left
        number = bisect(self._head.firsts, key) - 1
        if number < 0:
            return 0
        block = await self._shelf.block(self._of, number)
        return number * self._rows + bisect(block.keys, key)

    async def _below(self, score: float, descending: bool, *, inclusive: bool = False) -> int:
        """How many entries have a score below this one, or at most this one."""
        if descending:
            return self._total - await self._before(-score, inclusive=not inclusive)
        return await self._before(score, inclusive=inclusive)

    async def _behind(self, position: EntryPosition) -> int:
        stored = position.stored
        member = stored[_PLACE:] if stored[0] == 0xFF else stored
        found = await self._find(member)
        if found is None:
            raise InvalidInput("this cursor is of no entry of this season")
        return self._index(found) + 1

    # Members

    async def _find(self, member: bytes) -> _Found | None:
        """One bucket, and nearly always one block, or none if the member is not there."""
        async for found in self._search([member]):
            return found
        return None

    async def _search(self, members: Sequence[bytes]) -> AsyncIterator[_Found]:
        """Those who are there, each bucket and each block looked at once."""
        buckets: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for member in members:
            number, fingerprint = place_of(self._head.salt, member, len(self._head.firsts))
            buckets[number].append((fingerprint, member))
        blocks: defaultdict[int, list[bytes]] = defaultdict(list)
        for number, sought in buckets.items():
            bucket = await self._shelf.bucket(self._of, number)
            for fingerprint, member in sought:
                for candidate in set(bucket.candidates(fingerprint)):
                    blocks[candidate].append(member)
        for number, names in blocks.items():
            block = await self._shelf.block(self._of, number)
            there = block.members
            for name in names:
                if name in there:
                    yield _Found(number, block, there.index(name))

    # Entries

    async def _page(self, ranking: Ranking, start: int, limit: int, metadata: bool) -> Page:
        entries: list[Entry] = []
        stop = min(start + limit, self._total)
        while start < stop:
            number, at = divmod(start, self._rows)
            block = await self._shelf.block(self._of, number)
            part = range(at, min(at + stop - start, len(block.keys)))
            if not part:
                raise Damaged(f"block {number} is short")
            entries += self._ranked(ranking, number, block, part, metadata)
            start += len(part)
        return Page(self._total, entries)

    def _ranked(
        self, ranking: Ranking, number: int, block: Block, part: range, metadata: bool
    ) -> list[Entry]:
        """Consecutive entries of a block."""
        first = self._entry(ranking, _Found(number, block, part[0]), metadata)
        members = block.members
        entries, keys, rank = [first], block.keys, first.rank
        for at in part[1:]:
            if ranking.ranks == "ordinal":
                rank += 1
            elif keys[at] != keys[at - 1]:
                rank = rank + 1 if ranking.ranks == "dense" else number * self._rows + at + 1
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
                rank = self._head.denses[number] + len(set(block.keys[: at + 1])) - 1
        note = block.notes[at] if metadata else None
        return Entry(rank, block.members[at], _score(ranking, block.keys[at]), note)

    def _start(self, found: _Found) -> int:
        """The index of the first of all entries that have the same score."""
        number, block, at = found
        first = bisect_left(block.keys, block.keys[at])
        return number * self._rows + first if first else self._head.starts[number]


def _score(ranking: Ranking, key: float) -> float:
    return -key + 0.0 if ranking.descending else key
