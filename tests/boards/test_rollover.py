"""Seasons that end while many write: no score is lost, none counts twice, each where it belongs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import pairwise

import pytest

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.backends import embedded
from realtime.services import Services
from realtime.services.archives import Archives
from realtime.services.season_care import SeasonCare
from realtime.services.season_keeper import SeasonKeeper
from tests.boards.rollover import (
    RANKS,
    SCORES,
    TALLY,
    Load,
    Played,
    Sent,
    Stage,
    points,
    ranked,
)
from tests.journaled import journaled
from tests.redis.servers import RedisServer
from tests.redis.stores import opened
from tests.redis.waiting import until

NODES = 3

Open = Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Stage]]


@asynccontextmanager
async def embedded_stage(_: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    clock = ManualClock()
    yield Stage(clock, [Services.on(embedded.backend(Engine(clock)))])


@asynccontextmanager
async def journaled_stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    clock = ManualClock()
    async with journaled(Engine(clock), request.getfixturevalue("tmp_path")) as (backend, _):
        yield Stage(clock, [Services.on(backend)])


@asynccontextmanager
async def redis_stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    server: RedisServer = request.getfixturevalue("frozen_redis")
    assert server.clock is not None
    async with AsyncExitStack() as stores:
        nodes = [await stores.enter_async_context(opened(server)) for _ in range(NODES)]
        yield Stage(server.clock, [Services.on(node.backend) for node in nodes])


STAGES: dict[str, Open] = {
    "embedded": embedded_stage,
    "journal": journaled_stage,
    "redis": redis_stage,
}


@pytest.fixture(params=STAGES)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with STAGES[request.param](request) as stage:
        await stage.begin()
        yield stage


@asynccontextmanager
async def kept(stage: Stage) -> AsyncIterator[list[SeasonKeeper]]:
    """A keeper on each node, which packs while others write."""
    keepers = []
    for node in stage.nodes:
        care = SeasonCare(node.backend, node.leaderboards, Archives(node.backend, rows=7), None)
        keepers.append(SeasonKeeper(node.backend, node.leaderboards, care))
    tasks = [asyncio.create_task(keeper.run()) for keeper in keepers]
    try:
        yield keepers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for keeper in keepers:
            await keeper.close()


def check_seasons(played: Sequence[Played]) -> None:
    """They follow each other."""
    assert [one.number for one in played] == list(range(1, len(played) + 1))
    assert all(earlier.ended <= later.began for earlier, later in pairwise(played))
    assert all(one.began < one.ended for one in played)


def check_scores(played: Sequence[Played], sent: Sequence[Sent]) -> None:
    """Each score is in one season, in which it may be."""
    by_member = {one.member: one for one in sent}
    found = [entry.member for one in played for entry in one.entries]
    assert Counter(found) == Counter(by_member.keys())
    for one in played:
        assert all(by_member[entry.member].may_be_in(one) for entry in one.entries)
        scores = {entry.member: by_member[entry.member].score for entry in one.entries}
        assert one.entries == ranked(scores, RANKS[SCORES])


def check_tally(played: Sequence[Played], sent: Sequence[Sent]) -> None:
    """All points are there, in each season no fewer than must be and no more than may be."""
    total: Counter[bytes] = Counter()
    sure: Counter[int] = Counter()
    perhaps: Counter[int] = Counter()
    for point in sent:
        numbers = [one.number for one in played if point.may_be_in(one)]
        assert numbers
        perhaps.update(numbers)
        sure.update(numbers if len(numbers) == 1 else [])
    for one in played:
        counted = points(one.entries)
        assert sure[one.number] <= counted.total() <= perhaps[one.number]
        assert one.entries == ranked(dict(counted), RANKS[TALLY])
        total += counted
    assert total == Counter([point.member for point in sent])


async def check(stage: Stage, load: Load) -> None:
    for board, source in load.boards:
        played = await stage.played(board)
        check_seasons(played)
        if board == source:
            assert len(played) > 5
        else:
            assert len(played) == (1 if board.endswith("all-time") else 2)
        checked = check_scores if source == SCORES else check_tally
        checked(played, load.sent[source])


async def test_no_score_is_lost_or_counts_twice(stage: Stage) -> None:
    load = Load(stage, seed=1, steps=12)
    await load.run()
    await check(stage, load)
    before = {board: await stage.played(board) for board, _ in load.boards}
    for board, _ in load.boards:
        await stage.pack(board)
        assert await stage.played(board) == before[board], "packed and unpacked alike"
        assert await stage.is_packed(board)


async def test_nor_while_seasons_are_packed(stage: Stage) -> None:
    async with kept(stage) as keepers:
        load = Load(stage, seed=2, steps=12)
        await load.run()
        assert sum(keeper.figures.packed for keeper in keepers) >= 1, "while others wrote"
        await check(stage, load)
        for board, _ in load.boards:
            await until(partial(stage.is_packed, board))
        await check(stage, load)
