"""What is no key and no cost, and how much callers can make us keep."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Scope

from realtime.middleware import EmbeddedLimiter, Rule, client_address
from tests.middleware.conftest import House
from tests.middleware.limiters import Place

LONG = 50_000
"""Bytes of a header: servers let through more."""


def grown(work: Callable[[int], object]) -> int:
    """Bytes that are kept after a thousand times."""
    work(-1)
    tracemalloc.start()
    try:
        for number in range(1_000):
            work(number)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def scope(peer: str, *forwarded: str) -> Scope:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"type": "http", "client": (peer, 1), "headers": headers}


@pytest.mark.parametrize("trusted", [[], ["10.0.0.0/8"]])
def test_a_peer_that_a_server_took_from_a_header_is_not_kept(trusted: list[str]) -> None:
    """As servers do that trust whoever connects."""
    key = client_address(trusted)
    assert grown(lambda number: key(scope(f"{number}" + "x" * LONG))) < 10 * LONG
    assert key(scope("x" * 300)) == key(scope("x" * 300)) != key(scope("x" * 301))
    assert key(scope("x" * 300)).startswith("sha256:")


def test_what_proxies_hand_on_is_not_kept_either() -> None:
    key = client_address(["10.0.0.0/8"])
    hop = "2001:db8::{}%" + "x" * LONG  # an address of an interface with a long name
    assert grown(lambda number: key(scope("10.0.0.1", hop.format(number + 1)))) < 10 * LONG
    assert key(scope("10.0.0.1", "2001:db8::1%eth0")) == "ip:2001:db8::/64"


async def test_long_keys_are_hashed_and_not_kept(house: House) -> None:
    rule = Rule("a", 2, per=60)
    ask = house.client(rules={"*": rule}, key=lambda scope: "x" * LONG)
    assert await ask.statuses(3) == [200, 200, 429]
    keys = iter(range(-1, 1_000))
    (_, found), *_ = vars(ask.app)["_routes"]._fallback.items()
    key = vars(found)["_ask"].key_of(Rule("a", 2, per=60, key=lambda _: f"{next(keys)}" * LONG))
    assert grown(lambda number: key({})) < 10 * LONG


@pytest.mark.parametrize("key", [5, 0, b"ada", ["ada"], False])
async def test_a_key_that_is_no_text_is_an_error_that_says_so(house: House, key: Any) -> None:
    ask = house.client(rules={"*": Rule("a", 5, per=60)}, key=lambda scope: key)
    with pytest.raises(TypeError, match="a key is a text, or None, not"):
        await ask()


@pytest.mark.parametrize("cost", [-1, 1.5, 1.0, "3", None])
async def test_a_cost_that_is_none_is_an_error_and_spoils_nothing(house: House, cost: Any) -> None:
    costs = iter([1, cost, 1])
    ask = house.client(rules={"*": Rule("a", 2, per=60)}, cost=lambda scope: next(costs))
    assert (await ask()).status_code == 200
    with pytest.raises(ValueError, match="a cost is a whole number of 0 or more, not"):
        await ask()
    assert (await ask()).status_code == 200


@pytest.mark.parametrize("cost", [-1, 1.5, "3", None])
def test_a_fixed_cost_is_looked_at_beforehand(house: House, cost: Any) -> None:
    with pytest.raises(ValueError, match="a cost is a whole number of 0 or more, not"):
        house.client(rules={}, cost=cost)


def test_an_estimate_of_nothing_would_refuse_nobody(house: House) -> None:
    with pytest.raises(ValueError, match="an estimate of 0 refuses nobody"):
        house.client(rules={}, cost=0, cost_after="x-cost")


@pytest.mark.parametrize("cost", [1.5, "7", -1, 2**31])
async def test_a_real_cost_that_is_none_leaves_the_estimate(cost: Any) -> None:
    place = Place(EmbeddedLimiter(), lambda *_: None)
    rule = Rule("tokens", 20, per=3600)
    ask = place.client(rules={"*": rule}, cost=5, cost_after=lambda scope: cost)
    assert (await ask()).status_code == 200
    assert await place.left(rule) == 15
