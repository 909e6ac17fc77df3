"""Batches: many operations in one request, each answered as if it came alone."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from realtime.http import batch, turns
from tests.http.conftest import House


async def run(http: httpx.AsyncClient, *items: tuple[str, str, Any]) -> list[Any]:
    operations = [
        {"method": method, "path": path} | ({} if body is None else {"body": body})
        for method, path, body in items
    ]
    answer = await http.post("/v1/batch", json={"operations": operations})
    assert answer.status_code == 200
    results: list[Any] = answer.json()["results"]
    return results


async def test_operations_run_in_order_and_each_has_its_answer(http: httpx.AsyncClient) -> None:
    results = await run(
        http,
        ("POST", "/v1/counters/visits/add", None),
        ("POST", "/v1/leaderboards/a%2Fb/scores", {"member": "ada", "score": 3}),
        ("POST", "/v1/counters/visits/add", {"by": 5}),
        ("GET", "/v1/leaderboards/a%2Fb/entries?limit=1", None),
        ("DELETE", "/v1/counters/visits", None),
        ("GET", "/v1/counters/visits", None),
    )
    assert [one["status"] for one in results] == [200, 200, 200, 200, 204, 404]
    assert [results[at]["body"]["value"] for at in (0, 2)] == [1, 6]
    assert results[3]["body"]["entries"] == [{"rank": 1, "member": "ada", "score": 3}]
    assert "body" not in results[4]
    assert results[5]["body"]["type"] == "/docs/errors#not-found"


@pytest.mark.parametrize(
    ("item", "status"),
    [
        (("POST", "/v1/counters/visits/add", {"by": "1"}), 422),
        (("POST", "/v1/counters/visits/add", {"max": 0}), 409),
        (("POST", "/v1/counters/visits/add?x=1", {}), 422),
        (("PUT", "/v1/counters/visits", None), 400),
        (("GET", "/v1/nothing", None), 404),
        (("GET", "/v1/counters/%zz", None), 400),
        (("GET", "/v1/counters/%ff", None), 400),
        (("DELETE", "/v1/counters", None), 405),
        (("POST", "/v1/batch", {"operations": []}), 422),
        (("POST", "/v1/%62atch", {"operations": []}), 422),
        (("GET", "/v1/sessions/current", None), 400),
    ],
)
async def test_a_failure_is_that_of_its_own_operation(
    http: httpx.AsyncClient, item: tuple[str, str, Any], status: int
) -> None:
    good = ("POST", "/v1/counters/other/add", None)
    results = await run(http, good, item, good)
    assert [one["status"] for one in results] == [200, status, 200]
    assert results[1]["body"]["status"] == status
    assert results[2]["body"]["value"] == 2


@pytest.mark.parametrize(
    "operation",
    [
        {"method": "GET", "path": "/docs"},
        {"method": "GET", "path": "/v1/ü"},
        {"method": "TRACE", "path": "/v1/counters/a"},
        {"method": "GET"},
        {"method": "GET", "path": "/v1/counters/a", "headers": {}},
    ],
)
async def test_what_is_no_operation_refuses_the_whole_batch(
    http: httpx.AsyncClient, operation: dict[str, Any]
) -> None:
    good = {"method": "POST", "path": "/v1/counters/visits/add"}
    refused = await http.post("/v1/batch", json={"operations": [good, operation]})
    assert refused.status_code == 422
    assert refused.json()["path"].startswith("$.operations[1]")
    assert (await http.get("/v1/counters/visits")).status_code == 404


async def test_a_thousand_operations_are_a_batch_and_no_more(http: httpx.AsyncClient) -> None:
    item = {"method": "POST", "path": "/v1/counters/visits/add"}
    full = await http.post("/v1/batch", json={"operations": [item] * 1_000})
    assert full.json()["results"][-1]["body"]["value"] == 1_000
    for count in (0, 1_001):
        refused = await http.post("/v1/batch", json={"operations": [item] * count})
        assert refused.status_code == 422


async def test_the_session_of_the_batch_is_that_of_its_operations(
    http: httpx.AsyncClient,
) -> None:
    created = await http.post("/v1/sessions", json={"user": "ada"})
    operations = [
        {"method": "PATCH", "path": "/v1/sessions/current", "body": {"set": {"a": 1}}},
        {"method": "GET", "path": "/v1/sessions/current?touch=false"},
    ]
    answer = await http.post(
        "/v1/batch",
        json={"operations": operations},
        headers={"Session-Id": created.json()["id"]},
    )
    assert [one["body"]["data"] for one in answer.json()["results"]] == [{"a": 1}, {"a": 1}]


async def test_answers_beyond_the_bound_are_not_produced(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_ANSWERS", 50)
    results = await run(http, *[("POST", "/v1/counters/visits/add", None)] * 4)
    assert [one["status"] for one in results] == [200, 200, 413, 413]
    assert (await http.get("/v1/counters/visits")).json()["value"] == 2


async def test_a_long_batch_lets_others_have_their_turn(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TURN", 0)
    counters = house.services.backend.counters
    add, started = counters.add, asyncio.Event()

    async def starting(key: bytes, by: int, **options: Any) -> int:
        started.set()
        return await add(key, by, **options)

    async def other() -> int | None:
        await started.wait()
        return await house.services.counters.get("visits")

    counters.add = starting  # type: ignore[method-assign]
    item = {"method": "POST", "path": "/v1/counters/visits/add"}
    running = house.http.post("/v1/batch", json={"operations": [item] * 1_000})
    done, seen = await asyncio.gather(running, other())
    assert done.json()["results"][-1]["body"]["value"] == 1_000
    assert seen is not None
    assert seen < 1_000
