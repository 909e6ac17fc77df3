"""Users on several nodes of one store: who is at home where, and which node has died."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from engine.clock import SECOND
from realtime.backends.base import BackendUnavailable, Claimed
from realtime.backends.keys import departure_keys, departure_shard
from realtime.backends.redis.calls import Calls
from realtime.backends.redis.departures import LEAVE, STAY, Departures
from realtime.backends.redis.scripts import Script
from tests.redis import test_addresses
from tests.redis.clock import ServerClock
from tests.redis.cluster import Cluster
from tests.redis.servers import RedisServer
from tests.redis.stores import opened
from tests.redis.waiting import until

TTL = 60
"""Seconds until the stays of a node that has died end."""
DEBOUNCE = 10 * SECOND
GAP = 3600 * SECOND
ADA = b"ada"


async def look(node: Departures, user: bytes = ADA, gap: int = GAP) -> Claimed:
    return await node.claim(departure_shard(user), debounce=DEBOUNCE, gap=gap, lease=GAP, limit=100)


async def told(node: Departures, user: bytes = ADA) -> list[bytes]:
    return [due.departure.user for due in (await look(node, user)).due]


@dataclass
class Nodes:
    """Two nodes, whose stays nobody prolongs unless the test does."""

    clock: ServerClock
    calls: Calls
    one: Departures
    other: Departures

    def advance(self, seconds: float) -> None:
        self.clock.advance(round(seconds * SECOND))


@pytest.fixture
async def nodes(frozen_redis: RedisServer) -> AsyncIterator[Nodes]:
    """They have been looking at ada's shard for an hour."""
    assert frozen_redis.clock is not None
    async with opened(frozen_redis) as store:
        calls = store._wire
        nodes = Nodes(
            frozen_redis.clock,
            calls,
            Departures(calls, b"one", TTL),
            Departures(calls, b"other", TTL),
        )
        await look(nodes.one)
        nodes.advance(3600)
        await look(nodes.one)
        yield nodes


async def test_who_is_still_on_another_node_has_not_left(nodes: Nodes) -> None:
    await nodes.one.arrive(ADA)
    await nodes.other.arrive(ADA)
    await nodes.one.leave(ADA)
    nodes.advance(TTL - 1)
    assert await told(nodes.one) == []
    await nodes.other.leave(ADA)
    nodes.advance(9)
    assert await told(nodes.one) == []
    nodes.advance(1)
    assert await told(nodes.other) == [ADA]
    assert await told(nodes.one) == []


async def test_who_changes_the_node_within_the_debounce_has_not_left(nodes: Nodes) -> None:
    await nodes.one.arrive(ADA)
    await nodes.one.leave(ADA)
    nodes.advance(9)
    await nodes.other.arrive(ADA)
    nodes.advance(TTL - 1)
    assert await told(nodes.one) == []


async def test_the_users_of_a_dead_node_have_left_when_its_stays_end(nodes: Nodes) -> None:
    await nodes.one.arrive(ADA)
    nodes.advance(TTL)
    assert await told(nodes.other) == []
    nodes.advance(9)
    assert await told(nodes.other) == []
    nodes.advance(1)
    (due,) = (await look(nodes.other)).due
    assert due.departure == (ADA, nodes.clock() - DEBOUNCE), "when the last stay ended"


async def test_who_comes_back_from_a_dead_node_has_not_left(nodes: Nodes) -> None:
    await nodes.one.arrive(ADA)
    nodes.advance(TTL + 9)
    assert await told(nodes.other) == []
    await nodes.other.arrive(ADA)
    nodes.advance(TTL - 1)
    assert await told(nodes.other) == []
    await nodes.other.leave(ADA)
    nodes.advance(10)
    assert await told(nodes.other) == [ADA], "the dead node's stay is over: it does not count"


async def test_a_node_that_lives_keeps_its_users(nodes: Nodes) -> None:
    users = [b"user %d" % number for number in range(600)]
    for user in users:
        await nodes.one.arrive(user)
    for _ in range(6):
        await look(nodes.other, users[0])
        nodes.advance(TTL / 3)
        await nodes.one._refresh()
    for shard in range(16):
        claimed = await nodes.other.claim(shard, debounce=DEBOUNCE, gap=GAP, lease=GAP, limit=1000)
        assert claimed == ([], 0, 0)


class Late:
    """A wire on which some scripts do not arrive until they are let go, after their time-out."""

    def __init__(self, calls: Calls, late: Script) -> None:
        self.calls = calls
        self.late = late
        self.held: list[tuple[Script, Sequence[bytes], tuple[bytes, ...]]] = []

    @property
    def sharded(self) -> bool:
        return self.calls.sharded

    async def command(self, key: bytes, *words: bytes, writes: bool = False) -> Any:
        return await self.calls.command(key, *words, writes=writes)

    async def run(self, script: Script, keys: Sequence[bytes], *args: bytes) -> Any:
        if script is not self.late:
            return await self.calls.run(script, keys, *args)
        self.held.append((script, keys, args))
        raise BackendUnavailable("no answer within 1 s")

    async def let_go(self) -> None:
        for script, keys, args in self.held:
            await self.calls.run(script, keys, *args)


async def test_a_late_word_of_a_stay_that_is_over_ends_no_other(nodes: Nodes) -> None:
    """The store carries it out when the node has long given it up, and the user is back."""
    wire = Late(nodes.calls, LEAVE)
    node = Departures(wire, b"late", TTL)
    await node.arrive(ADA)
    await node.leave(ADA)
    await node.arrive(ADA)
    await wire.let_go()
    nodes.advance(TTL - 1)
    assert await told(nodes.one) == []


async def test_a_leave_that_is_lost_is_made_up_for_by_time(nodes: Nodes) -> None:
    node = Departures(Late(nodes.calls, LEAVE), b"late", TTL)
    await node.arrive(ADA)
    await node.leave(ADA)
    await node._refresh()
    nodes.advance(TTL)
    assert await told(nodes.one) == []
    nodes.advance(10)
    assert await told(nodes.one) == [ADA]


async def test_an_arrival_that_is_lost_is_said_again(nodes: Nodes) -> None:
    wire = Late(nodes.calls, STAY)
    node = Departures(wire, b"late", TTL)
    await nodes.one.arrive(ADA)
    await nodes.one.leave(ADA)
    await node.arrive(ADA)
    wire.late = LEAVE
    running = asyncio.create_task(node.run())
    here = departure_keys(departure_shard(ADA)).here

    async def is_here() -> bool:
        return await nodes.calls.command(here, b"ZSCORE", here, ADA) is not None

    await until(is_here)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    nodes.advance(11)
    assert await told(nodes.one) == []


async def test_after_an_outage_every_node_has_time_to_say_who_is_here(nodes: Nodes) -> None:
    """Stays ended while nobody could reach the store: that says nothing of their users."""
    await nodes.one.arrive(ADA)
    await look(nodes.one, gap=5 * SECOND)  # the watch ends 5 s after this one at the earliest
    nodes.advance(2 * 3600)
    assert (await look(nodes.other, gap=GAP)).due == []
    nodes.advance(TTL - 1)
    assert (await look(nodes.other, gap=GAP)).due == []
    await nodes.one._refresh()
    nodes.advance(TTL - 1)
    assert (await look(nodes.other, gap=GAP)).due == []
    nodes.advance(1 + 10)
    assert await told(nodes.other) == [ADA], "nobody has said so since"


async def test_nothing_is_left_in_the_store_when_all_is_told(
    nodes: Nodes, frozen_redis: RedisServer
) -> None:
    await nodes.one.arrive(ADA)
    await nodes.other.arrive(ADA)
    await nodes.other.leave(ADA)
    nodes.advance(TTL + 10)
    claimed = await look(nodes.other)
    assert claimed.pending == 1
    for due in claimed.due:
        await nodes.other.postpone(due.departure, delay=1, tries=3)
        await nodes.other.done(due.departure)
    left = [key for key in frozen_redis.ask("KEYS", "left:*") if not key.endswith(":watch")]
    assert left == []


async def test_in_a_cluster_each_step_stays_in_one_slot(cluster: Cluster) -> None:
    users = [b"user %d" % number for number in range(64)]
    async with test_addresses.opened(cluster.url) as store:
        departures = store.backend.departures
        for user in users:
            await departures.arrive(user)
        for user in users[::2]:
            await departures.leave(user)
        found: set[bytes] = set()
        for shard in range(16):
            for due in (
                await departures.claim(shard, debounce=0, gap=GAP, lease=GAP, limit=100)
            ).due:
                found.add(due.departure.user)
                await departures.postpone(due.departure, delay=0, tries=1)
                await departures.done(due.departure)
        assert found == set(users[::2])
    assert all(master.ask("KEYS", "left:*") for master in cluster.masters())
