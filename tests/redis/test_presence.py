"""Presence over several nodes: users are counted over all of them, and ghosts heal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from realtime.backends.base import Backend, ClientInfo, Presence, PresenceStats
from tests.redis.servers import RedisServer
from tests.redis.stores import opened

SECOND = 1_000_000
ROOM = b"room"
Advance = Callable[[int], Any]


@pytest.fixture
async def nodes(frozen_redis: RedisServer) -> AsyncIterator[tuple[Presence, Presence, Advance]]:
    """Two nodes, whose clients are present for 60 s, and the way to let seconds pass."""
    assert frozen_redis.clock is not None
    clock = frozen_redis.clock
    async with opened(frozen_redis) as one, opened(frozen_redis) as other:
        backends: list[Backend] = [one.backend, other.backend]
        presences = [backend.presence for backend in backends]
        yield presences[0], presences[1], lambda seconds: clock.advance(seconds * SECOND)


Nodes = tuple[Presence, Presence, Advance]


async def test_a_user_is_counted_over_all_nodes(nodes: Nodes) -> None:
    here, there, _ = nodes
    assert await here.add(ROOM, ClientInfo("c1", "ada")) is True
    assert await there.add(ROOM, ClientInfo("c2", "ada")) is False
    assert await here.stats(ROOM) == await there.stats(ROOM) == PresenceStats(2, 1)
    assert await here.remove(ROOM, "c1") is False
    assert await there.remove(ROOM, "c2") is True
    assert await here.stats(ROOM) == PresenceStats(0, 0)


async def test_a_ghost_does_not_hold_its_user_back(nodes: Nodes) -> None:
    """The node of c1 dies. Until its deadline ada is there twice; then once."""
    dead, alive, advance = nodes
    await dead.add(ROOM, ClientInfo("c1", "ada"))
    advance(50)
    assert await alive.add(ROOM, ClientInfo("c2", "ada")) is False
    assert await alive.stats(ROOM) == PresenceStats(2, 1)
    advance(20)
    assert await alive.stats(ROOM) == PresenceStats(1, 1)
    assert await alive.remove(ROOM, "c2") is True


async def test_who_comes_back_after_its_ghost_has_gone_comes_first(nodes: Nodes) -> None:
    dead, alive, advance = nodes
    await dead.add(ROOM, ClientInfo("c1", "ada"))
    advance(30)
    await alive.add(ROOM, ClientInfo("c2", "bob"))
    advance(40)
    assert await alive.add(ROOM, ClientInfo("c3", "ada")) is True
    assert await alive.members(ROOM) == [ClientInfo("c2", "bob"), ClientInfo("c3", "ada")]
    assert await alive.stats(ROOM) == PresenceStats(2, 2)


async def test_the_last_connection_is_the_last_that_is_not_a_ghost(nodes: Nodes) -> None:
    dead, alive, advance = nodes
    await dead.add(ROOM, ClientInfo("c1", "ada"))
    advance(30)
    await alive.add(ROOM, ClientInfo("c2", "ada"))
    advance(40)
    assert await alive.remove(ROOM, "c2") is True


async def test_a_refresh_after_the_store_has_lost_everything_counts_anew(
    frozen_redis: RedisServer,
) -> None:
    async with opened(frozen_redis) as store:
        presence = store.backend.presence
        for client, user in (("c1", "ada"), ("c2", "ada"), ("c3", "")):
            await presence.add(ROOM, ClientInfo(client, user))
        frozen_redis.ask("FLUSHALL")
        assert await presence.stats(ROOM) == PresenceStats(0, 0)
        for _ in range(2):
            await store._presence._refresh()
            assert await presence.stats(ROOM) == PresenceStats(3, 1, 1)
        assert await presence.remove(ROOM, "c1") is False
        assert await presence.remove(ROOM, "c2") is True


async def test_nothing_stays_when_everybody_has_left(
    nodes: Nodes, frozen_redis: RedisServer
) -> None:
    here, there, advance = nodes
    await here.add(ROOM, ClientInfo("c1", "ada"))
    await there.add(ROOM, ClientInfo("c2", ""))
    assert frozen_redis.ask("HGETALL", "pres:{room}:users") == {"ada": "1", "": "1"}
    await here.remove(ROOM, "c1")
    await there.remove(ROOM, "c2")
    assert frozen_redis.ask("KEYS", "pres:*") == []
    await here.add(ROOM, ClientInfo("c1", "ada"))
    advance(61)
    assert frozen_redis.ask("KEYS", "pres:*") == []
