"""Costs that are known later, and what runs at once."""

from __future__ import annotations

import pytest

from engine.clock import SECOND, ManualClock
from realtime.backends.base import NEVER
from realtime.embedded import Embedded
from realtime.errors import InvalidInput
from realtime.services.explaining import state_text
from realtime.services.limits import Limits, Override, Penalty, RuleSpec, Tier, Wish


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def features(clock: ManualClock) -> Embedded:
    return Embedded(clock)


@pytest.fixture
def limits(features: Embedded) -> Limits:
    return features.limits


async def left(limits: Limits, key: str = "ada", tier: str | None = None) -> int:
    return (await limits.peek("r", key, tier)).decision.remaining


# Refunds and reservations


async def test_a_refund_never_makes_more_than_full(limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=5, per=60))
    await limits.take("r", "ada", 3)
    assert (await limits.refund("r", "ada", 1)).decision.remaining == 3
    assert (await limits.refund("r", "ada", 99)).decision.remaining == 5


async def test_an_estimate_is_settled_once(limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=10, per=60))
    reservation, verdict = await limits.reserve("r", "ada", 6, 60)
    assert reservation is not None
    assert verdict.decision.remaining == 4
    settled = await limits.settle("r", "ada", reservation, 2)
    assert settled is not None
    assert settled.decision.remaining == 8
    assert await limits.settle("r", "ada", reservation, 0) is None
    assert await left(limits) == 8


async def test_what_costs_more_than_its_estimate_is_charged_as_far_as_it_is_left(
    limits: Limits,
) -> None:
    await limits.define("r", RuleSpec(limit=10, per=60))
    reservation, _ = await limits.reserve("r", "ada", 6, 60)
    assert reservation is not None
    settled = await limits.settle("r", "ada", reservation, 99)
    assert settled is not None
    assert settled.decision.remaining == 0
    assert settled.decision.reset_after == 60 * SECOND


async def test_what_is_not_settled_in_time_stays_as_it_was_estimated(
    limits: Limits, clock: ManualClock
) -> None:
    await limits.define("r", RuleSpec("fixed_window", limit=10, per=3600))
    reservation, _ = await limits.reserve("r", "ada", 6, 60)
    assert reservation is not None
    clock.advance(60 * SECOND)
    assert await limits.settle("r", "ada", reservation, 0) is None
    assert await left(limits) == 4


async def test_an_id_that_was_made_up_settles_nothing(limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=10, per=60))
    reservation, _ = await limits.reserve("r", "ada", 6, 60)
    assert reservation is not None
    for wrong in ("x.9", "x", "", reservation + "0", f"{reservation.partition('.')[0]}.10", "x.²"):
        assert await limits.settle("r", "ada", wrong, 0) is None
    assert await limits.settle("r", "bob", reservation, 0) is None
    assert await left(limits) == 4
    with pytest.raises(InvalidInput, match="ttl"):
        await limits.reserve("r", "ada", 1, 0)


async def test_reservations_need_room_like_callers(clock: ManualClock) -> None:
    """Else one caller, who may reserve often, would fill the memory; and keep others out."""
    features = Embedded(clock, limit_max_keys=4)
    limits = features.limits
    await limits.define("r", RuleSpec(limit=1_000, per=86_400))
    reserved = [await limits.reserve("r", "ada", 10, 60) for _ in range(5)]
    assert [one.id is None for one in reserved] == [False] * 3 + [True] * 2
    refused = reserved[-1].verdict
    assert (refused.allowed, refused.reason) == (False, "saturated")
    assert refused.decision.retry_after > 0
    assert await left(limits) == 970
    assert features.engine.buckets.room.used == 4
    assert reserved[0].id is not None
    assert await limits.settle("r", "ada", reserved[0].id, 1) is not None
    assert (await limits.reserve("r", "ada", 10, 60)).id is not None


async def test_nothing_is_reserved_of_what_is_refused(limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=1, per=60, allow=("vip",)))
    assert (await limits.reserve("r", "ada", 2, 60)).id is None
    assert (await limits.reserve("r", "vip", 1, 60)).id is None


# Leases


async def test_leases_follow_tiers_lists_and_shadows(limits: Limits, clock: ManualClock) -> None:
    spec = RuleSpec("concurrency", 1, 60, tiers={"gold": Tier(2)}, allow=("vip",), deny=("bad",))
    await limits.define("r", spec)
    leases = limits.leases
    first = await leases.acquire("r", "ada")
    assert first.allowed and first.id is not None
    assert first.expires == clock() + 60 * SECOND
    refused = await leases.acquire("r", "ada")
    assert (refused.allowed, refused.id, refused.reason) == (False, None, "limit")
    assert refused.retry_after == 60 * SECOND
    assert (await leases.acquire("r", "ada", tier="gold")).allowed
    assert [(await leases.acquire("r", "vip")).reason for _ in range(3)] == ["exempt"] * 3
    denied = await leases.acquire("r", "bad")
    assert (denied.allowed, denied.retry_after, denied.reason) == (False, NEVER, "denied")
    assert len(await leases.of("r", "ada")) == 2
    assert state_text(await limits.explain("r", "ada")) == "2 of 1 running"
    assert await leases.release("r", "ada", first.id)
    assert not await leases.release("r", "ada", first.id)
    await limits.define("r", RuleSpec("concurrency", 1, 60, shadow=True))
    shadowed = await leases.acquire("r", "ada")
    assert (shadowed.allowed, shadowed.id) == (True, None)
    assert (await limits.explain("r", "ada")).shadow_refused == 1


async def test_leases_and_takes_are_of_different_rules(limits: Limits) -> None:
    await limits.define("r", RuleSpec("concurrency", 1, 60))
    await limits.define("other", RuleSpec())
    with pytest.raises(InvalidInput, match="asked for leases"):
        await limits.take("r", "ada")
    with pytest.raises(InvalidInput, match="no concurrency rule"):
        await limits.leases.acquire("other", "ada")
    with pytest.raises(InvalidInput, match="at most 60"):
        await limits.leases.acquire("r", "ada", ttl=61)
    with pytest.raises(InvalidInput, match="visible characters"):
        await limits.leases.acquire("r", "ada", lease_id="two words")
    with pytest.raises(InvalidInput, match="no penalty"):
        await limits.define("p", RuleSpec("concurrency", 1, 60, penalty=Penalty(1, 1, 1)))


async def test_an_explanation_of_leases_says_what_decides(
    limits: Limits, clock: ManualClock
) -> None:
    spec = RuleSpec("concurrency", 1, 60, tiers={"gold": Tier(3)}, allow=("vip",), deny=("bad",))
    await limits.define("r", spec)
    defined = clock()
    clock.advance(SECOND)
    await limits.override("r", "eve", Override(rate=Tier(7)), ttl=100)
    await limits.leases.acquire("r", "ada", ttl=20)
    await limits.leases.acquire("r", "ada", ttl=30, tier="gold")
    found = await limits.explain("r", "ada")
    assert found.verdict.decision == (False, 1, 0, 30 * SECOND, 30 * SECOND)
    assert (found.term.source, found.since, found.verdict.reason) == ("rule", defined, "limit")
    assert state_text(found) == "2 of 1 running"
    found = await limits.explain("r", "ada", "gold")
    assert found.verdict.decision == (True, 3, 1, 0, 30 * SECOND)
    assert (found.term.source, found.term.tier, found.term.spec.limit) == ("tier", "gold", 3)
    found = await limits.explain("r", "eve")
    assert (found.term.source, found.term.spec.limit) == ("override", 7)
    assert found.since == defined + SECOND
    assert found.term.override is not None and found.term.override.expires == clock() + 100 * SECOND
    assert found.verdict.decision == (True, 7, 7, 0, 0)
    found = await limits.explain("r", "bad")
    assert (found.verdict.reason, found.verdict.decision.retry_after) == ("denied", NEVER)
    found = await limits.explain("r", "vip")
    assert (found.verdict.allowed, found.verdict.reason) == (True, "exempt")
    with pytest.raises(InvalidInput, match="no tier"):
        await limits.explain("r", "ada", "lead")


async def test_a_saturated_table_is_said_so(clock: ManualClock) -> None:
    limits = Embedded(clock, limit_max_keys=1).limits
    await limits.define("r", RuleSpec(limit=5, per=60))
    await limits.take("r", "ada")
    refused = await limits.take("r", "bob")
    assert (refused.allowed, refused.reason) == (False, "saturated")
    assert refused.next_after == refused.decision.retry_after > 0
    verdicts = await limits.take_all([Wish("r", "ada"), Wish("r", "bob")])
    assert [verdict.reason for verdict in verdicts] == ["", "saturated"]
    assert (await limits.peek("r", "ada")).decision.remaining == 4
