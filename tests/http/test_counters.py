"""Counters over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.http.conftest import LAG, House

VISITS = "/v1/counters/visits"


async def test_adding_needs_no_body(http: httpx.AsyncClient) -> None:
    assert (await http.post(f"{VISITS}/add")).json() == {"name": "visits", "value": 1}
    assert (await http.post(f"{VISITS}/add", json={"by": -3})).json()["value"] == -2


@pytest.mark.parametrize(
    ("addition", "value"),
    [({"by": 8, "max": 10}, 8), ({"by": -8, "min": -8}, -8), ({"by": 0}, 0)],
)
async def test_bounds_are_included(
    http: httpx.AsyncClient, addition: dict[str, Any], value: int
) -> None:
    assert (await http.post(f"{VISITS}/add", json=addition)).json()["value"] == value


@pytest.mark.parametrize("addition", [{"by": 11, "max": 10}, {"by": -1, "min": 0}])
async def test_out_of_bounds_is_a_conflict_and_changes_nothing(
    http: httpx.AsyncClient, addition: dict[str, Any]
) -> None:
    refused = await http.post(f"{VISITS}/add", json=addition)
    assert refused.status_code == 409
    assert (await http.get(VISITS)).status_code == 404


async def test_64_bits_are_the_outermost_bounds(http: httpx.AsyncClient) -> None:
    top = 2**63 - 1
    assert (await http.put(VISITS, json={"value": top})).json()["value"] == top
    assert (await http.post(f"{VISITS}/add")).status_code == 409
    assert (await http.put(VISITS, json={"value": top + 1})).status_code == 422
    assert (await http.get(VISITS)).json()["value"] == top


async def test_bounds_that_exclude_each_other_are_bad_input(http: httpx.AsyncClient) -> None:
    refused = await http.post(f"{VISITS}/add", json={"min": 2, "max": 1})
    assert (refused.status_code, refused.json()["path"]) == (422, "$.min")


async def test_the_time_to_live_counts_from_the_creation(house: House) -> None:
    await house.http.post(f"{VISITS}/add", json={"ttl": 10})
    house.advance(9)
    assert (await house.http.post(f"{VISITS}/add", json={"ttl": 10})).json()["value"] == 2
    house.advance(1 + LAG)
    assert (await house.http.get(VISITS)).status_code == 404


async def test_setting_a_counter_makes_it_stay(house: House) -> None:
    await house.http.post(f"{VISITS}/add", json={"ttl": 10})
    await house.http.put(VISITS, json={"value": 42})
    house.advance(11)
    assert (await house.http.get(VISITS)).json() == {"name": "visits", "value": 42}


async def test_several_are_read_at_once(http: httpx.AsyncClient) -> None:
    await http.put("/v1/counters/a%2Cb", json={"value": 1})
    await http.put("/v1/counters/%C3%BC", json={"value": 2})
    answer = await http.get("/v1/counters?names=a%2Cb,%C3%BC,none")
    assert answer.json()["counters"] == [
        {"name": "a,b", "value": 1},
        {"name": "ü", "value": 2},
        {"name": "none", "value": None},
    ]
    assert (await http.get("/v1/counters")).status_code == 422


async def test_deleting_may_be_repeated(http: httpx.AsyncClient) -> None:
    await http.post(f"{VISITS}/add")
    for _ in range(2):
        assert (await http.delete(VISITS)).status_code == 204
    assert (await http.get(VISITS)).status_code == 404


async def test_what_is_no_counter_is_a_conflict(house: House) -> None:
    await house.services.backend.values.set(b"cnt:{visits}", b"many")
    assert (await house.http.get(VISITS)).status_code == 409
    assert (await house.http.get("/v1/counters?names=visits")).status_code == 409
    await house.services.backend.hashes.put(b"cnt:{visits}", {b"a": b"b"})
    assert (await house.http.post(f"{VISITS}/add")).status_code == 409
