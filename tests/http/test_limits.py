"""Rate limits over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.http.conftest import House

LOGIN = "/v1/limits/login"


async def define(http: httpx.AsyncClient, rule: str = "login", **spec: Any) -> None:
    done = await http.put(f"/v1/limits/{rule}", json={"limit": 2, "per": 60, **spec})
    assert done.status_code == 200


async def take(http: httpx.AsyncClient, cost: int = 1, rule: str = "login") -> httpx.Response:
    answer = await http.post(f"/v1/limits/{rule}/take", json={"key": "user:1", "cost": cost})
    assert answer.status_code == 200
    return answer


async def test_a_rule_is_answered_as_it_was_defined(http: httpx.AsyncClient) -> None:
    spec = {"algorithm": "token_bucket", "limit": 100, "per": 60.0, "burst": 20, "shadow": True}
    done = await http.put(LOGIN, json=spec)
    assert done.json() == {"rule": "login", **spec}
    assert (await http.get(LOGIN)).json() == done.json()
    assert (await http.get("/v1/limits/none")).status_code == 404


@pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window", "fixed_window"])
async def test_each_algorithm_refuses_with_the_time_to_wait(house: House, algorithm: str) -> None:
    http = house.http
    await define(http, algorithm=algorithm)
    assert [(await take(http)).json()["remaining"] for _ in range(2)] == [1, 0]
    refused = await take(http)
    assert refused.json()["allowed"] is False
    wait = refused.json()["retry_after"]
    assert 0 < wait <= 120
    assert wait <= int(refused.headers["retry-after"]) < wait + 1
    house.advance(wait)
    assert (await take(http)).json()["allowed"] is True


async def test_a_decision_carries_the_headers_of_draft_10(house: House) -> None:
    await define(house.http, limit=10, per=60)
    allowed = await take(house.http, cost=4)
    assert allowed.json() == {
        "allowed": True,
        "limit": 10,
        "remaining": 6,
        "retry_after": 0.0,
        "reset_after": 24.0,
    }
    assert allowed.headers["ratelimit-policy"] == '"login";q=10;w=60'
    assert allowed.headers["ratelimit"] == '"login";r=6;t=6'
    assert "retry-after" not in allowed.headers
    assert allowed.headers["cache-control"] == "no-store"
    refused = await take(house.http, cost=7)
    assert refused.headers["ratelimit"] == '"login";r=6;t=6'
    assert refused.headers["retry-after"] == "6"


async def test_a_full_rule_does_not_say_when_there_is_more(http: httpx.AsyncClient) -> None:
    await define(http)
    assert (await take(http, cost=0)).headers["ratelimit"] == '"login";r=2'


async def test_a_burst_has_the_window_in_which_it_comes_back(http: httpx.AsyncClient) -> None:
    await define(http, limit=100, per=60, burst=20)
    assert (await take(http)).headers["ratelimit-policy"] == '"login";q=20;w=12'


async def test_names_of_rules_are_quoted_in_headers(http: httpx.AsyncClient) -> None:
    await define(http, rule="a%22b%5C%C3%BC,%25")
    answer = await take(http, rule="a%22b%5C%C3%BC,%25")
    assert answer.headers["ratelimit"] == '"a\\"b\\\\%C3%BC,%25";r=1;t=30'


async def test_what_can_never_pass_has_no_time_to_wait(http: httpx.AsyncClient) -> None:
    await define(http)
    refused = await take(http, cost=3)
    assert refused.json()["allowed"] is False
    assert refused.json()["retry_after"] is None
    assert "retry-after" not in refused.headers


async def test_a_shadow_rule_counts_and_never_refuses(http: httpx.AsyncClient) -> None:
    await define(http, shadow=True)
    answers = [(await take(http)) for _ in range(3)]
    assert [answer.json()["allowed"] for answer in answers] == [True, True, True]
    assert answers[-1].json()["remaining"] == 0
    assert answers[-1].json()["retry_after"] > 0
    assert "retry-after" not in answers[-1].headers


async def test_an_unknown_rule_is_not_found(http: httpx.AsyncClient) -> None:
    assert (await http.post(f"{LOGIN}/take", json={"key": "a"})).status_code == 404
    assert (await http.get(f"{LOGIN}/keys/a")).status_code == 404
    assert (await http.delete(f"{LOGIN}/keys/a")).status_code == 404
    body = {"takes": [{"rule": "login", "key": "a"}]}
    assert (await http.post("/v1/limits/take", json=body)).status_code == 404


async def test_several_takes_are_all_or_nothing(http: httpx.AsyncClient) -> None:
    await define(http, "burst", limit=1)
    await define(http, "daily", limit=10, per=86_400)
    body = {"takes": [{"rule": "daily", "key": "a", "cost": 3}, {"rule": "burst", "key": "a"}]}
    first = await http.post("/v1/limits/take", json=body)
    assert (first.json()["allowed"], first.json()["violated"]) == (True, [])
    assert [one["remaining"] for one in first.json()["results"]] == [7, 0]
    second = await http.post("/v1/limits/take", json=body)
    assert (second.json()["allowed"], second.json()["violated"]) == (False, ["burst"])
    assert [one["rule"] for one in second.json()["results"]] == ["daily", "burst"]
    assert second.headers["ratelimit-policy"] == '"daily";q=10;w=86400,"burst";q=1;w=60'
    assert second.headers["retry-after"] == "60"
    assert (await http.get("/v1/limits/daily/keys/a")).json()["remaining"] == 7


async def test_headers_name_each_rule_once_with_its_tightest_rest(http: httpx.AsyncClient) -> None:
    await define(http, limit=10)
    body = {"takes": [{"rule": "login", "key": "a", "cost": 9}, {"rule": "login", "key": "b"}]}
    answer = await http.post("/v1/limits/take", json=body)
    assert answer.headers["ratelimit"] == '"login";r=1;t=6'


async def test_looking_spends_nothing_and_says_whether_one_would_pass(
    http: httpx.AsyncClient,
) -> None:
    await define(http)
    keys = f"{LOGIN}/keys/user%3A1"
    for _ in range(3):
        assert (await http.get(keys)).json()["remaining"] == 2
    await take(http, cost=2)
    seen = (await http.get(keys)).json()
    assert (seen["allowed"], seen["remaining"], seen["retry_after"]) == (False, 0, 30.0)


@pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window", "sliding_log"])
async def test_a_look_says_when_one_would_pass_neither_early_nor_late(
    house: House, algorithm: str
) -> None:
    await define(house.http, algorithm=algorithm)
    for _ in range(2):
        await take(house.http)
        house.advance(7)
    keys = f"{LOGIN}/keys/user%3A1"
    seen = await house.http.get(keys)
    refused = await take(house.http)
    assert seen.json() == refused.json()
    assert seen.headers["ratelimit"] == refused.headers["ratelimit"]
    assert seen.headers["retry-after"] == refused.headers["retry-after"]


async def test_a_reset_gives_everything_back_and_may_be_repeated(http: httpx.AsyncClient) -> None:
    await define(http)
    await take(http, cost=2)
    for _ in range(2):
        assert (await http.delete(f"{LOGIN}/keys/user%3A1")).status_code == 204
    assert (await take(http, cost=2)).json()["allowed"] is True


async def test_a_rule_may_have_the_name_of_a_route(http: httpx.AsyncClient) -> None:
    await define(http, rule="take")
    assert (await http.get("/v1/limits/take")).json()["rule"] == "take"
    assert (await take(http, rule="take")).json()["remaining"] == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"limit": 0, "per": 60},
        {"limit": 2**31, "per": 60},
        {"limit": 1.5, "per": 60},
        {"limit": 1, "per": 0},
        {"limit": 1, "per": 1e9},
        {"limit": 1},
        {"limit": 1, "per": 60, "burst": 0},
        {"limit": 1, "per": 60, "algorithm": "leaky_bucket"},
        {"limit": 1, "per": 60, "algorithm": "fixed_window", "burst": 2},
        {"limit": 1, "per": 60, "shadow": "yes"},
        {"limit": 1, "per": 31_622_400, "burst": 101},
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused(
    http: httpx.AsyncClient, spec: dict[str, Any]
) -> None:
    refused = await http.put(LOGIN, json=spec)
    assert refused.status_code == 422
    assert refused.json()["path"].startswith("$")


@pytest.mark.parametrize("body", [{}, {"key": ""}, {"key": "a", "cost": -1}, {"key": 1}])
async def test_a_take_that_makes_no_sense_is_refused(
    http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    await define(http)
    assert (await http.post(f"{LOGIN}/take", json=body)).status_code == 422
