"""Rules as people state them, on every backend."""

from __future__ import annotations

import pytest

from realtime.backends.base import WrongType
from realtime.services import Services
from realtime.services.limits import Algorithm, Limits, Override, Penalty, RuleSpec, Tier, Wish

from .conftest import Store

SECOND = 1_000_000


@pytest.fixture
def limits(store: Store) -> Limits:
    return Services.on(store.backend).limits


async def allowed(limits: Limits, key: str, tier: str | None = None) -> int:
    got = 0
    while (await limits.take("r", key, tier=tier)).allowed:
        got += 1
    return got


async def test_tiers_and_rates_of_single_keys(store: Store, limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=3, per=60, tiers={"gold": Tier(7)}))
    await limits.override("r", "eve", Override(rate=Tier(5)), ttl=30)
    assert await allowed(limits, "ada") == 3
    assert await allowed(limits, "bob", "gold") == 7
    assert await allowed(limits, "eve") == 5
    found = await limits.explain("r", "eve")
    assert (found.term.source, found.since) == ("override", await store.backend.buckets.now())
    await store.advance(60 * SECOND)
    assert await allowed(limits, "eve") == 3


async def test_a_definition_by_another_process_is_heard_of(store: Store, limits: Limits) -> None:
    await limits.define("r", RuleSpec("fixed_window", limit=10, per=3600))
    await limits.take("r", "ada", 6)
    other = Services.on(store.backend).limits
    assert (await other.take("r", "ada", 1)).decision.remaining == 3
    await other.define("r", RuleSpec("token_bucket", limit=8, per=3600))
    if not store.backend.immediate:
        while (await limits.spec("r")) != await other.spec("r"):
            await store.backend.ping()
        assert (await limits.peek("r", "ada")).decision.remaining == 3
    assert (await other.take("r", "ada", 1)).decision.remaining == 2


async def test_a_calendar_follows_the_clock_of_the_store(store: Store, limits: Limits) -> None:
    await limits.define("r", RuleSpec("calendar", 2, unit="minute", timezone="Asia/Kolkata"))
    await limits.define("burst", RuleSpec(limit=100, per=60))
    both = [Wish("burst", "ada"), Wish("r", "ada")]
    for _ in range(3):
        assert [(await limits.take_all(both))[1].allowed for _ in range(3)] == [True, True, False]
        wait = (await limits.take("r", "ada")).decision.retry_after
        assert 0 < wait <= 60 * SECOND
        await store.advance(wait)


async def test_penalties_lists_and_shadows(store: Store, limits: Limits) -> None:
    await limits.define(
        "r", RuleSpec(limit=1, per=60, penalty=Penalty(2, 60, 5), allow=("vip",), deny=("bad",))
    )
    reasons = [(await limits.take("r", "ada")).reason for _ in range(5)]
    assert reasons == ["", "limit", "limit", "penalty", "penalty"]
    assert [(await limits.take("r", key)).reason for key in ("vip", "bad")] == ["exempt", "denied"]
    await store.advance(5 * SECOND)
    assert (await limits.take("r", "ada")).reason == "limit"
    await limits.define("shadow", RuleSpec(limit=1, per=60, shadow=True))
    assert all([(await limits.take("shadow", "ada")).allowed for _ in range(3)])
    assert (await limits.explain("shadow", "ada")).shadow_refused == 2


async def test_reservations_and_leases(store: Store, limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=10, per=60))
    reservation, verdict = await limits.reserve("r", "ada", 6, 30)
    assert reservation is not None
    assert verdict.decision.remaining == 4
    settled = await limits.settle("r", "ada", reservation, 1)
    assert settled is not None and settled.decision.remaining == 9
    assert await limits.settle("r", "ada", reservation, 1) is None
    await limits.define("jobs", RuleSpec("concurrency", 1, 60))
    lease = await limits.leases.acquire("jobs", "ada")
    assert lease.id is not None
    assert not (await limits.leases.acquire("jobs", "ada")).allowed
    assert await limits.leases.release("jobs", "ada", lease.id)
    assert (await limits.leases.acquire("jobs", "ada")).allowed


@pytest.mark.parametrize("algorithm", ["fixed_window", "sliding_log", "token_bucket"])
async def test_what_the_clock_gave_back_before_a_settlement_is_not_given_twice(
    store: Store, limits: Limits, algorithm: Algorithm
) -> None:
    await limits.define("r", RuleSpec(algorithm, limit=10, per=60))
    reservation, verdict = await limits.reserve("r", "ada", 10, 3600)
    assert reservation is not None
    await store.advance(verdict.decision.reset_after)
    assert (await limits.take("r", "ada", 10)).allowed
    settled = await limits.settle("r", "ada", reservation, 0)
    assert settled is not None and settled.decision.remaining == 0


async def test_a_hold_of_an_older_version_is_settled_as_it_was_then(
    store: Store, limits: Limits
) -> None:
    await limits.define("r", RuleSpec(limit=10, per=60))
    await limits.take("r", "ada", 6)
    await store.backend.values.set(b"rl:r:{ada}:hold:old.6", b"", ttl=SECOND)
    settled = await limits.settle("r", "ada", "old.6", 1)
    assert settled is not None and settled.decision.remaining == 9
    assert await limits.settle("r", "ada", "old.6", 1) is None


async def test_what_is_damaged_is_said_to_be_until_it_is_reset(
    store: Store, limits: Limits
) -> None:
    await limits.define("r", RuleSpec("sliding_window", limit=3, per=60))
    await limits.define("tiered", RuleSpec(limit=3, per=60, tiers={"gold": Tier(9)}))
    for rule, state in (("r", b"xyz"), ("tiered", b"-1 0 3")):
        await store.backend.values.set(b"rl:%b:{ada}" % rule.encode(), state, ttl=60 * SECOND)
        for ask in (
            limits.take(rule, "ada"),
            limits.take_all([Wish(rule, "bob"), Wish(rule, "ada")]),
            limits.peek(rule, "ada"),
            limits.forecast(rule, "ada", 1),
            limits.refund(rule, "ada", 1),
            limits.reserve(rule, "ada", 1, 60),
            limits.explain(rule, "ada"),
        ):
            with pytest.raises(WrongType, match="state of a limit"):
                await ask
        assert await limits.reset(rule, "ada")
        assert (await limits.take(rule, "ada", 3)).allowed


async def test_rules_are_listed_and_removed(limits: Limits) -> None:
    for name in ("b", "a"):
        await limits.define(name, RuleSpec())
    assert await limits.names() == ["a", "b"]
    assert await limits.remove("a")
    assert await limits.names() == ["b"]
    assert await limits.spec("a") is None
