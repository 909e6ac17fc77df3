"""Rules as people state them: tiers, lists, penalties, shadows, reservations, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest

from engine.clock import MINUTE, SECOND, ManualClock
from engine.engine import Engine
from realtime.backends.base import NEVER, BackendUnavailable
from realtime.backends.embedded import backend
from realtime.embedded import Embedded
from realtime.errors import InvalidInput, NotFound
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


async def spend_all(limits: Limits, key: str = "ada", tier: str | None = None) -> int:
    got = 0
    while (await limits.take("r", key, tier=tier)).allowed:
        got += 1
    return got


# Tiers and overrides


async def test_a_tier_has_a_rate_of_its_own(limits: Limits) -> None:
    await limits.define(
        "r", RuleSpec(limit=3, per=60, tiers={"gold": Tier(10), "slow": Tier(2, 600)})
    )
    assert await spend_all(limits, "ada") == 3
    assert await spend_all(limits, "bob", "gold") == 10
    assert await spend_all(limits, "eve", "slow") == 2
    verdict = await limits.peek("r", "eve", "slow")
    assert (verdict.spec.limit, verdict.spec.per) == (2, 600)
    with pytest.raises(InvalidInput, match="no tier 'lead'"):
        await limits.take("r", "ada", tier="lead")


async def test_to_change_ones_tier_is_worth_nothing(limits: Limits) -> None:
    """Whichever way, and how often it be: what was spent is spent."""
    await limits.define("r", RuleSpec(limit=3, per=60, tiers={"gold": Tier(10)}))
    got = 0
    for _ in range(5):
        got += await spend_all(limits, "ada")
        got += await spend_all(limits, "ada", "gold")
    assert got <= 10


async def test_what_is_set_for_a_key_comes_first_and_ends_when_it_says(
    limits: Limits, clock: ManualClock
) -> None:
    await limits.define("r", RuleSpec(limit=3, per=60, tiers={"gold": Tier(10)}))
    await limits.override("r", "ada", Override(rate=Tier(5)), ttl=3600)
    await limits.override("r", "bob", Override(tier="gold"))
    assert await spend_all(limits, "ada", "gold") == 5
    assert await spend_all(limits, "bob") == 10
    clock.advance(3600 * SECOND)
    assert await left(limits, "ada") == 3
    assert (await limits.explain("r", "ada")).term.source == "rule"
    assert await limits.remove_override("r", "bob")
    assert not await limits.remove_override("r", "bob")
    clock.advance(60 * SECOND)
    assert await spend_all(limits, "bob") == 3


async def test_an_override_must_make_sense(limits: Limits) -> None:
    await limits.define("r", RuleSpec("fixed_window", limit=3, per=60))
    with pytest.raises(InvalidInput, match="no tier"):
        await limits.override("r", "ada", Override(tier="gold"))
    with pytest.raises(InvalidInput, match="no burst"):
        await limits.override("r", "ada", Override(rate=Tier(5, None, 9)))
    with pytest.raises(NotFound):
        await limits.override("none", "ada", Override(rate=Tier(5)))


async def test_a_new_definition_keeps_what_is_set_for_keys(limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=3, per=60))
    await limits.override("r", "ada", Override(rate=Tier(5)))
    await limits.define("r", RuleSpec(limit=4, per=60))
    assert (await left(limits, "ada"), await left(limits, "bob")) == (5, 4)


# Several in one step


class Admission:
    """Of writes."""

    refusal: str | None = None

    def admit(self) -> None:
        if self.refusal is not None:
            raise BackendUnavailable(self.refusal)


async def test_a_step_decides_as_the_engine_does(features: Embedded, clock: ManualClock) -> None:
    """Each rule with a cost of its own, and some of them twice."""
    specs = {
        "r": RuleSpec(limit=7, per=3, burst=5),
        "s": RuleSpec("sliding_window", 20, 9),
        "f": RuleSpec("fixed_window", 30, 27),
        "l": RuleSpec("sliding_log", 12, 5),
    }
    for name, spec in specs.items():
        await features.limits.define(name, spec)
    draw = Random(1)
    for _ in range(500):
        clock.advance(draw.choice([0, 1, 300_000, 900_000, -1]))
        wishes = [
            Wish(draw.choice("rrsfl"), draw.choice(["ada", "bob"]), draw.choice([0, 1, 1, 2, 3]))
            for _ in range(draw.randint(2, 5))
        ]
        expected = features.engine.buckets.take_all(
            [(f"{w.rule} {w.key}".encode(), specs[w.rule].build(), w.cost) for w in wishes]
        )
        verdicts = await features.limits.take_all(wishes)
        assert [verdict.decision for verdict in verdicts] == expected
        assert [verdict.rule for verdict in verdicts] == [wish.rule for wish in wishes]


async def test_a_step_is_under_the_rules_as_they_are_now(limits: Limits) -> None:
    both = [Wish("r", "ada"), Wish("other", "ada")]
    await limits.define("other", RuleSpec(limit=9, per=60))
    for limit in (5, 2):
        await limits.remove("r")
        await limits.define("r", RuleSpec(limit=limit, per=60))
        await limits.reset("r", "ada")
        left = [(await limits.take_all(both))[0].decision.remaining for _ in range(2)]
        assert left == [limit - 1, limit - 2]


async def test_a_step_is_admitted_like_any_other_write() -> None:
    admission = Admission()
    limits = Limits(backend(Engine(ManualClock()), admission))
    await limits.define("r", RuleSpec(limit=5, per=60))
    both = [Wish("r", "ada"), Wish("r", "bob")]
    await limits.take_all(both)
    admission.refusal = "the disk is full"
    with pytest.raises(BackendUnavailable):
        await limits.take_all(both)
    assert await left(limits) == 4


# Lists


async def test_lists_come_before_anything_else(limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=1, per=60, allow=("vip", "both"), deny=("bad", "both")))
    exempt = [await limits.take("r", "vip") for _ in range(5)]
    assert all(verdict.allowed and verdict.reason == "exempt" for verdict in exempt)
    for key in ("bad", "both"):
        denied = await limits.take("r", key)
        assert (denied.allowed, denied.reason, denied.decision.retry_after) == (
            False,
            "denied",
            NEVER,
        )


async def test_who_is_denied_charges_nobody(limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=1, per=60, deny=("bad",)))
    await limits.define("other", RuleSpec(limit=5, per=60))
    wishes = [Wish("other", "ada"), Wish("r", "bad"), Wish("other", "ada", 9)]
    verdicts = await limits.take_all(wishes)
    assert [verdict.allowed for verdict in verdicts] == [True, False, False]
    assert [verdict.reason for verdict in verdicts] == ["", "denied", "limit"]
    assert (await limits.peek("other", "ada")).decision.remaining == 5


async def test_who_is_exempt_takes_part_in_a_step_and_spends_nothing(limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=1, per=60, allow=("vip",)))
    await limits.define("other", RuleSpec(limit=5, per=60))
    for expected in (4, 3):
        verdicts = await limits.take_all([Wish("r", "vip"), Wish("other", "vip")])
        assert [verdict.reason for verdict in verdicts] == ["exempt", ""]
        assert verdicts[1].decision.remaining == expected


# Penalties and shadows


async def test_who_keeps_violating_is_refused_for_a_while(
    limits: Limits, clock: ManualClock
) -> None:
    await limits.define("r", RuleSpec(limit=1, per=1, penalty=Penalty(3, 60, 300)))
    assert (await limits.take("r", "ada")).allowed
    refusals = [await limits.take("r", "ada") for _ in range(3)]
    assert [verdict.reason for verdict in refusals] == ["limit"] * 3
    clock.advance(10 * SECOND)
    boxed = await limits.take("r", "ada")
    assert (boxed.allowed, boxed.reason, boxed.decision.retry_after) == (
        False,
        "penalty",
        290 * SECOND,
    )
    assert (await limits.take("r", "bob")).allowed
    clock.advance(290 * SECOND)
    assert (await limits.take("r", "ada")).allowed


async def test_to_hammer_in_the_box_does_not_lock_it(limits: Limits, clock: ManualClock) -> None:
    await limits.define("r", RuleSpec(limit=1, per=1, penalty=Penalty(1, 60, 10)))
    await limits.take("r", "ada")
    await limits.take("r", "ada")
    for _ in range(9):
        clock.advance(SECOND)
        assert (await limits.take("r", "ada")).reason == "penalty"
    clock.advance(SECOND)
    assert (await limits.take("r", "ada")).allowed


async def test_violations_of_long_ago_do_not_count(limits: Limits, clock: ManualClock) -> None:
    await limits.define("r", RuleSpec(limit=1, per=1, penalty=Penalty(2, 10, 300)))
    for _ in range(5):
        assert (await limits.take("r", "ada")).allowed
        assert (await limits.take("r", "ada")).reason == "limit"
        clock.advance(10 * SECOND)


async def test_a_reset_forgives(limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=1, per=60, penalty=Penalty(1, 60, 300)))
    await limits.take("r", "ada", 1)
    await limits.take("r", "ada", 1)
    assert (await limits.peek("r", "ada")).reason == "penalty"
    assert await limits.reset("r", "ada")
    assert (await limits.take("r", "ada")).allowed


async def test_who_is_in_the_box_charges_nobody(limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=1, per=60, penalty=Penalty(1, 60, 300)))
    await limits.define("other", RuleSpec(limit=5, per=60))
    both = [Wish("other", "ada"), Wish("r", "ada")]
    reasons = [[verdict.reason for verdict in await limits.take_all(both)] for _ in range(3)]
    assert reasons == [["", ""], ["", "limit"], ["", "penalty"]]
    assert (await limits.peek("other", "ada")).decision.remaining == 4


async def test_a_shadow_rule_counts_what_it_would_have_refused(limits: Limits) -> None:
    await limits.define("r", RuleSpec(limit=2, per=60, shadow=True, deny=("bad",)))
    verdicts = [await limits.take("r", "ada") for _ in range(5)]
    assert all(verdict.allowed for verdict in verdicts)
    assert [verdict.decision.allowed for verdict in verdicts] == [True] * 2 + [False] * 3
    assert (await limits.take("r", "bad")).allowed
    assert (await limits.explain("r", "ada")).shadow_refused == 4


async def test_what_others_refused_is_told_by_a_shadow_rule_and_counted_by_none(
    limits: Limits,
) -> None:
    spec = RuleSpec(limit=1, per=60, shadow=True, deny=("bad",), penalty=Penalty(1, 60, 300))
    await limits.define("r", spec)
    await limits.define("other", RuleSpec(limit=1, per=60))
    await limits.take("r", "ada")
    for key in ("ada", "bad", "bob"):
        await limits.take("other", key)
        told = (await limits.take_all([Wish("other", key), Wish("r", key)]))[1]
        assert told.allowed
        wait = {"ada": 60 * SECOND, "bad": NEVER, "bob": 0}[key]
        assert (told.decision.allowed, told.decision.retry_after) == (key == "bob", wait)
        assert (await limits.explain("r", key)).violations == 0
    assert (await limits.explain("r", "ada")).shadow_refused == 0
    assert await left(limits, "bob") == 1


async def test_a_forecast_is_what_a_take_is_answered_then(limits: Limits) -> None:
    spec = RuleSpec(limit=2, per=60, deny=("bad",), allow=("vip",), penalty=Penalty(1, 60, 300))
    await limits.define("r", spec)
    for key, cost in (("ada", 1), ("ada", 3), ("ada", 1), ("bad", 1), ("vip", 1)):
        told = [await limits.forecast("r", key, cost) for _ in range(3)]
        assert told == [await limits.take("r", key, cost)] * 3


# Calendars


async def test_a_day_is_a_day_where_the_rule_is(limits: Limits, clock: ManualClock) -> None:
    clock.now = int(datetime(2026, 10, 24, 21, 0, tzinfo=UTC).timestamp()) * SECOND
    await limits.define("r", RuleSpec("calendar", 3, unit="day", timezone="Europe/Berlin"))
    assert await spend_all(limits) == 3
    clock.advance(3600 * SECOND)  # midnight in Berlin; this day has 25 hours
    assert await spend_all(limits) == 3
    refused = await limits.take("r", "ada")
    assert refused.decision.retry_after == 25 * 3600 * SECOND
    clock.advance(refused.decision.retry_after - 1)
    assert not (await limits.take("r", "ada")).allowed
    clock.advance(1)
    assert (await limits.take("r", "ada")).allowed


async def test_a_shadow_rule_whose_window_is_over_has_nobody_charged_twice(
    limits: Limits, clock: ManualClock
) -> None:
    await limits.define("burst", RuleSpec(limit=100, per=86_400))
    await limits.define("first", RuleSpec(limit=100, per=86_400, shadow=True))
    await limits.define("r", RuleSpec("calendar", 5, unit="minute", shadow=True))
    wishes = [Wish(rule, "ada") for rule in ("burst", "first", "r")]
    for expected in ([99, 99, 4], [98, 98, 4]):
        verdicts = await limits.take_all(wishes)
        assert [verdict.decision.remaining for verdict in verdicts] == expected
        clock.advance(MINUTE)


async def test_a_calendar_goes_with_other_rules_in_one_step(
    limits: Limits, clock: ManualClock
) -> None:
    await limits.define("r", RuleSpec("calendar", 2, unit="minute"))
    await limits.define("burst", RuleSpec(limit=100, per=60))
    both = [Wish("r", "ada"), Wish("burst", "ada")]
    for _ in range(2):
        for _ in range(2):
            assert all(verdict.allowed for verdict in await limits.take_all(both))
        assert [verdict.allowed for verdict in await limits.take_all(both)] == [False, True]
        clock.advance(MINUTE)
    assert (await limits.refund("r", "ada", 1)).decision.remaining == 2


# Changes


@pytest.mark.parametrize(("policy", "expected"), [("as-is", 4), ("proportional", 8), ("reset", 20)])
async def test_a_change_of_rule_reads_what_was_spent_by_its_policy(
    limits: Limits, policy: str, expected: int
) -> None:
    await limits.define("r", RuleSpec(limit=10, per=3600))
    await limits.take("r", "ada", 6)
    await limits.define("r", RuleSpec(limit=20, per=3600, on_change=policy))  # type: ignore[arg-type]
    assert await left(limits) == expected
    await limits.take("r", "ada", 1)
    assert await left(limits) == expected - 1


# Why


async def test_an_explanation_says_what_decides_and_since_when(
    limits: Limits, clock: ManualClock
) -> None:
    defined = clock()
    spec = RuleSpec(
        limit=4,
        per=60,
        tiers={"gold": Tier(10)},
        allow=("vip",),
        deny=("bad",),
        penalty=Penalty(2, 60, 300),
    )
    await limits.define("r", spec)
    clock.advance(SECOND)
    await limits.override("r", "eve", Override(rate=Tier(7)))
    sources = {
        key: (found.term.source, found.since)
        for key in ("ada", "vip", "bad", "eve")
        for found in [await limits.explain("r", key)]
    }
    assert sources == {
        "ada": ("rule", defined),
        "vip": ("allow", defined),
        "bad": ("deny", defined),
        "eve": ("override", defined + SECOND),
    }
    assert (await limits.explain("r", "ada", "gold")).term.source == "tier"
    await limits.take("r", "ada", 3)
    assert state_text(await limits.explain("r", "ada")) == "1 of 4 left, all of it in 45 s"
    await limits.take("r", "ada", 2)
    assert (await limits.explain("r", "ada")).violations == 1
    await limits.take("r", "ada", 2)
    found = await limits.explain("r", "ada")
    assert found.released_after == 300 * SECOND
    assert state_text(found) == "in the penalty box for another 5 min"
    assert state_text(await limits.explain("r", "vip")) == "on the allow list: never refused"
    assert state_text(await limits.explain("r", "new")) == "all 4 left"
