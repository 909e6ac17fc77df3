"""What other limiters get wrong, each as it would show here."""

from __future__ import annotations

import random

import pytest

from realtime.backends.base import Take, TokenBucket
from realtime.middleware import Rule
from tests.middleware.conftest import House


async def admitted(house: House, rule: Rule, seconds: float, per_second: int) -> int:
    """How many pass of a greedy client's requests."""
    client = house.client(rules={"*": rule})
    count = 0
    for _ in range(round(seconds * per_second)):
        count += (await client()).status_code == 200
        house.advance(1 / per_second)
    return count


async def test_a_small_bucket_that_refills_fast_still_limits(house: House) -> None:
    """A deadline rounded down to 0 s would forget the bucket at once, and admit everything."""
    rule = Rule("fast", limit=100, per=1, burst=10)
    assert await admitted(house, rule, seconds=0.12, per_second=5_000) <= 10 + 12


async def test_junk_keys_do_not_wash_a_bucket_out(house: House) -> None:
    """A store that drops the least recently used bucket gives its owner a full one."""
    client = house.client(rules={"*": Rule("login", limit=5, per=3600)})
    passed = 0
    for attack in range(6):
        passed += (await client.statuses(5)).count(200)
        for junk in range(250):
            number = attack * 250 + junk
            await client(address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert passed == 5


async def test_no_refill_is_lost_to_rounding(house: House) -> None:
    """One and a half per second is not one per second."""
    rule = Rule("fraction", limit=3, per=2)
    assert await admitted(house, rule, seconds=100, per_second=10) in range(150, 154)


async def test_four_callers_have_four_buckets(house: House) -> None:
    client = house.client(rules={"*": Rule("pair", limit=2, per=60)})
    statuses = [(await client(address=f"198.51.100.{n}")).status_code for n in range(4)]
    assert statuses == [200] * 4


async def test_a_forwarded_address_that_anybody_could_have_written_changes_nothing(
    house: House,
) -> None:
    client = house.client(rules={"*": Rule("pair", limit=2, per=60)})
    statuses = [
        (await client(headers={"x-forwarded-for": f"198.51.100.{n}"})).status_code for n in range(4)
    ]
    assert statuses == [200, 200, 429, 429]


async def test_six_urls_of_one_route_are_one_bucket_and_one_key(house: House) -> None:
    client = house.client(rules={"/items/{id}": Rule("items", limit=2, per=60)})
    statuses = [(await client(f"/items/{n}?x={n}")).status_code for n in range(6)]
    assert statuses == [200, 200] + [429] * 4
    keys = [key for key in house.features.engine.keyspace.values if key.startswith(b"rl:items:")]
    assert keys == [b"rl:items:{ip:203.0.113.7}"]


@pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window", "fixed_window"])
async def test_callers_who_do_not_come_back_are_forgotten(house: House, algorithm: str) -> None:
    """Nobody has to sweep: the requests of others pay for it, a little each."""
    rule = Rule("brief", limit=5, per=1, algorithm=algorithm)  # type: ignore[arg-type]
    client = house.client(rules={"*": rule})
    for n in range(1_000):
        await client(address=f"10.0.{n >> 8}.{n & 255}")
    assert len(house.features.engine.keyspace) >= 1_000
    house.advance(5)
    await client.statuses(64 * 6)
    assert len(house.features.engine.keyspace) < 10


@pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window", "fixed_window"])
async def test_who_is_refused_is_not_charged(house: House, algorithm: str) -> None:
    """Two left: a cost of five is refused, and the two are still there."""
    costs = iter([8, 5, 5, 5, 1, 1, 1])
    rule = Rule("ten", limit=10, per=1_000, algorithm=algorithm)  # type: ignore[arg-type]
    client = house.client(rules={"*": rule}, cost=lambda scope: next(costs))
    assert await client.statuses(7) == [200, 429, 429, 429, 200, 200, 429]


async def test_hammering_a_closed_door_does_not_keep_it_closed(house: House) -> None:
    client = house.client(rules={"*": Rule("one", limit=1, per=10)})
    await client()
    for _ in range(99):
        house.advance(0.1)
        assert (await client()).status_code == 429
    house.advance(0.1)
    assert (await client()).status_code == 200


async def test_names_that_could_run_together_do_not(house: House) -> None:
    """("a", "b:c") is not ("a:b", "c")."""
    rules = {"/login": Rule("a", limit=1, per=60), "/": Rule("a:b", limit=1, per=60)}
    keys = {"/login": "b:c}", "/": "c}"}
    client = house.client(rules=rules, key=lambda scope: keys[scope["path"]])
    assert (await client("/login")).status_code == 200
    assert (await client("/")).status_code == 200


@pytest.mark.parametrize("step", [-30.0, -3600.0])
async def test_a_clock_that_steps_back_neither_locks_out_nor_opens_the_door(
    house: House, step: float
) -> None:
    client = house.client(rules={"*": Rule("ten", limit=10, per=10)})
    assert (await client.statuses(20)).count(200) == 10
    house.advance(step)
    passed = 0
    for _ in range(30):
        passed += (await client()).status_code == 200
        house.advance(1)
    assert 20 <= passed <= 31


async def test_the_shortcut_of_the_middleware_decides_as_the_store_does(house: House) -> None:
    """A thousand random requests against the same rule asked the long way."""
    rule = Rule("items", limit=7, per=3, burst=4)
    clock, draw = house.clock, random.Random(1)
    costs: list[int] = []
    client = house.client(rules={"*": rule}, cost=lambda scope: costs[-1])
    long_way = TokenBucket(quota=7, period=3_000_000, burst=4)
    buckets = house.features.services.backend.buckets
    for _ in range(1_000):
        costs.append(draw.randrange(0, 6))
        clock.advance(draw.randrange(0, 900_000))
        answer = await client()
        (decision,) = await buckets.take_all([Take(b"reference", long_way, costs[-1])])
        assert (answer.status_code == 200) is decision.allowed
        assert f"r={decision.remaining}" in answer.headers["ratelimit"]
