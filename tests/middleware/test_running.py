"""Leases of requests that run long, and of those that nobody gave back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from realtime.errors import Unavailable
from realtime.middleware import Rule
from realtime.middleware.limiter import EmbeddedLimiter
from realtime.middleware.running import MAX_ORPHANS, Running
from realtime.services.leases import Lease
from realtime.services.limits import Wish
from tests.middleware.conftest import House

RULE = Rule("export", 2, per=30, algorithm="concurrency")
WISH = Wish("export", "ada")


class Moody(EmbeddedLimiter):
    """A limiter that may be away, and that counts."""

    def __init__(self, house: House) -> None:
        super().__init__(house.features)
        self.house = house
        self.renewals = 0
        self.releases = 0
        self.is_away = False

    async def acquire(self, wish: Wish, lease_id: str) -> Lease:
        lease = await super().acquire(wish, lease_id)
        if self.is_away:
            raise Unavailable("it answered too late")
        return lease

    async def renew(self, rule: str, key: str, lease_id: str) -> bool:
        self.renewals += 1
        if self.is_away:
            raise Unavailable("away")
        return await super().renew(rule, key, lease_id)

    async def release(self, rule: str, key: str, lease_id: str) -> None:
        self.releases += 1
        if self.is_away:
            raise Unavailable("away")
        await super().release(rule, key, lease_id)

    async def active(self) -> int:
        return len(await self.house.features.limits.leases.of("export", "ada"))


class Time:
    """The loop's clock, which the test moves: what is due happens as it passes."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self._house = house
        self._now = 1_000.0
        self._timers: list[tuple[float, Callable[[], object]]] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self._now)
        monkeypatch.setattr(loop, "call_at", self._call_at)

    def _call_at(self, when: float, callback: Callable[[], object], *args: object) -> Timer:
        entry = (when, callback)
        self._timers.append(entry)
        return Timer(lambda: self._timers.remove(entry) if entry in self._timers else None)

    async def passes(self, seconds: float) -> None:
        end = self._now + seconds
        while due := sorted((when for when, _ in self._timers if when <= end)):
            self._house.advance(due[0] - self._now)
            self._now = due[0]
            for entry in [entry for entry in self._timers if entry[0] <= self._now]:
                self._timers.remove(entry)
                entry[1]()
            for _ in range(10):
                await asyncio.sleep(0)
        self._house.advance(end - self._now)
        self._now = end

    @property
    def timers(self) -> int:
        return len(self._timers)


class Timer:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel


@pytest.fixture
async def moody(house: House) -> Moody:
    limiter = Moody(house)
    await limiter.prepare([RULE])
    return limiter


@pytest.fixture
async def clock(house: House, monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(house, monkeypatch)


async def test_what_runs_long_is_renewed_and_keeps_its_place(moody: Moody, clock: Time) -> None:
    running = Running()
    _, held = await running.acquire(moody, RULE, WISH)
    assert held is not None
    await clock.passes(300)
    assert (await moody.active(), moody.renewals) == (1, 30)
    await running.release([held])
    assert (await moody.active(), len(running)) == (0, 0)
    await clock.passes(300)
    assert moody.renewals == 30
    assert clock.timers == 0, "nobody looks while nothing runs"


async def test_a_thousand_requests_have_one_timer_and_most_are_never_renewed(
    house: House, clock: Time
) -> None:
    rule = Rule("export", 1_000, per=30, algorithm="concurrency")
    limiter = Moody(house)
    await limiter.prepare([rule])
    running = Running()
    before = len(asyncio.all_tasks())
    leases = [(await running.acquire(limiter, rule, WISH))[1] for _ in range(1_000)]
    assert (len(running), clock.timers, len(asyncio.all_tasks())) == (1_000, 1, before)
    await clock.passes(9)
    await running.release([held for held in leases[:999] if held])
    await clock.passes(2)
    assert limiter.renewals == 1


async def test_one_renewal_may_fail(moody: Moody, clock: Time) -> None:
    running = Running()
    await running.acquire(moody, RULE, WISH)
    await clock.passes(5)
    moody.is_away = True
    await clock.passes(10)
    moody.is_away = False
    await clock.passes(100)
    assert await moody.active() == 1


async def test_a_lease_that_expired_all_the_same_is_told_of_and_not_taken_again(
    moody: Moody, clock: Time, caplog: pytest.LogCaptureFixture
) -> None:
    running = Running()
    _, held = await running.acquire(moody, RULE, WISH)
    assert held is not None
    moody.is_away = True
    await clock.passes(35)
    moody.is_away = False
    await clock.passes(100)
    assert (await moody.active(), len(running)) == (0, 0)
    assert "a lease of export" in caplog.text
    await running.release([held])


@pytest.mark.parametrize("way", ["late answer", "cancelled"])
async def test_a_lease_that_nobody_told_us_of_is_given_back(
    moody: Moody, clock: Time, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    running = Running()
    if way == "late answer":
        moody.is_away = True
        with pytest.raises(Unavailable):
            await running.acquire(moody, RULE, WISH)
        moody.is_away = False
    else:
        told = asyncio.Event()
        acquire = Moody.acquire

        async def slow(self: Moody, wish: Wish, lease_id: str) -> Lease:
            await acquire(self, wish, lease_id)
            await told.wait()
            raise AssertionError("cancelled before")

        monkeypatch.setattr(Moody, "acquire", slow)
        task = asyncio.create_task(running.acquire(moody, RULE, WISH))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await moody.active() == 1
    await clock.passes(2)
    assert (await moody.active(), clock.timers) == (0, 0)


async def test_what_cannot_be_given_back_is_once_that_is_possible(
    moody: Moody, clock: Time
) -> None:
    """However long that takes: nobody is locked out by an outage for as long as a lease lasts."""
    running = Running()
    hour = Rule("export", 2, per=3600, algorithm="concurrency")
    await moody.prepare([hour])
    leases = [(await running.acquire(moody, hour, WISH))[1] for _ in range(2)]
    moody.is_away = True
    await running.release([held for held in leases if held is not None])
    await clock.passes(600)
    moody.is_away = False
    assert await moody.active() == 2
    await clock.passes(1)
    assert (await moody.active(), clock.timers) == (0, 0)


async def test_what_has_ended_by_itself_is_not_given_back(moody: Moody, clock: Time) -> None:
    running = Running()
    _, held = await running.acquire(moody, RULE, WISH)
    assert held is not None
    moody.is_away = True
    await running.release([held])
    await clock.passes(60)
    assert (await moody.active(), clock.timers) == (0, 0)
    assert 25 <= moody.releases <= 31


async def test_one_that_cannot_be_given_back_is_in_the_way_of_no_other(
    moody: Moody, clock: Time
) -> None:
    running = Running()
    far = Moody(moody.house)
    leases = [(await running.acquire(limiter, RULE, WISH))[1] for limiter in (far, moody)]
    far.is_away = moody.is_away = True
    await running.release([held for held in leases if held is not None])
    moody.is_away = False
    await clock.passes(2.5)
    assert await moody.active() == 1


async def test_orphans_are_bounded(moody: Moody, clock: Time) -> None:
    running = Running()
    moody.is_away = True
    for _ in range(MAX_ORPHANS + 50):
        with pytest.raises(Unavailable):
            await running.acquire(moody, RULE, WISH)
    moody.is_away = False
    await clock.passes(1.5)
    assert moody.releases == MAX_ORPHANS


class Telling(EmbeddedLimiter):
    """A limiter that tells of renewals."""

    renewed: asyncio.Event

    def __init__(self, house: House) -> None:
        super().__init__(house.features)

    async def renew(self, rule: str, key: str, lease_id: str) -> bool:
        self.renewed.set()
        return await super().renew(rule, key, lease_id)


def test_another_event_loop_begins_anew(house: House) -> None:
    """That of a process that was forked from ours, or of the next run."""
    limiter, running = Telling(house), Running()
    soon = Rule("soon", 2, per=0.003, algorithm="concurrency")

    async def hold() -> int:
        limiter.renewed = asyncio.Event()
        await limiter.prepare([soon])
        await running.acquire(limiter, soon, Wish("soon", "ada"))
        async with asyncio.timeout(30):
            await limiter.renewed.wait()
        return len(running)

    assert [asyncio.run(hold()) for _ in range(2)] == [1, 1]


async def test_after_the_end_nothing_is_renewed(moody: Moody, clock: Time) -> None:
    running = Running()
    await running.acquire(moody, RULE, WISH)
    await running.close()
    await clock.passes(100)
    assert (moody.renewals, await moody.active()) == (0, 0)
