"""What the store of one process remembers of users over its own death, and what it does not."""

from __future__ import annotations

from engine.clock import SECOND, ManualClock
from engine.engine import Engine
from realtime.backends.base import Claimed, WritesRefused
from realtime.backends.embedded_departures import SETTLED_AT_ONCE, Departures
from realtime.backends.keys import departure_shard

DEBOUNCE = 10 * SECOND
GAP = 5 * SECOND
LEASE = 3600 * SECOND
ADA, BOB = b"ada", b"bob"


class Admission:
    """A disk that may be full."""

    refusal: str | None = None

    def admit(self) -> None:
        if self.refusal is not None:
            raise WritesRefused(self.refusal)


class Process:
    """One life of the service, on what the last one left."""

    def __init__(self, engine: Engine, clock: ManualClock) -> None:
        self.clock = clock
        self.admission = Admission()
        self.departures = Departures(engine, self.admission)

    async def look(self, user: bytes, limit: int = 10) -> Claimed:
        return await self.departures.claim(
            departure_shard(user), debounce=DEBOUNCE, gap=GAP, lease=LEASE, limit=limit
        )

    async def told(self, user: bytes) -> bool:
        """Whether the user's departure can be claimed now."""
        return any(due.departure.user == user for due in (await self.look(user)).due)

    async def watch(self, user: bytes, seconds: int) -> bool:
        """Whether it can at the end of some seconds, in each of which somebody looks."""
        for _ in range(seconds):
            assert not await self.told(user)
            self.clock.advance(SECOND)
        return await self.told(user)


async def test_who_was_connected_when_it_died_has_the_debounce_to_come_back() -> None:
    clock = ManualClock()
    engine = Engine(clock)
    first = Process(engine, clock)
    for user in (ADA, BOB):
        await first.look(user)
        await first.departures.arrive(user)
    clock.advance(3600 * SECOND)  # it is dead for an hour
    second = Process(engine, clock)
    await second.look(ADA)
    clock.advance(SECOND)
    await second.departures.arrive(ADA)
    assert await second.watch(BOB, 10)
    assert not await second.told(ADA)
    assert (await second.look(BOB)).oldest == 10 * SECOND, "as if they had left at the start"


async def test_who_had_just_left_when_it_died_has_it_too() -> None:
    """Nobody could come back meanwhile; the instant at which they left stays what it was."""
    clock = ManualClock()
    engine = Engine(clock)
    first = Process(engine, clock)
    await first.look(ADA)
    await first.departures.arrive(ADA)
    await first.departures.leave(ADA)
    left_at = clock()
    clock.advance(3600 * SECOND)
    second = Process(engine, clock)
    assert not await second.watch(ADA, 9)
    clock.advance(SECOND)
    (due,) = (await second.look(ADA)).due
    assert due.departure == (ADA, left_at)


async def test_what_could_not_be_written_is_made_up_for() -> None:
    clock = ManualClock()
    engine = Engine(clock)
    one = Process(engine, clock)
    for user in (ADA, BOB):
        await one.look(user)
    await one.departures.arrive(BOB)
    one.admission.refusal = "the disk is full"
    changes = engine.effects.changes
    await one.departures.arrive(ADA)
    await one.departures.leave(BOB)
    assert engine.effects.changes == changes
    one.admission.refusal = None
    assert await one.watch(BOB, 10)
    assert not await one.told(ADA)
    await one.departures.leave(ADA)
    assert await one.watch(ADA, 10)


async def test_after_going_back_to_a_backup_who_is_here_is_here() -> None:
    clock = ManualClock()
    engine, backup = Engine(clock), Engine(clock)
    await Process(backup, clock).departures.arrive(BOB)
    one = Process(engine, clock)
    for user in (ADA, BOB):
        await one.look(user)
    await one.departures.arrive(ADA)
    engine.replace(backup)
    assert await one.watch(BOB, 10), "the backup has bob, who is not here"
    assert not await one.told(ADA)
    await one.departures.leave(ADA)
    assert await one.watch(ADA, 10)


async def test_who_never_arrived_cannot_leave() -> None:
    clock = ManualClock()
    engine = Engine(clock)
    one = Process(engine, clock)
    await one.departures.leave(ADA)
    assert len(engine.keyspace) == 0
    assert not await one.watch(ADA, 15)


async def test_very_many_are_settled_a_few_at_a_time() -> None:
    clock = ManualClock()
    engine = Engine(clock)
    first = Process(engine, clock)
    users = [b"user %d" % number for number in range(24_000)]
    users = [user for user in users if departure_shard(user) == departure_shard(ADA)]
    for user in users:
        await first.departures.arrive(user)
    assert SETTLED_AT_ONCE < len(users) < 2_000
    second = Process(engine, clock)
    told: list[bytes] = []
    for _ in range(20):
        before = engine.effects.changes
        told += [due.departure.user for due in (await second.look(ADA, limit=2_000)).due]
        assert engine.effects.changes - before < 10 * SETTLED_AT_ONCE
        clock.advance(SECOND)
    for _ in range(20):
        claimed = await second.look(ADA, limit=2_000)
        told += [due.departure.user for due in claimed.due]
    assert sorted(told) == sorted(users)
