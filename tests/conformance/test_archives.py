"""Closed seasons on every store: they answer the same before, while and after they are packed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import product
from typing import cast

import pytest

from realtime.backends.base import Backend, Ranking, Ranks, Ties, Values
from realtime.backends.keys import SEASONS, board_key
from realtime.errors import NotFound
from realtime.services.archives import Archives
from realtime.services.shelf import Shelf
from tests.boards.archived import ARCADE, all_answers, closed, everybody, some_entries

ALL_RANKS: tuple[Ranks, ...] = ("ordinal", "competition", "dense")
ALL_TIES: tuple[Ties, ...] = ("member", "first")
RULES = [
    Ranking(descending=descending, ranks=ranks, ties=ties, keep="latest")
    for descending, ranks, ties in product((True, False), ALL_RANKS, ALL_TIES)
]


@pytest.mark.parametrize("ranking", RULES)
async def test_a_packed_season_answers_as_it_did(backend: Backend, ranking: Ranking) -> None:
    archives = Archives(backend, rows=20)
    entries = some_entries(90)
    season = await closed(backend, ranking, entries)
    members = [*[entry.member for entry in entries][::6], b"nobody"]
    before = await all_answers(archives, season, members)
    await archives.pack(ARCADE, season)
    assert await backend.sorted_sets.size(archives.board(ARCADE, season)) == 0
    assert await all_answers(Archives(backend), season, members) == before


async def test_readers_find_everybody_while_a_season_is_packed(backend: Backend) -> None:
    season = await closed(backend, Ranking(), some_entries(400))
    before = await everybody(Archives(backend), season)
    done = asyncio.Event()

    async def read() -> int:
        archives, reads = Archives(backend, rows=20), 0
        while not done.is_set():
            assert await everybody(archives, season) == before
            reads += 1
            await asyncio.sleep(0)
        return reads

    async def pack() -> None:
        await asyncio.gather(*[Archives(backend, rows=20).pack(ARCADE, season) for _ in range(2)])
        done.set()

    *reads, _ = await asyncio.gather(read(), read(), pack())
    assert all(reads)
    assert await everybody(Archives(backend), season) == before


async def test_what_became_of_a_season_is_noted_and_forgotten(backend: Backend) -> None:
    archives, key = Archives(backend, rows=20), board_key(ARCADE.encode()) + SEASONS
    for size, noted in ((90, b"20 5"), (0, b"20 0")):
        season = await closed(backend, Ranking(), some_entries(size))
        await archives.pack(ARCADE, season)
        assert ((await backend.hashes.get(key)) or {})[b"1:packed"] == noted
        assert len(await everybody(archives, season)) == size
        await archives.delete(ARCADE, season)
        assert await backend.hashes.get(key) is None


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ranking", RULES)
async def test_who_is_erased_was_never_there(
    backend: Backend, ranking: Ranking, packed: bool
) -> None:
    """Before it is packed and after that; the rest is as if they had been removed in time."""
    archives = Archives(backend, rows=20)
    entries = some_entries(70)
    gone = [entry.member for entry in entries[::9]]
    left = [entry for entry in entries if entry.member not in gone]
    season = await closed(backend, ranking, left)
    members = [*[entry.member for entry in entries][::6], b"nobody"]
    expected = await all_answers(archives, season, members)
    await archives.delete(ARCADE, season)
    await backend.sorted_sets.drop(archives.board(ARCADE, season))

    season = await closed(backend, ranking, entries)
    if packed:
        await archives.pack(ARCADE, season)
    elsewhere = Archives(backend)
    assert len(await everybody(elsewhere, season)) == 70
    for member in gone:
        assert await archives.erase(ARCADE, season, member)
        assert not await archives.erase(ARCADE, season, member)
    found = await archives.see(ARCADE, season)
    assert found is not None and found.season.size == len(left)
    for reader in (archives, elsewhere):
        assert await all_answers(reader, found.season, members) == expected
    await archives.pack(ARCADE, found.season)
    assert await all_answers(elsewhere, found.season, members) == expected


async def test_erasing_while_a_season_is_packed_and_read(backend: Backend) -> None:
    """By two at once, while two others pack it, and somebody reads all the time."""
    entries = some_entries(200)
    season = await closed(backend, Ranking(), entries)
    gone = [entry.member for entry in entries[::20]]
    done = asyncio.Event()

    async def read() -> int:
        archives, least = Archives(backend), 200
        while not done.is_set():
            there = {entry.member for entry in await everybody(archives, season)}
            assert len(there) <= least and there >= staying
            least = len(there)
            await asyncio.sleep(0)
        return least

    async def erase(members: list[bytes]) -> None:
        archives = Archives(backend)
        for member in members:
            assert await archives.erase(ARCADE, season, member)
            await asyncio.sleep(0)

    staying = {entry.member for entry in entries} - set(gone)
    reading = asyncio.create_task(read())
    packing = [Archives(backend, rows=20).pack(ARCADE, season) for _ in range(2)]
    await asyncio.gather(erase(gone[::2]), erase(gone[1::2]), *packing)
    done.set()
    await reading
    assert {entry.member for entry in await everybody(Archives(backend), season)} == staying
    found = await Archives(backend).see(ARCADE, season)
    assert found is not None and found.season.size == 190
    assert found.season.packed is not None


async def test_of_a_season_that_is_not_kept_nobody_is_erased(backend: Backend) -> None:
    archives = Archives(backend, rows=20)
    season = await closed(backend, Ranking(), some_entries(30))
    await archives.delete(ARCADE, season)
    other = await closed(backend, Ranking(), some_entries(40), ended=3_000)
    for gone in (season, other._replace(number=2)):
        with pytest.raises(NotFound, match="not kept any more"):
            await archives.erase(ARCADE, gone, b"m1")
    assert len(await everybody(archives, other)) == 40


async def test_many_members_come_in_few_round_trips(backend: Backend) -> None:
    """Buckets first, then blocks, however many; each part once."""
    archives = Archives(backend, rows=4)
    season = await closed(backend, Ranking(), some_entries(400))
    await archives.pack(ARCADE, season)
    found = await archives.see(ARCADE, season)
    assert found is not None
    asked: list[int] = []

    class Counting:
        async def get(self, key: bytes) -> bytes | None:
            asked.append(1)
            return await backend.values.get(key)

        async def get_all(self, keys: Sequence[bytes]) -> list[bytes | None]:
            asked.append(len(keys))
            return await backend.values.get_all(keys)

    archives.shelf = Shelf(cast(Values, Counting()))
    board, sets = archives.board(ARCADE, found.season), archives.sets(ARCADE, found.season)
    members = [entry.member for entry in some_entries(400)]
    assert len((await sets.members(board, members)).entries) == 400
    assert len(asked) <= 9 and max(asked) <= 32
    assert sum(asked) <= 1 + 2 * 100  # the head, and each bucket and block
    archives.shelf = Shelf(cast(Values, Counting()))
    asked.clear()
    assert (await sets.histogram(board, 50)).total == 400
    assert len(asked) == 2 and asked[1] <= 32
