"""Rules that somebody has changed or removed meanwhile, or that could not be defined yet."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.types import Scope

from realtime.backends.base import BackendUnavailable
from realtime.embedded import Embedded
from realtime.errors import InvalidInput
from realtime.middleware import (
    EmbeddedLimiter,
    Limiter,
    RateLimitMiddleware,
    RemoteLimiter,
    Rule,
    StoreLimiter,
    Tier,
)
from realtime.middleware.outage import Outages
from realtime.services.limits import RuleSpec
from realtime.stored import Stored
from tests.middleware.conftest import Ask, House, lifespan, shop
from tests.middleware.limiters import Place
from tests.middleware.test_outage import Wire, client
from tests.redis.servers import RedisServer, running_redis
from tests.service import Service, running_service

log = logging.getLogger("realtime.test")

PATIENT = 30.0
HOUR = 3600.0


class Others(NamedTuple):
    """A limiter, and what others may do to its rules."""

    limiter: Limiter
    define: Callable[[str, int], Awaitable[object]]
    """A rule by its name, with a limit per hour."""
    remove: Callable[[str], Awaitable[object]]

    def client(self, rule: Rule, **options: Any) -> Ask:
        return Place(self.limiter, lambda *_: None).client(rules={"*": rule}, **options)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("data")) as service:
        yield service


@pytest.fixture(params=["embedded", "store", "remote"])
async def others(request: pytest.FixtureRequest) -> AsyncIterator[Others]:
    if request.param == "embedded":
        features = Embedded()
        yield _by_name(features, EmbeddedLimiter(features))
    elif request.param == "store":
        url = request.getfixturevalue("redis").url
        async with Stored(url) as stored:
            limiter = StoreLimiter(url, timeout=PATIENT)
            yield _by_name(stored, limiter)
            await limiter.close()
    else:
        url = request.getfixturevalue("service").url
        async with httpx.AsyncClient(base_url=f"{url}/v1/limits") as http:
            remote = RemoteLimiter(url, timeout=PATIENT)
            yield Others(
                remote,
                lambda name, limit: http.put(name, json={"limit": limit, "per": HOUR}),
                http.delete,
            )
            await remote.close()


def _by_name(features: Embedded | Stored, limiter: Limiter) -> Others:
    limits = features.limits
    return Others(
        limiter,
        lambda name, limit: limits.define(name, RuleSpec(limit=limit, per=HOUR)),
        limits.remove,
    )


def gold(scope: Scope) -> str:
    return "gold"


async def _heard(ask: Ask, policy: str) -> None:
    """Until the limiter knows of a change, which others tell it of when they have made it."""
    async with asyncio.timeout(PATIENT):
        for number in itertools.count():
            answer = await ask(address=f"2001:db8:{number:x}::1")
            if answer.headers["ratelimit-policy"].startswith(policy):
                return


@pytest.mark.parametrize("algorithm", ["token_bucket", "concurrency"])
async def test_a_rule_that_somebody_removed_is_defined_again(
    others: Others, algorithm: str
) -> None:
    rule = Rule(f"removed-{algorithm}", 2, per=HOUR, algorithm=algorithm)  # type: ignore[arg-type]
    ask = others.client(rule)
    assert await ask.statuses(1) == [200]
    await others.remove(rule.name)
    assert await ask.statuses(1) == [200]
    assert "ratelimit" in (await ask(address="198.51.100.1")).headers
    await vars(ask.app)["_ask"].running.close()


async def test_a_rule_may_be_removed_while_it_is_held_a_lease_of(others: Others) -> None:
    rule = Rule("removed-under-way", 2, per=HOUR, algorithm="concurrency")

    async def app(scope: object, receive: object, send: object) -> None:
        await others.remove(rule.name)

    place = Place(others.limiter, lambda *_: None)
    ask = place.client(app, rules={"*": rule})
    with pytest.raises(AssertionError):  # httpx misses the response that the app never began
        await ask()
    assert len(vars(ask.app)["_ask"].running) == 0


async def test_a_tier_that_a_rule_has_lost_is_treated_as_the_rule_says(others: Others) -> None:
    rule = Rule("tiers", 5, per=HOUR, tiers={"gold": Tier(10)})
    ask = others.client(rule, tier=gold, cost=3, cost_after=lambda scope: 1)
    assert '"tiers";q=10' in (await ask(address="198.51.100.1")).headers["ratelimit-policy"]
    await others.define(rule.name, 4)
    await _heard(ask, '"tiers";q=4')
    answers = [await ask() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert answers[2].json()["retry_after"] > 800


async def test_a_tier_that_a_concurrency_rule_has_lost(house: House) -> None:
    rule = Rule("leases", 5, per=HOUR, algorithm="concurrency", tiers={"gold": Tier(10)})
    ask = house.client(rules={"*": rule}, tier=gold)
    assert '"leases";q=10' in (await ask()).headers["ratelimit-policy"]
    await house.features.limits.define(rule.name, RuleSpec("concurrency", limit=1, per=HOUR))
    assert '"leases";q=1;' in (await ask()).headers["ratelimit-policy"]
    await vars(ask.app)["_ask"].running.close()


async def test_a_new_definition_is_made_known_once_somebody_answers(house: House) -> None:
    """Also where the old one still is, and would be used."""
    await house.features.limits.define("a", RuleSpec(limit=100, per=60))
    wire = Wire(house)
    ask = client(wire, Rule("a", 2, per=60))
    wire.is_cut = True
    async with lifespan(ask.app):
        answer = await ask()
        assert (answer.status_code, "ratelimit" in answer.headers) == (200, False)
        wire.is_cut = False
        assert await ask.statuses(3) == [200, 200, 429]


async def test_who_comes_first_does_not_wait_long_for_definitions(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Wire):
        async def _define(self, rule: Rule) -> None:
            await asyncio.Event().wait()

    wire = Silent(house)
    vars(wire)["_timeout"] = 0.01
    ask = client(wire, Rule("a", 2, per=60))
    async with asyncio.timeout(PATIENT):
        assert await ask.statuses(1) == [200]
        monkeypatch.setattr("realtime.middleware.distant.START", 0.02)
        async with lifespan(ask.app):
            assert await ask.statuses(1) == [200]


async def test_definitions_may_take_longer_than_a_decision(house: House) -> None:
    """Where the way is long; what was begun goes on when the question has been given up."""

    class Far(Wire):
        go_on = asyncio.Event()
        begun = 0

        async def _define(self, rule: Rule) -> None:
            self.begun += 1
            await self.go_on.wait()
            await super()._define(rule)

    wire = Far(house)
    vars(wire)["_outages"] = Outages("a test", 0.01, log)
    vars(wire)["_timeout"] = 0.01
    ask = client(wire, Rule("a", 1, per=60))
    for _ in range(2):
        answer = await ask()
        assert (answer.status_code, "ratelimit" in answer.headers) == (200, False)
    wire.go_on.set()
    vars(wire)["_outages"] = Outages("a test", PATIENT, log)
    assert await ask.statuses(2) == [200, 429]
    assert wire.begun == 1
    await wire.close()


async def test_a_rule_that_cannot_be_defined_is_in_the_way_of_no_other(house: House) -> None:
    class Picky(Wire):
        async def _define(self, rule: Rule) -> None:
            if rule.name == "bad":
                raise InvalidInput("an older service does not know this")
            await super()._define(rule)

    wire = Picky(house)
    rules = {"/login": Rule("bad", 1, per=60), "*": Rule("good", 1, per=60)}
    ask = Ask(RateLimitMiddleware(shop(), rules=rules, limiter=wire))
    assert await ask.statuses(2, "/login") == [200, 200]
    assert await ask.statuses(2) == [200, 429]
    await wire.close()


async def test_features_whose_store_is_away_at_the_start_do_not_stop_the_app(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise BackendUnavailable("nobody listens")

    ask = house.client(rules={"*": (Rule("a", 1, per=60), Rule("b", 9, per=60, shadow=True))})
    with monkeypatch.context() as patch:
        patch.setattr(house.features.limits, "define", away)
        async with lifespan(ask.app):
            assert await ask.statuses(1) == [503]
    assert await ask.statuses(2) == [200, 429]
