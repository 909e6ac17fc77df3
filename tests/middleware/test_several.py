"""Several rules before one route, decided at once in this process."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from starlette.types import Scope

from realtime.middleware import Rule
from realtime.services.limits import Override, Tier
from tests.middleware.conftest import House

BURST = Rule("burst", limit=2, per=30)
HOUR = Rule("hour", limit=3, per=3600)
DAY = Rule("day", limit=100, per=86_400, algorithm="sliding_window")
ALL = {"*": (BURST, HOUR, DAY)}


async def test_all_are_charged_or_none(house: House) -> None:
    ask = house.client(rules=ALL)
    assert (await ask()).headers[
        "ratelimit"
    ] == '"burst";r=1;t=15, "hour";r=2;t=1200, "day";r=99;t=92800'
    assert await ask.statuses(3) == [200, 429, 429]
    house.advance(15)
    assert await ask.statuses(1) == [200]
    answer = await ask()
    assert answer.json()["violated-policies"] == ["burst", "hour"]
    assert answer.json()["retry_after"] == 1185
    assert (await house.features.limits.peek("day", "ip:203.0.113.7")).decision.remaining == 97


async def test_random_requests_are_decided_as_the_engine_does(house: House) -> None:
    rules = (
        Rule("burst", limit=7, per=3, burst=4),
        Rule("hour", limit=20, per=9, algorithm="sliding_window"),
        Rule("day", limit=30, per=27, algorithm="fixed_window"),
    )
    draw, costs = Random(1), [1]
    ask = house.client(rules={"*": rules}, cost=lambda scope: costs[-1])
    take_all = house.features.engine.buckets.take_all
    for _ in range(1_000):
        costs.append(draw.choice([0, 1, 1, 1, 2, 3, 5]))
        house.clock.advance(draw.choice([0, 1, 300_000, 900_000]))
        answer = await ask()
        expected = take_all([(r.name.encode(), r.spec.build(), costs[-1]) for r in rules])
        refused = [rule.name for rule, one in zip(rules, expected, strict=True) if not one.allowed]
        if refused:
            assert answer.json()["violated-policies"] == refused
        else:
            announced = answer.headers["ratelimit"].split(", ")
            left = [int(said.split(";")[1].removeprefix("r=")) for said in announced]
            assert left == [decision.remaining for decision in expected]


async def test_what_is_said_of_a_single_caller_holds_at_once(house: House) -> None:
    ask = house.client(rules=ALL)
    assert await ask.statuses(3) == [200, 200, 429]
    mine = Override(rate=Tier(limit=50, per=30.0))
    await house.features.limits.override("burst", "ip:198.51.100.1", mine)
    assert await ask.statuses(4, address="198.51.100.1") == [200, 200, 200, 429]
    assert (await ask(address="198.51.100.1")).json()["violated-policies"] == ["hour"]
    assert (await ask()).json()["violated-policies"] == ["burst"]


async def test_a_key_that_several_rules_in_a_row_share_is_asked_for_once(house: House) -> None:
    asked: list[str] = []

    def shared(scope: Scope) -> str:
        asked.append(scope["path"])
        return "everybody"

    def own(scope: Scope) -> str:
        return "own"

    rules = (BURST, HOUR, Rule("own", limit=9, per=60, key=own), DAY)
    ask = house.client(rules={"*": rules}, key=shared)
    assert await ask.statuses(1) == [200]  # the rules are read by the first
    asked.clear()
    assert await ask.statuses(1) == [200]
    assert asked == ["/items/1"] * 2
    limits = house.features.limits
    assert (await limits.peek("own", "own")).decision.remaining == 7
    assert (await limits.peek("day", "everybody")).decision.remaining == 98


async def test_whoever_counts_is_told_of_all_of_them(house: House) -> None:
    told: list[tuple[str, list[str]]] = []

    def observe(outcome: str, rules: Sequence[str]) -> None:
        told.append((outcome, list(rules)))

    ask = house.client(rules=ALL, observe=observe)
    assert await ask.statuses(3) == [200, 200, 429]
    passed = ("allowed", ["burst", "hour", "day"])
    assert told == [passed, passed, ("refused", ["burst"])]


async def test_a_cost_that_never_passes_names_the_rules_it_is_too_much_for(house: House) -> None:
    answer = await house.client(rules=ALL, cost=3)()
    assert answer.status_code == 429
    assert answer.json()["violated-policies"] == ["burst"]
    assert "retry-after" not in answer.headers
