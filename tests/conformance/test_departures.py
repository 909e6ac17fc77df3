"""Who has left for good: the same steps in the same order, whatever the store is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from engine.clock import SECOND
from realtime.backends.base import Claimed, Departure, Due
from realtime.backends.keys import DEPARTURE_SHARDS, departure_shard
from tests.conformance.conftest import Store

DEBOUNCE = 10 * SECOND
LEASE = 30 * SECOND
GAP = 3600 * SECOND
ADA = b"ada"


@dataclass
class Desk:
    """Somebody who claims all that one user's shard has."""

    store: Store
    gap: int = GAP
    limit: int = 100

    async def look(self, user: bytes = ADA) -> Claimed:
        return await self.store.backend.departures.claim(
            departure_shard(user), debounce=DEBOUNCE, gap=self.gap, lease=LEASE, limit=self.limit
        )

    async def told(self, user: bytes = ADA) -> list[bytes]:
        return [due.departure.user for due in (await self.look(user)).due]

    @property
    def advance(self) -> Callable[[int], Awaitable[None]]:
        return self.store.advance


@pytest.fixture
async def desk(store: Store) -> Desk:
    """It has been looking at ada's shard for an hour."""
    desk = Desk(store)
    await desk.look()
    await store.advance(GAP)
    assert await desk.look() == ([], 0, 0)
    return desk


async def test_who_left_and_stayed_away_is_told_once(desk: Desk, store: Store) -> None:
    departures = store.backend.departures
    await departures.arrive(ADA)
    assert await desk.told() == []
    await departures.leave(ADA)
    await desk.advance(DEBOUNCE - 1)
    assert await desk.told() == []
    await desk.advance(1)
    (due,) = (await desk.look()).due
    assert (due.departure.user, due.tries, due.age) == (ADA, 0, DEBOUNCE)
    assert await desk.told() == [], "somebody has it"
    await departures.done(due.departure)
    await desk.advance(LEASE)
    assert await desk.look() == ([], 0, 0)


async def test_who_comes_back_in_time_is_not_told(desk: Desk, store: Store) -> None:
    departures = store.backend.departures
    for _ in range(3):
        await departures.arrive(ADA)
        await departures.leave(ADA)
        await desk.advance(DEBOUNCE - 1)
    await departures.arrive(ADA)
    await desk.advance(DEBOUNCE)
    assert await desk.told() == []
    await departures.leave(ADA)
    await desk.advance(DEBOUNCE)
    assert await desk.told() == [ADA]


async def test_who_comes_back_too_late_and_leaves_again_is_told_again(
    desk: Desk, store: Store
) -> None:
    departures = store.backend.departures
    for _ in range(2):
        await departures.arrive(ADA)
        await departures.leave(ADA)
        await desk.advance(DEBOUNCE)
        assert await desk.told() == [ADA]
    assert (await desk.look()).pending == 2


async def test_arriving_may_be_said_twice(desk: Desk, store: Store) -> None:
    departures = store.backend.departures
    await departures.arrive(ADA)
    await departures.arrive(ADA)
    await departures.leave(ADA)
    await desk.advance(DEBOUNCE)
    assert await desk.told() == [ADA]


async def test_a_lease_that_ends_gives_it_to_somebody_else(desk: Desk, store: Store) -> None:
    await store.backend.departures.arrive(ADA)
    await store.backend.departures.leave(ADA)
    await desk.advance(DEBOUNCE)
    first = (await desk.look()).due
    await desk.advance(LEASE - 1)
    assert await desk.told() == []
    await desk.advance(1)
    (again,) = (await desk.look()).due
    assert again == Due(first[0].departure, 0, DEBOUNCE + LEASE)


async def test_what_is_postponed_comes_back_with_its_tries(desk: Desk, store: Store) -> None:
    departures = store.backend.departures
    await departures.arrive(ADA)
    await departures.leave(ADA)
    await desk.advance(DEBOUNCE)
    for tries in (1, 2):
        (due,) = (await desk.look()).due
        assert due.tries == tries - 1
        await departures.postpone(due.departure, delay=5 * SECOND, tries=tries)
        await desk.advance(5 * SECOND - 1)
        assert await desk.look() == ([], 1, due.age + 5 * SECOND - 1)
        await desk.advance(1)
    (due,) = (await desk.look()).due
    assert due.tries == 2
    await departures.postpone(due.departure, delay=0, tries=0)
    assert (await desk.look()).due == [due], "given back, and no try was counted"


async def test_what_is_done_stays_done(desk: Desk, store: Store) -> None:
    """Also if somebody whose lease ended meanwhile says that it failed."""
    departures = store.backend.departures
    await departures.arrive(ADA)
    await departures.leave(ADA)
    await desk.advance(DEBOUNCE)
    (due,) = (await desk.look()).due
    await departures.done(due.departure)
    await departures.postpone(due.departure, delay=0, tries=7)
    await departures.done(due.departure)
    assert await desk.look() == ([], 0, 0)


async def test_no_more_than_asked_for_and_the_oldest_is_known(store: Store) -> None:
    users = [b"user %d" % number for number in range(2000)]
    users = [user for user in users if departure_shard(user) == 0][:30]
    desk = Desk(store, limit=7)
    await desk.look(users[0])
    await desk.advance(DEBOUNCE)
    await desk.look(users[0])
    for user in users:
        await store.backend.departures.arrive(user)
        await store.backend.departures.leave(user)
        await desk.advance(1)
    await desk.advance(DEBOUNCE)
    told: list[bytes] = []
    for _ in range(5):
        claimed = await desk.look(users[0])
        assert len(claimed.due) <= 7
        assert (claimed.pending, claimed.oldest) == (30, DEBOUNCE + 30)
        told += [due.departure.user for due in claimed.due]
    assert sorted(told) == sorted(users)
    desk.limit = 0
    assert await desk.told(users[0]) == []


async def test_time_in_which_nobody_looked_does_not_count(store: Store) -> None:
    """The store was away perhaps, and so nobody could be seen to come back."""
    desk = Desk(store, gap=5 * SECOND)
    for _ in range(2):
        await desk.look()
        await desk.advance(5 * SECOND)
    await store.backend.departures.arrive(ADA)
    await store.backend.departures.leave(ADA)
    await desk.advance(DEBOUNCE)
    for _ in range(2):
        assert await desk.told() == []
        await desk.advance(5 * SECOND - 1)
    assert await desk.told() == []
    await desk.advance(2)
    assert await desk.told() == [ADA]


async def test_users_may_have_any_name(desk: Desk, store: Store) -> None:
    for user in (b"", b"7 of 9", b"{tag}:x", "søren".encode(), bytes(range(256))):
        await desk.look(user)
        await desk.advance(DEBOUNCE)
        await desk.look(user)
        await store.backend.departures.arrive(user)
        await store.backend.departures.leave(user)
        await desk.advance(DEBOUNCE)
        (due,) = (await desk.look(user)).due
        assert due.departure.user == user
        await store.backend.departures.done(due.departure)
        assert (await desk.look(user)).pending == 0


def test_a_departure_is_what_its_text_says() -> None:
    for user in (b"", b"1 2", b"ada"):
        departure = Departure(user, 1_700_000_000_123_456)
        assert Departure.parse(departure.member) == departure


def test_users_are_spread_over_all_shards() -> None:
    shards = [departure_shard(b"%d" % number) for number in range(1600)]
    assert all(60 < shards.count(shard) < 150 for shard in range(DEPARTURE_SHARDS))
