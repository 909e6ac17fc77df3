"""Closed seasons on every store: they answer the same before, while and after they are packed."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from realtime.backends.base import Backend, Ranking, Ranks, Ties
from realtime.backends.keys import SEASONS, board_key
from realtime.services.archives import Archives
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
