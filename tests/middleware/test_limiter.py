"""The middleware over a store that may have to be waited for, or that is away."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest

from realtime.backends.base import BackendUnavailable, Buckets, Decision, LimitRule, Wanted
from realtime.middleware import EmbeddedLimiter, RateLimitMiddleware, Rule
from realtime.middleware.occasional import INTERVAL, Occasional
from realtime.services.limits import Limits
from tests.middleware.conftest import Ask, House, shop

ITEMS = Rule("items", limit=3, per=30)
PAIR = (Rule("burst", limit=2, per=30), Rule("shy", limit=1, per=30, shadow=True))


class Distant:
    """Buckets that bind no takes, and that may be away."""

    def __init__(self, buckets: Buckets) -> None:
        self.buckets = buckets
        self.away = False

    async def take(self, key: bytes, rule: LimitRule, cost: int = 1) -> Decision:
        if self.away:
            raise BackendUnavailable
        return await self.buckets.take(key, rule, cost)

    async def take_all(self, takes: Sequence[Wanted]) -> list[Decision]:
        if self.away:
            raise BackendUnavailable
        return await self.buckets.take_all(takes)

    async def adjust(
        self, key: bytes, rule: LimitRule, by: int, until: int | None = None
    ) -> Decision:
        return await self.buckets.adjust(key, rule, by, until)

    async def hold(self, key: bytes, regained_after: int, ttl: int) -> int:
        return await self.buckets.hold(key, regained_after, ttl)

    async def unhold(self, key: bytes) -> int | None:
        return await self.buckets.unhold(key)

    async def now(self) -> int:
        return await self.buckets.now()


class Features:
    """Limits on such a store."""

    def __init__(self, house: House) -> None:
        backend = house.features.services.backend
        self.buckets = Distant(backend.buckets)
        self.limits = Limits(replace(backend, buckets=self.buckets, immediate=False))

    def sweep(self, budget: int = 1000) -> int:
        return 0


def guarded(features: Features, **options: object) -> Ask:
    rules = {"/items/{id}": ITEMS, "/login": PAIR}
    limiter = EmbeddedLimiter(features)
    return Ask(RateLimitMiddleware(shop(), rules=rules, limiter=limiter, **options))  # type: ignore[arg-type]


def test_there_is_no_shortcut_to_a_store_that_must_be_waited_for(house: House) -> None:
    assert Features(house).limits.shortcut("items", ITEMS.spec) is None
    assert house.features.limits.shortcut("items", ITEMS.spec) is not None


async def test_it_decides_as_any_other_does(house: House) -> None:
    ask = guarded(Features(house))
    assert await ask.statuses(4) == [200, 200, 200, 429]
    assert await ask.statuses(3, path="/login") == [200, 200, 429]
    house.advance(10)
    assert await ask.statuses(2) == [200, 429]
    assert (await ask()).headers["ratelimit"] == '"items";r=0;t=10'


async def test_a_store_that_is_away_is_a_503_and_no_error_of_the_app(house: House) -> None:
    features = Features(house)
    ask = guarded(features)
    await ask()
    features.buckets.away = True
    for path in ("/items/1", "/login"):
        answer = await ask(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["title"] == "Temporary reduced capacity"
    features.buckets.away = False
    assert (await ask()).status_code == 200


async def test_the_shortcut_and_the_long_way_spend_from_the_same_bucket(house: House) -> None:
    limits = house.features.limits
    await limits.define("items", ITEMS.spec)
    shortcut = limits.shortcut("items", ITEMS.spec)
    assert shortcut is not None
    bucket = shortcut.bucket("a{b}%")
    assert [shortcut.take(bucket, 1).remaining for _ in range(2)] == [2, 1]
    assert (await limits.take("items", "a{b}%")).decision.remaining == 0
    assert not shortcut.take(bucket, 1).allowed


def test_lines_that_are_left_out_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock = [0.0]
    lines = Occasional(logging.getLogger("realtime.test"), lambda: clock[0])
    for _ in range(5):
        lines.warn("again")
    clock[0] += INTERVAL
    lines.warn("again")
    clock[0] += INTERVAL
    lines.warn("again")
    assert [record.getMessage() for record in caplog.records] == [
        "again",
        "again (and 4 more since the last line)",
        "again",
    ]
