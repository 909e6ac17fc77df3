"""Growing is a restart, at full size: a service's whole world moves to Redis, and back.

The clock of the server stands still beside the engine's, so that even what a rate limit has
left must be the same to the microsecond.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.embedded import Embedded
from realtime.services import Services
from tests.cli.conftest import Run, run  # noqa: F401
from tests.redis.clock import ServerClock
from tests.redis.servers import running_redis
from tests.redis.stores import opened
from tests.transfer.test_world import loaded, saved, today
from tests.transfer.world import Size, answers, fill

LARGE = Size(
    boards=8,
    entries=25_000,
    counters=200,
    sessions=10_000,
    callers=3_000,
    channels=500,
    publications=30,
)


@pytest.mark.timeout(300)
async def test_every_answer_is_the_same_on_redis_and_after_the_way_back(
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    features = Embedded(clock := today())
    world = await fill(features.services, LARGE)
    before = await answers(features.services, world)
    saved(features, tmp_path / "data")

    server_clock = ServerClock(tmp_path)
    server_clock.now = clock.now
    with running_redis(tmp_path / "redis", clock=server_clock) as server:
        assert run("migrate", "--from", "data", "--to", server.url).code == 0
        async with opened(server) as store:
            on_redis = await answers(Services.on(store.backend), world)
        assert on_redis == before
        assert run("migrate", "--from", server.url, "--to", "back").code == 0
    assert await answers(loaded(tmp_path / "back", clock).services, world) == before


async def test_a_redis_that_starts_with_our_snapshot_serves_the_same(tmp_path: Path) -> None:
    """No command of ours between: the file is put where Redis looks for its own."""
    features = Embedded(clock := today())
    world = await fill(features.services, Size())
    before = await answers(features.services, world)
    server_clock = ServerClock(tmp_path)
    server_clock.now = clock.now
    saved(features, tmp_path / "redis")
    with running_redis(tmp_path / "redis", clock=server_clock) as server:
        async with opened(server) as store:
            assert await answers(Services.on(store.backend), world) == before
