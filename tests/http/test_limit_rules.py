"""Rules of rate limits over HTTP: what they may say, for whom, and why."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.http.conftest import LAG, House

RULE = "/v1/limits/r"
FULL: dict[str, Any] = {
    "limit": 5,
    "per": 60.0,
    "algorithm": "sliding_log",
    "tiers": {"gold": {"limit": 9, "per": 30.0, "burst": None}},
    "penalty": {"after": 2, "within": 60.0, "for": 300.0},
    "allow": ["vip"],
    "deny": ["bad"],
    "on_change": "proportional",
}


async def put(http: httpx.AsyncClient, path: str = RULE, **body: Any) -> dict[str, Any]:
    done = await http.put(path, json=body)
    assert done.status_code == 200, done.text
    answer: dict[str, Any] = done.json()
    return answer


async def take(http: httpx.AsyncClient, key: str = "ada", **body: Any) -> dict[str, Any]:
    done = await http.post(f"{RULE}/take", json={"key": key, **body})
    assert done.status_code == 200, done.text
    answer: dict[str, Any] = done.json()
    return answer


async def test_a_rule_with_all_there_is_is_answered_as_it_was_defined(
    http: httpx.AsyncClient,
) -> None:
    answer = await put(http, **FULL)
    assert answer == {"rule": "r", "burst": None, "shadow": False, **FULL}
    assert (await http.get(RULE)).json() == answer
    assert (await http.get("/v1/limits")).json() == {"rules": [answer]}


async def test_a_calendar_rule_has_a_unit_and_a_zone_and_no_period(house: House) -> None:
    spec: dict[str, Any] = {"algorithm": "calendar", "limit": 1, "unit": "day"}
    spec["timezone"] = "Europe/Berlin"
    answer = await put(house.http, **spec)
    assert answer == {"rule": "r", "burst": None, "shadow": False, **spec}
    assert (await take(house.http))["allowed"] is True
    refused = await take(house.http)
    assert (refused["allowed"], refused["reason"]) == (False, "limit")
    assert 0 < refused["retry_after"] <= 86_400
    house.advance(refused["retry_after"] + LAG)
    assert (await take(house.http))["allowed"] is True


@pytest.mark.parametrize(
    "spec",
    [
        {"algorithm": "calendar", "limit": 1, "per": 60},
        {"algorithm": "calendar", "limit": 1, "unit": "year"},
        {"algorithm": "calendar", "limit": 1, "unit": "day", "timezone": "Europe/Atlantis"},
        {"algorithm": "calendar", "limit": 1, "unit": "day", "burst": 3},
        {"algorithm": "sliding_log", "limit": 1_001, "per": 60},
        {"algorithm": "fixed_window", "limit": 1, "per": 60, "unit": "day"},
        {"algorithm": "concurrency", "limit": 1, "per": 60, "burst": 2},
        {"limit": 1, "per": 60, "tiers": {"gold": {"limit": 0}}},
        {"limit": 1, "per": 60, "tiers": {"": {"limit": 1}}},
        {"limit": 1, "per": 60, "tiers": {str(n): {"limit": 1} for n in range(101)}},
        {"limit": 1, "per": 60, "penalty": {"after": 0, "within": 1, "for": 1}},
        {"limit": 1, "per": 60, "penalty": {"after": 1, "within": 1}},
        {"limit": 1, "per": 60, "deny": ["x"] * 1_001},
        {"limit": 1, "per": 60, "deny": [""]},
        {"limit": 1, "per": 60, "on_change": "additive"},
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused(
    http: httpx.AsyncClient, spec: dict[str, Any]
) -> None:
    assert (await http.put(RULE, json=spec)).status_code == 422
    assert (await http.get(RULE)).status_code == 404


async def test_rules_are_listed_in_pages_and_removed(http: httpx.AsyncClient) -> None:
    for name in ("a", "b", "c"):
        await put(http, f"/v1/limits/{name}", limit=1, per=60)
    first = (await http.get("/v1/limits", params={"limit": 2})).json()["rules"]
    assert [rule["rule"] for rule in first] == ["a", "b"]
    rest = (await http.get("/v1/limits", params={"after": "b"})).json()["rules"]
    assert [rule["rule"] for rule in rest] == ["c"]
    for _ in range(2):
        assert (await http.delete("/v1/limits/b")).status_code == 204
    assert (await http.get("/v1/limits/b")).status_code == 404


async def test_who_is_of_a_tier_or_has_a_rate_of_his_own_is_told_its_limit(house: House) -> None:
    http = house.http
    await put(http, limit=5, per=60, tiers={"gold": {"limit": 9}})
    assert (await take(http, tier="gold"))["limit"] == 9
    assert (await http.get(f"{RULE}/keys/ada", params={"tier": "gold"})).json()["remaining"] == 8
    unknown = await http.post(f"{RULE}/take", json={"key": "ada", "tier": "lead"})
    assert unknown.status_code == 422
    set_ = await put(http, f"{RULE}/keys/eve", limit=50, ttl=30)
    assert (set_["limit"], set_["tier"]) == (50, None)
    assert set_["expires_at"] > set_["since"]
    assert (await take(http, "eve"))["limit"] == 50
    house.advance(30 + LAG)
    assert (await take(http, "eve"))["limit"] == 5
    assert (await put(http, f"{RULE}/keys/bob", tier="gold"))["expires_at"] is None
    assert (await take(http, "bob"))["limit"] == 9
    for _ in range(2):
        assert (await http.delete(f"{RULE}/keys/bob/override")).status_code == 204
    assert (await take(http, "bob"))["limit"] == 5


@pytest.mark.parametrize(
    "body", [{}, {"limit": 0}, {"tier": "lead"}, {"limit": 1, "tier": "gold"}, {"ttl": 5}]
)
async def test_what_is_set_for_a_key_must_make_sense(
    http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    await put(http, limit=5, per=60, tiers={"gold": {"limit": 9}})
    assert (await http.put(f"{RULE}/keys/ada", json=body)).status_code == 422


async def test_a_decision_says_why(http: httpx.AsyncClient) -> None:
    await put(http, **{**FULL, "limit": 1})
    assert "reason" not in await take(http)
    reasons = [(await take(http))["reason"] for _ in range(3)]
    assert reasons == ["limit", "limit", "penalty"]
    assert (await take(http, "vip"))["reason"] == "exempt"
    denied = await http.post(f"{RULE}/take", json={"key": "bad"})
    assert (denied.json()["reason"], denied.json()["retry_after"]) == ("denied", None)
    assert "retry-after" not in denied.headers


async def test_several_rules_name_exactly_those_that_forbid(http: httpx.AsyncClient) -> None:
    await put(http, "/v1/limits/org", limit=10, per=60)
    await put(http, "/v1/limits/user", limit=1, per=60)
    await put(http, "/v1/limits/key", limit=5, per=60, deny=["bad"])
    takes = [
        {"rule": "org", "key": "{acme}"},
        {"rule": "user", "key": "{acme}:ada"},
        {"rule": "key", "key": "{acme}:k1"},
    ]
    for violated in ([], ["user"]):
        answer = (await http.post("/v1/limits/take", json={"takes": takes})).json()
        assert answer["violated"] == violated
    takes[2]["key"] = "bad"
    takes[1]["key"] = "{acme}:bob"
    answer = (await http.post("/v1/limits/take", json={"takes": takes})).json()
    assert answer["violated"] == ["key"]
    assert [one["remaining"] for one in answer["results"]][:2] == [8, 0]
    assert (await http.get("/v1/limits/org/keys/%7Bacme%7D")).json()["remaining"] == 9


async def test_an_explanation_says_what_decides(http: httpx.AsyncClient) -> None:
    await put(http, limit=5, per=60, deny=["bad"])
    await take(http)
    found = (await http.get(f"{RULE}/explain", params={"key": "ada"})).json()
    assert (found["decided_by"], found["state"]) == ("rule", "4 of 5 left, all of it in 12 s")
    assert found["in_force"]["limit"] == 5
    assert found["decision"]["remaining"] == 4
    found = (await http.get(f"{RULE}/explain", params={"key": "bad"})).json()
    assert (found["decided_by"], found["state"]) == ("deny", "on the deny list: always refused")
    assert (await http.get(f"{RULE}/explain")).status_code == 422
    assert (await http.get("/v1/limits/none/explain", params={"key": "a"})).status_code == 404


async def test_an_estimate_is_settled_and_what_was_in_vain_given_back(
    http: httpx.AsyncClient,
) -> None:
    await put(http, limit=10, per=60)
    held = await http.post(f"{RULE}/reservations", json={"key": "ada", "cost": 6})
    assert held.json()["remaining"] == 4
    path = f"{RULE}/reservations/{held.json()['reservation']}"
    settled = await http.put(path, json={"key": "ada", "cost": 2})
    assert settled.json()["remaining"] == 8
    assert (await http.put(path, json={"key": "ada", "cost": 2})).status_code == 404
    back = await http.post(f"{RULE}/refund", json={"key": "ada", "amount": 1})
    assert back.json()["remaining"] == 9
    refused = await http.post(f"{RULE}/reservations", json={"key": "ada", "cost": 10})
    assert (refused.json()["allowed"], refused.json()["reservation"]) == (False, None)


async def test_a_lease_is_acquired_renewed_and_released(house: House) -> None:
    http, leases = house.http, f"{RULE}/leases"
    await put(http, algorithm="concurrency", limit=1, per=60)
    body = {"key": "ada", "id": "job-1"}
    for _ in range(2):
        got = await http.post(leases, json=body)
        assert (got.json()["allowed"], got.json()["id"], got.json()["active"]) == (True, "job-1", 1)
    assert got.headers["ratelimit-policy"] == '"r";q=1;qu="concurrent-requests"'
    refused = await http.post(leases, json={"key": "ada"})
    assert (refused.json()["allowed"], refused.json()["id"]) == (False, None)
    assert refused.headers["retry-after"] == "60"
    assert refused.headers["ratelimit"] == '"r";r=0;t=60'
    house.advance(59)
    held = await http.put(f"{leases}/job-1", json={"key": "ada", "ttl": 30})
    house.advance(29)
    listed = await http.get(leases, params={"key": "ada"})
    assert listed.json() == {"leases": [held.json()]}
    for _ in range(2):
        gone = await http.delete(f"{leases}/job-1", params={"key": "ada"})
        assert gone.status_code == 204
    assert (await http.put(f"{leases}/job-1", json={"key": "ada"})).status_code == 404
    other = (await http.post(leases, json={"key": "ada"})).json()
    assert other["allowed"] is True and other["id"]
    house.advance(60 + LAG)
    assert (await http.get(leases, params={"key": "ada"})).json() == {"leases": []}


async def test_who_is_denied_leases_is_not_told_that_some_are_left(http: httpx.AsyncClient) -> None:
    await put(http, algorithm="concurrency", limit=3, per=60, deny=["bad"])
    denied = await http.post(f"{RULE}/leases", json={"key": "bad"})
    assert (denied.json()["allowed"], denied.json()["retry_after"]) == (False, None)
    assert denied.headers["ratelimit"] == '"r";r=0'
    found = (await http.get(f"{RULE}/explain", params={"key": "bad"})).json()
    assert found["decision"]["reason"] == "denied"
    assert found["decision"]["retry_after"] is None


async def test_leases_are_of_concurrency_rules_and_takes_are_not(http: httpx.AsyncClient) -> None:
    await put(http, algorithm="concurrency", limit=1, per=60)
    await put(http, "/v1/limits/other", limit=1, per=60)
    for path, body in (
        (f"{RULE}/take", {"key": "a"}),
        (f"{RULE}/refund", {"key": "a", "amount": 1}),
        ("/v1/limits/take", {"takes": [{"rule": "r", "key": "a"}]}),
        ("/v1/limits/other/leases", {"key": "a"}),
        (f"{RULE}/leases", {"key": "a", "ttl": 61}),
        (f"{RULE}/leases", {"key": "a", "id": "two words"}),
    ):
        assert (await http.post(path, json=body)).status_code == 422
    assert (await http.post("/v1/limits/none/leases", json={"key": "a"})).status_code == 404
