"""A store lets go of everything, whatever it was doing."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock

import pytest

from realtime.backends.redis.presence import Presence
from tests.redis.servers import RedisServer
from tests.redis.stores import opened


async def test_a_store_can_be_closed_at_any_moment_after_its_start(
    frozen_redis: RedisServer,
) -> None:
    for turns in range(40):
        async with opened(frozen_redis):
            for _ in range(turns):
                await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancellation_is_not_lost_when_it_meets_what_was_waited_for(turns: int) -> None:
    """The task would go on for ever, and whoever closes the store wait for it."""
    presence = Presence(AsyncMock(), b"node", 60.0)
    running = asyncio.create_task(presence.run())
    for _ in range(10):  # until it waits
        await asyncio.sleep(0)
    presence.renew()
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=5)
    assert done
