"""A store lets go of everything, whatever it was doing."""

from __future__ import annotations

import asyncio

import pytest

from tests.redis.servers import RedisServer
from tests.redis.stores import opened


@pytest.mark.timeout(30)
async def test_a_store_can_be_closed_at_any_moment_after_its_start(
    frozen_redis: RedisServer,
) -> None:
    """A cancellation that arrives with what a task was waiting for must not be lost."""
    for turns in range(60):
        async with opened(frozen_redis):
            for _ in range(turns):
                await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others
