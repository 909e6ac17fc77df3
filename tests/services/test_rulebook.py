"""Where rules are kept: what a definition replaces, and what is said of single callers."""

from __future__ import annotations

import pytest

from engine.clock import SECOND, ManualClock
from realtime.embedded import Embedded
from realtime.errors import Conflict, InvalidInput, NotFound
from realtime.services import rulebook
from realtime.services.calendars import Unit
from realtime.services.limits import Algorithm, Limits, Override, Penalty, RuleSpec, Tier


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def features(clock: ManualClock) -> Embedded:
    return Embedded(clock)


@pytest.fixture
def limits(features: Embedded) -> Limits:
    return features.limits


async def left(limits: Limits, key: str = "ada") -> int:
    return (await limits.peek("r", key)).decision.remaining


async def spend_all(limits: Limits, key: str = "ada", tier: str | None = None) -> int:
    got = 0
    while (await limits.take("r", key, tier=tier)).allowed:
        got += 1
    return got


async def test_a_tier_bursts_as_the_rule_does_unless_it_says_otherwise(limits: Limits) -> None:
    tiers = {"gold": Tier(160), "wide": Tier(160, burst=90)}
    await limits.define("r", RuleSpec(limit=80, per=60, burst=20, tiers=tiers))
    await limits.override("r", "eve", Override(rate=Tier(50)))
    assert await spend_all(limits, "ada", "gold") == 20
    assert await spend_all(limits, "bob", "wide") == 90
    assert await spend_all(limits, "eve") == 20


async def test_rates_of_keys_that_are_over_make_room_for_others(
    features: Embedded, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rulebook, "MAX_OVERRIDES", 3)
    limits = features.limits
    await limits.define("r", RuleSpec(limit=3, per=60))
    for key, ttl in (("ada", 1), ("bob", 2), ("eve", None)):
        await limits.override("r", key, Override(rate=Tier(5)), ttl=ttl)
    await limits.override("r", "ada", Override(rate=Tier(6)), ttl=1)
    with pytest.raises(Conflict, match="at most 3"):
        await limits.override("r", "new", Override(rate=Tier(5)))
    clock.advance(2 * SECOND)
    await limits.override("r", "new", Override(rate=Tier(7)))
    assert [await left(limits, key) for key in ("ada", "bob", "eve", "new")] == [3, 3, 5, 7]
    kept = features.engine.hashes.get(b"rl:{r}")
    assert kept is not None
    assert {field for field in kept if field.startswith(b"k:")} == {b"k:eve", b"k:new"}


@pytest.mark.parametrize("algorithm", ["calendar", "concurrency"])
async def test_what_has_no_rate_of_another_period_is_given_none(
    limits: Limits, algorithm: Algorithm
) -> None:
    unit: Unit | None = "day" if algorithm == "calendar" else None
    with pytest.raises(InvalidInput, match="no period of their own"):
        await limits.define("r", RuleSpec(algorithm, 5, unit=unit, tiers={"gold": Tier(9, 60)}))
    await limits.define("r", RuleSpec(algorithm, 5, unit=unit, tiers={"gold": Tier(9)}))
    with pytest.raises(InvalidInput, match="no period of their own"):
        await limits.override("r", "ada", Override(rate=Tier(9, 60)))


async def test_what_was_spent_stays_spent_while_the_rule_was_one_of_concurrency(
    limits: Limits,
) -> None:
    await limits.define("r", RuleSpec(limit=10, per=3600))
    await limits.take("r", "ada", 8)
    await limits.define("r", RuleSpec("concurrency", limit=1, per=60))
    await limits.define("r", RuleSpec(limit=10, per=60))
    assert await left(limits) == 2
    await limits.define("r", RuleSpec("concurrency", limit=1, per=60))
    await limits.define("r", RuleSpec(limit=10, per=3600))
    assert await left(limits) == 2


@pytest.mark.parametrize(
    "damage",
    [
        {b"algorithm": b"leaky_bucket"},
        {b"limit": b"many"},
        {b"limit": b"0"},
        {b"tiers": b"{"},
        {b"tiers": b'{"gold":[]}'},
        {b"penalty": b"[1]"},
        {b"k:ada": b"?"},
        {b"first": b"0 5"},
        {b"algorithm": b"calendar"},
    ],
    ids=str,
)
async def test_a_rule_that_cannot_be_read_is_said_so_and_can_be_removed(
    features: Embedded, damage: dict[bytes, bytes]
) -> None:
    """A later version may have stored it; to take it for something else would admit anybody."""
    limits = features.limits
    await limits.define("r", RuleSpec("fixed_window", limit=1, per=60))
    features.engine.hashes.patch(b"rl:{r}", damage, [])
    reborn = type(features.services).on(features.services.backend).limits
    for ask in (reborn.take("r", "ada"), reborn.spec("r"), reborn.define("r", RuleSpec())):
        with pytest.raises(Conflict, match="'r' as it is stored cannot be read"):
            await ask
    assert await reborn.remove("r")
    await reborn.define("r", RuleSpec(limit=2))
    assert (await reborn.take("r", "ada")).decision.remaining == 1


async def test_a_definition_that_says_the_same_changes_nothing(features: Embedded) -> None:
    spec = RuleSpec(limit=5, per=60, tiers={"gold": Tier(9)}, penalty=Penalty(1, 2, 3))
    await features.limits.define("r", spec)
    changes = features.engine.effects.changes
    assert await features.limits.define("r", spec) == spec
    assert features.engine.effects.changes == changes
    reborn = type(features.services).on(features.services.backend)
    assert await reborn.limits.spec("r") == spec


async def test_rules_are_listed_by_name_and_removed(limits: Limits) -> None:
    for name in ("b", "a", "c"):
        await limits.define(name, RuleSpec())
    assert await limits.names() == ["a", "b", "c"]
    assert await limits.names(after="a", limit=1) == ["b"]
    assert await limits.remove("b")
    assert not await limits.remove("b")
    assert await limits.names() == ["a", "c"]
    with pytest.raises(NotFound):
        await limits.take("b", "ada")
