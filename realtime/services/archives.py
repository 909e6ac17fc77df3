"""Seasons that are over: how their entries are kept, how they are read, and who is taken out.

When a season ends its entries are a sorted set to which nobody submits any more: see
`engine.seasons`. Some time later they are packed (see `realtime.services.packing`): blocks and
index are written beside the sorted set, and then, in one step, the head takes the place of the
sorted set. So at every instant there is one of the two, and readers answer the same of both.

Who changes a season goes by what is kept of it (`realtime.services.closedseasons`): a step that
finds something else than was seen changes nothing, and is begun anew. To erase somebody changes
the season's row, in the same step; and parts are only written as long as the row is what it was,
and the sorted set is there. So if somebody is erased while a season is packed, the packing begins
anew; two who pack a season write the same; and what is deleted does not come back.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from realtime.backends.base import Backend, Board, Page, Ranking, SortedSetReads
from realtime.backends.keys import archive_key, board_key
from realtime.errors import NotFound
from realtime.services.askedsets import AskedSets
from realtime.services.closedseasons import (
    FIELDS,
    PACKED,
    PACKING,
    ROW,
    ClosedSeason,
    Kept,
    Plan,
    kept,
    seasons_key,
)
from realtime.services.names import name_bytes
from realtime.services.packedsets import PackedSets
from realtime.services.packing import ROWS, SALT, Damaged, Head, Packing, blocks_of
from realtime.services.shelf import BLOCK, HEAD, INDEX, Edition, Shelf, Superseded
from realtime.services.turns import give_way

__all__ = ["Archives"]

UNPACKED = (b"", b":meta", b":places", b":scores")
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
        return Board(archive_key(_key(board), season.number), _frozen(season))

    def sets(self, board: str, season: ClosedSeason) -> SortedSetReads:
        """Where to ask for the `board` of a season, packed or not."""
        return _ArchivedSets(self, board, season) if season.size else self._sets

    async def top(self, board: str, season: ClosedSeason, limit: int) -> Page:
        """The first entries of a season."""
        return await self.sets(board, season).page(self.board(board, season), 0, limit)

    async def ask(
        self,
        name: str,
        season: ClosedSeason,
        question: Callable[[SortedSetReads], Awaitable[T]],
    ) -> T:
        """What is answered wherever the season lies. Raises Superseded if that has changed.

        If the sorted set is there after the answer, then it was there, whole, when it answered."""
        if not season.size:
            return await question(self._sets)  # where nothing is, and what all rules answer of that
        if season.packed is None:
            found = await question(self._sets)
            if await self._sets.size(self.board(name, season)):
                return found
            raise Superseded
        packed = await self._packed(name, season)
        return await question(packed if packed.total else self._sets)

    async def see(self, board: str, season: ClosedSeason) -> Kept | None:
        """What is kept of this season now. The number alone may be that of one of another board,
        which had this name before."""
        found = await kept(self._hashes, board, season.number)
        return None if found is None or found.season.ended != season.ended else found

    async def erase(self, board: str, season: ClosedSeason, member: bytes) -> bool:
        """Take a member out of a season, in one step; whether it was in it.

        O(log entries), or some 4 ms if it is packed. Whatever has a step of its own in between
        is a reason to try again. Raises NotFound if the season is not kept any more."""
        before, there = None, await self.see(board, season)
        while there is not None and there != before:
            with suppress(Superseded):
                return await self._erase(board, there, member)
            before, there = there, await self.see(board, season)
        raise NotFound("this season is not kept any more")

    async def pack(self, board: str, season: ClosedSeason) -> None:
        """Bring the entries of a season into their compact form, and note that beside it.

        It takes about 5 µs an entry, and gives way after every 2 ms. Call it from a task; if it
        is broken off, do it again. Raises Damaged if there are no entries any more.
        """
        there = await self.see(board, season)
        while there is not None and there.season.packed is None:
            before = there
            await self._pack(board, before)
            there = await self.see(board, season)
            if there == before:
                raise Damaged("some of its entries are missing")

    async def delete(self, board: str, season: ClosedSeason) -> None:
        """Forget a season with all its entries. If it is broken off, do it again."""
        found = await kept(self._hashes, board, season.number)
        if found is not None and found.season.ended != season.ended:
            return  # a board of the same name has closed one with the same number since
        blocks = 0 if season.packed is None else season.packed[1]
        if found is not None and found.plan is not None:
            blocks = max(blocks, found.plan.blocks)
        keys = _keys(self._edition(board, season).key, blocks)
        while some := list(islice(keys, AT_ONCE)):
            await self._values.delete(*some)
            await give_way()
        names = [field % season.number for field in FIELDS]
        await self._hashes.patch(seasons_key(board), {}, names)

    def _edition(self, board: str, season: ClosedSeason) -> Edition:
        return Edition(archive_key(_key(board), season.number), season.ended)

    async def _packed(self, board: str, season: ClosedSeason) -> PackedSets:
        """Raises Superseded if it is not packed, or no longer there."""
        of = self._edition(board, season)
        head = await self.shelf.head(of, season.mark)
        if head is None:
            raise Superseded
        return PackedSets(self.shelf, of, head)

    # Erasing

    async def _erase(self, board: str, there: Kept, member: bytes) -> bool:
        """Raises Superseded if it has become another season meanwhile."""
        season = there.season
        if not season.size:
            return False
        if season.packed is not None:
            return await self._erase_packed(board, there, season.packed, member)
        target = Board(_key(board), _frozen(season))
        if await self._sets.erase(target, season.number, member):
            return True
        if await self._sets.size(self.board(board, season)):
            return False
        raise Superseded

    async def _erase_packed(
        self, board: str, there: Kept, packed: tuple[int, int], member: bytes
    ) -> bool:
        mark = secrets.randbelow(2**32 - 1) + 1
        erasure = await (await self._packed(board, there.season)).without(member, mark)
        if erasure is None:
            return False
        number, row = there.season.number, there.seen[ROW % there.season.number]
        assert row is not None
        began, ended, _, rules = row.split(b" ", 3)
        changes = {
            ROW % number: b"%b %b %d %b" % (began, ended, erasure.total, rules),
            PACKED % number: b"%d %d %d" % (*packed, mark),
        }
        if not await self._commit(board, there, changes, present=HEAD, values=erasure.values):
            raise Superseded
        return True

    # Packing

    async def _pack(self, board: str, there: Kept) -> None:
        """One of the steps to it, or all that is left, unless somebody comes in between."""
        season, plan, number = there.season, there.plan, there.season.number
        if plan is None:
            blocks = blocks_of(season.size, self._rows)
            plan = Plan(self._rows, blocks, secrets.token_bytes(SALT))
            await self._commit(board, there, {PACKING % number: plan.text()})
            return
        head = await self._write(board, there, plan) if season.size else None
        if season.size and head is None:
            return
        await self._commit(
            board,
            there,
            {PACKED % number: b"%d %d" % (plan.rows, plan.blocks)},
            present=None if head is None else b"",
            values={} if head is None else {HEAD: head.value()},
            gone=[*UNPACKED, *_parts(range(blocks_of(season.size, plan.rows), plan.blocks))],
        )

    async def _write(self, board: str, there: Kept, plan: Plan) -> Head | None:
        """None if the entries are not there, or not those any more."""
        season, entries = there.season, self.board(board, there.season)
        packing = Packing(
            season.ended, plan.salt, season.size, plan.rows, descending=season.ranking.descending
        )

        async def put(suffix: bytes, value: bytes) -> bool:
            await asyncio.sleep(0)
            done = await self._commit(board, there, {}, present=b"", values={suffix: value})
            await asyncio.sleep(0)
            return done

        for number in range(blocks_of(season.size, plan.rows)):
            start = number * plan.rows
            page = await self._sets.page(entries, start, plan.rows, metadata=True)
            if len(page.entries) != min(plan.rows, season.size - start):
                return None
            if not await put(BLOCK % number, packing.block(page.entries)):
                return None
        for number, value in enumerate(packing.buckets()):
            if not await put(INDEX % number, value):
                return None
        return packing.head()

    def _commit(
        self,
        board: str,
        there: Kept,
        changes: Mapping[bytes, bytes],
        *,
        present: bytes | None = None,
        values: Mapping[bytes, bytes] | None = None,
        gone: Sequence[bytes] = (),
    ) -> Awaitable[bool]:
        """Keys are named by what the key of the season's entries is followed by."""
        key = self._edition(board, there.season).key
        return self._hashes.commit(
            seasons_key(board),
            there.seen,
            changes,
            present=None if present is None else key + present,
            values={key + suffix: value for suffix, value in (values or {}).items()},
            gone=[key + suffix for suffix in gone],
        )


class _ArchivedSets(AskedSets):
    """Of one season that has entries, or had."""

    def __init__(self, archives: Archives, name: str, season: ClosedSeason) -> None:
        self._archives = archives
        self._name = name
        self._season = season

    async def ask(
        self, board: Board, question: Callable[[SortedSetReads, Board], Awaitable[T]]
    ) -> T:
        """Of the season as it is after the question was put, or a little later."""
        season = self._season
        while True:
            try:
                return await self._archives.ask(
                    self._name, season, lambda sets: question(sets, board)
                )
            except Superseded:
                found = await self._archives.see(self._name, season)
            if found is None or found.season == season:
                raise NotFound("this season is not kept any more")
            season = found.season


def _key(board: str) -> bytes:
    return board_key(name_bytes("board", board))


def _frozen(season: ClosedSeason) -> Ranking:
    return replace(season.ranking, seasonal=False, entry_ttl=None, max_entries=None)


def _parts(numbers: range) -> Iterator[bytes]:
    for number in numbers:
        yield BLOCK % number
        yield INDEX % number


def _keys(key: bytes, blocks: int) -> Iterator[bytes]:
    """All that a season may be kept in. Head and sorted set come first: where neither is, nothing
    is written any more."""
    yield key + HEAD
    yield from [key + suffix for suffix in (*UNPACKED, *_parts(range(blocks)))]
