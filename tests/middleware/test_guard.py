"""What a guard does when something goes wrong half-way."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Scope

from realtime.embedded import Embedded
from realtime.errors import Unavailable
from realtime.middleware import EmbeddedLimiter, RateLimitMiddleware, Rule
from tests.middleware.conftest import Ask, House, shop

LEASE = Rule("lease", 1, per=60, algorithm="concurrency")


async def test_a_key_function_that_fails_after_a_lease_was_acquired_leaves_none(
    house: House,
) -> None:
    def key(scope: Scope) -> str:
        raise ZeroDivisionError

    client = house.client(rules={"*": (LEASE, Rule("spent", 5, per=60, key=key))})
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await client()
    assert await house.features.limits.leases.of("lease", "ip:203.0.113.7") == []


class Slow(EmbeddedLimiter):
    """Its releases wait until they are told."""

    def __init__(self, house: House) -> None:
        super().__init__(house.features)
        self.releasing = asyncio.Event()
        self.released = asyncio.Event()
        self.is_slow = True

    async def release(self, rule: str, key: str, lease_id: str) -> None:
        if self.is_slow:
            self.releasing.set()
            await asyncio.Event().wait()
        await super().release(rule, key, lease_id)
        self.released.set()


async def test_who_is_cancelled_while_a_lease_is_given_back_gives_it_back_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.middleware.running.RETRY", 0.0)
    limiter = Slow(house)
    app = RateLimitMiddleware(shop(), rules={"*": LEASE}, limiter=limiter)
    task = asyncio.create_task(Ask(app)())
    await limiter.releasing.wait()
    limiter.is_slow = False
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await limiter.released.wait()
    assert await house.features.limits.leases.of("lease", "ip:203.0.113.7") == []


async def test_no_room_for_another_caller_is_our_own_lack(house: House) -> None:
    features = Embedded(house.clock, limit_max_keys=2)
    limiter = EmbeddedLimiter(features)
    for rules in (Rule("one", 5, per=3600), (Rule("two", 5, per=3600), Rule("three", 5, per=60))):
        ask = Ask(RateLimitMiddleware(shop(), rules={"*": rules}, limiter=limiter))
        answers = [await ask(address=f"198.51.100.{n}") for n in range(4)]
        refused = answers[-1]
        assert refused.status_code == 503
        assert refused.json()["type"].endswith("#temporary-reduced-capacity")
        assert "has no room for another caller" in refused.json()["detail"]
        assert int(refused.headers["retry-after"]) >= 1


class Away(EmbeddedLimiter):
    async def release(self, rule: str, key: str, lease_id: str) -> None:
        raise Unavailable("away")


async def test_a_lease_that_cannot_be_given_back_is_no_error_of_the_request(house: House) -> None:
    app = RateLimitMiddleware(shop(), rules={"*": LEASE}, limiter=Away(house.features))
    assert await Ask(app).statuses(2) == [200, 429]
    await vars(app)["_ask"].close()
