"""Seasons that are over: how their entries are kept, and how they are read.

When a season ends its entries are a sorted set that nobody writes to any more: see
`engine.seasons`. Some time later they are packed (see `realtime.services.packing`): blocks and
index are written beside the sorted set, then the head, from which instant on the packed board is
what is read, then the sorted set is deleted. Each of these steps may be the last one that is
taken, and any may be taken twice, by others, too: they write the same. So to pack a season again
finishes what was left.

Readers find the same entries at every instant of it, and answer the same of both forms.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from realtime.backends.base import Backend, Board, Page, SortedSetReads, SortedSets
from realtime.backends.keys import SEASONS, archive_key, board_key
from realtime.errors import NotFound
from realtime.services.askedsets import AskedSets
from realtime.services.names import name_bytes
from realtime.services.packedsets import BLOCK, HEAD, INDEX, SALT_KEY, Edition, PackedSets, Shelf
from realtime.services.packing import ROWS, SALT, Damaged, Head, Packing, blocks_of
from realtime.services.rolling import ClosedSeason
from realtime.services.turns import give_way

__all__ = ["Archives"]

BESIDE_ARCHIVE = (b"", b":meta", b":places", b":scores")
"""What an archive's key is followed by where a season lies that is not packed."""

AT_ONCE = 100
"""Values deleted in one step: some 2 MB."""

T = TypeVar("T")


class Archives:
    """The seasons of all boards that are over. Every method may raise BackendUnavailable."""

    def __init__(self, backend: Backend, rows: int = ROWS) -> None:
        """``rows`` per block; what is there keeps those that it has."""
        self._rows = rows
        self._sets = backend.sorted_sets
        self._values = backend.values
        self._hashes = backend.hashes
        self.shelf = Shelf(backend.values)

    def board(self, board: str, season: ClosedSeason) -> Board:
        """A season as a store knows it: it ranks as the board did then, and nobody leaves it."""
        key = archive_key(board_key(name_bytes("board", board)), season.number)
        return Board(key, replace(season.ranking, seasonal=False, entry_ttl=None, max_entries=None))

    def sets(self, board: str, season: ClosedSeason) -> SortedSetReads:
        """Where to ask for the `board` of a season, packed or not."""
        if not season.size:
            return self._sets
        return _ArchivedSets(self._sets, self.shelf, self._edition(board, season))

    async def top(self, board: str, season: ClosedSeason, limit: int) -> Page:
        """The first entries of a season."""
        return await self.sets(board, season).page(self.board(board, season), 0, limit)

    async def pack(self, board: str, season: ClosedSeason) -> None:
        """Bring the entries of a season into their compact form, and note that beside it.

        It takes about 5 µs an entry, and gives way after every 2 ms. Call it from a task; if it
        is broken off, do it again. Raises Damaged if there are no entries any more.
        """
        edition = self._edition(board, season)
        rows, blocks = self._rows, 0
        if season.size:
            head = await self.shelf.head(edition)
            if head is None:
                head = await self._write(self.board(board, season), edition, season)
            kept = await self._kept(board, season)
            if kept is None:
                await self.delete(board, season)  # it was meanwhile, and came back by our writing
            if kept != season.ended:
                return
            if head is None:
                raise Damaged("some of its entries are missing")
            await self._values.delete(*[edition.key + end for end in BESIDE_ARCHIVE])
            rows, blocks = head.rows, len(head.firsts)
        packed = b"%d %d" % (rows, blocks)
        await self._hashes.patch(_seasons_key(board), {b"%d:packed" % season.number: packed})

    async def delete(self, board: str, season: ClosedSeason) -> None:
        """Forget a season with all its entries. If it is broken off, do it again."""
        key = self._edition(board, season).key
        rows = season.packed[0] if season.packed else self._rows
        keys = _keys(key, blocks_of(season.size, rows))
        while some := list(islice(keys, AT_ONCE)):
            await self._values.delete(*some)
            await give_way()
        fields = [b"%d", b"%d:packed", b"%d:told"]
        names = [field % season.number for field in fields]
        await self._hashes.patch(_seasons_key(board), {}, names)

    async def _kept(self, board: str, season: ClosedSeason) -> int | None:
        """When the season ended that is kept by this number: it may be one of another board that
        had this name before."""
        fields = await self._hashes.get(_seasons_key(board)) or {}
        row = fields.get(b"%d" % season.number)
        return None if row is None else int(row.split(b" ", 2)[1])

    def _edition(self, board: str, season: ClosedSeason) -> Edition:
        return Edition(self.board(board, season).key, season.ended)

    async def _write(self, board: Board, edition: Edition, season: ClosedSeason) -> Head | None:
        """None if the entries are not there, or no longer."""
        key = board.key
        packing = Packing(
            season.ended,
            await self._salt(key),
            season.size,
            self._rows,
            descending=season.ranking.descending,
        )
        for number in range(blocks_of(season.size, self._rows)):
            start = number * self._rows
            page = await self._sets.page(board, start, self._rows, metadata=True)
            if len(page.entries) != min(self._rows, season.size - start):
                return await self.shelf.head(edition)  # perhaps somebody else was faster
            await asyncio.sleep(0)
            await self._values.set(key + BLOCK % number, packing.block(page.entries))
            await asyncio.sleep(0)
        for number, value in enumerate(packing.buckets()):
            await self._values.set(key + INDEX % number, value)
            await asyncio.sleep(0)
        head = packing.head()
        await self._values.set(key + HEAD, head.value())
        return head

    async def _salt(self, key: bytes) -> bytes:
        """The same for all who pack this season."""
        drawn = secrets.token_bytes(SALT)
        if await self._values.set(key + SALT_KEY, drawn, only_if_absent=True):
            return drawn
        return await self._values.get(key + SALT_KEY) or drawn


class _ArchivedSets(AskedSets):
    """Of one season that has entries."""

    def __init__(self, sets: SortedSets, shelf: Shelf, of: Edition) -> None:
        self._sets = sets
        self._shelf = shelf
        self._of = of

    async def ask(
        self, board: Board, question: Callable[[SortedSetReads, Board], Awaitable[T]]
    ) -> T:
        """If the sorted set is there after the answer, then it was there, whole, when it
        answered."""
        packed = await self._packed()
        if packed is None:
            found = await question(self._sets, board)
            if await self._sets.size(board):
                return found
            packed = await self._packed()
        if packed is None:
            raise NotFound("this season is not kept any more")
        return await question(packed, board)

    async def _packed(self) -> PackedSets | None:
        head = await self._shelf.head(self._of)
        return None if head is None else PackedSets(self._shelf, self._of, head)


def _seasons_key(board: str) -> bytes:
    return board_key(name_bytes("board", board)) + SEASONS


def _keys(key: bytes, blocks: int) -> Iterator[bytes]:
    """All that a season may be kept in. The head comes first: what has none is not packed."""
    yield key + HEAD
    yield from [key + end for end in BESIDE_ARCHIVE]
    yield key + SALT_KEY
    for number in range(blocks):
        yield key + BLOCK % number
        yield key + INDEX % number
