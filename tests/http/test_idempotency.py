"""Idempotency-Key: a write that is sent twice happens once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from realtime.backends.base import BackendUnavailable
from tests.http.conftest import LAG, House

ADD = "/v1/counters/visits/add"
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
IN_FLIGHT = 60


async def test_the_same_write_again_is_answered_and_not_done(http: httpx.AsyncClient) -> None:
    first = await http.post(ADD, json={"by": 5}, headers=KEY)
    again = await http.post(ADD, json={"by": 5}, headers=KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == "application/json"
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (await http.get("/v1/counters/visits")).json()["value"] == 5


async def test_another_content_under_the_same_key_is_refused(http: httpx.AsyncClient) -> None:
    await http.post(ADD, json={"by": 5}, headers=KEY)
    refused = await http.post(ADD, json={"by": 6}, headers=KEY)
    assert refused.status_code == 422
    assert (await http.get("/v1/counters/visits")).json()["value"] == 5


async def test_a_key_belongs_to_its_operation_and_names(http: httpx.AsyncClient) -> None:
    for path in (ADD, "/v1/counters/likes/add"):
        assert (await http.post(path, json={}, headers=KEY)).json()["value"] == 1
    assert (await http.put("/v1/counters/visits", json={"value": 9}, headers=KEY)).is_success
    assert (await http.get("/v1/counters/visits")).json()["value"] == 9


async def test_a_key_belongs_to_its_session(http: httpx.AsyncClient) -> None:
    ids = [(await http.post("/v1/sessions")).json()["id"] for _ in range(2)]
    for session_id in ids:
        headers = {**KEY, "Session-Id": session_id}
        patched = await http.patch("/v1/sessions/current", json={"set": {"a": 1}}, headers=headers)
        assert patched.json()["version"] == 2


async def test_a_key_is_good_for_a_day(house: House) -> None:
    for seconds, value in ((0, 1), (86_399, 1), (1 + LAG, 2)):
        house.advance(seconds)
        assert (await house.http.post(ADD, headers=KEY)).json()["value"] == value


async def test_a_refusal_is_an_answer_too(http: httpx.AsyncClient) -> None:
    body = {"by": 5, "max": 1}
    assert (await http.post(ADD, json=body, headers=KEY)).status_code == 409
    again = await http.post(ADD, json=body, headers=KEY)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (409, "true")
    assert again.headers["content-type"] == "application/problem+json"


async def test_headers_of_the_first_answer_come_back(http: httpx.AsyncClient) -> None:
    await http.put("/v1/limits/login", json={"limit": 5, "per": 60})
    takes = [
        await http.post("/v1/limits/login/take", json={"key": "a"}, headers=KEY) for _ in range(2)
    ]
    assert takes[0].headers["ratelimit"] == takes[1].headers["ratelimit"] == '"login";r=4;t=12'
    deleted = [await http.delete("/v1/counters/visits", headers=KEY) for _ in range(2)]
    assert [one.status_code for one in deleted] == [204, 204]
    assert "idempotency-replayed" in deleted[1].headers


async def test_a_session_id_is_answered_again_and_never_stored_in_the_clear(house: House) -> None:
    stored: list[bytes] = []
    values = house.services.backend.values
    keep = values.set

    async def watch(key: bytes, value: bytes, **options: Any) -> bool:
        stored.extend((key, value))
        return await keep(key, value, **options)

    values.set = watch  # type: ignore[method-assign]
    first = await house.http.post("/v1/sessions", json={"user": "ada"}, headers=KEY)
    again = await house.http.post("/v1/sessions", json={"user": "ada"}, headers=KEY)
    assert again.json()["id"] == first.json()["id"]
    secrets = (first.json()["id"].encode(), KEY["Idempotency-Key"].encode(), b"ada")
    assert len(stored) == 6
    assert not any(secret in text for secret in secrets for text in stored)


async def test_a_write_under_way_is_a_conflict(house: House) -> None:
    started, proceed = asyncio.Event(), asyncio.Event()
    add = house.services.backend.counters.add

    async def slow(key: bytes, by: int, **options: Any) -> int:
        started.set()
        await proceed.wait()
        return await add(key, by, **options)

    house.services.backend.counters.add = slow  # type: ignore[method-assign]
    first = asyncio.create_task(house.http.post(ADD, headers=KEY))
    await started.wait()
    assert (await house.http.post(ADD, headers=KEY)).status_code == 409
    assert (await house.http.post(ADD, json={"by": 2}, headers=KEY)).status_code == 422
    proceed.set()
    assert (await first).json()["value"] == 1
    assert (await house.http.post(ADD, headers=KEY)).json()["value"] == 1


async def test_an_outage_is_not_kept(house: House) -> None:
    counters = house.services.backend.counters
    add = counters.add

    async def away(key: bytes, by: int, **options: Any) -> int:
        counters.add = add  # type: ignore[method-assign]
        raise BackendUnavailable

    counters.add = away  # type: ignore[method-assign]
    refused = await house.http.post(ADD, headers=KEY)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert (await house.http.post(ADD, headers=KEY)).json()["value"] == 1


async def test_the_answer_is_told_even_if_it_cannot_be_kept(house: House) -> None:
    values = house.services.backend.values
    keep = values.set

    async def only_marks(key: bytes, value: bytes, **options: Any) -> bool:
        if options.get("only_if_absent"):
            return await keep(key, value, **options)
        raise BackendUnavailable

    values.set = only_marks  # type: ignore[method-assign]
    assert (await house.http.post(ADD, headers=KEY)).json()["value"] == 1
    assert (await house.http.post(ADD, headers=KEY)).status_code == 409
    house.advance(IN_FLIGHT + LAG)
    assert (await house.http.post(ADD, headers=KEY)).json()["value"] == 2


async def test_a_mark_that_went_in_between_is_a_conflict(house: House) -> None:
    async def never(key: bytes, value: bytes, **options: Any) -> bool:
        return False

    house.services.backend.values.set = never  # type: ignore[method-assign]
    assert (await house.http.post(ADD, headers=KEY)).status_code == 409


@pytest.mark.parametrize("key", [b"", b"a" * 256, b"a b", b"\xff", b"a\tb"])
async def test_a_key_is_visible_ascii(http: httpx.AsyncClient, key: bytes) -> None:
    refused = await http.post(ADD, headers={b"Idempotency-Key": key})
    assert refused.status_code == 400
    for value, good in enumerate(("!", "~" * 255), 1):
        answer = await http.post(ADD, headers={"Idempotency-Key": good})
        assert answer.json()["value"] == value


async def test_reading_takes_no_notice_of_a_key(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/counters/visits", headers=KEY)).status_code == 404
    await http.post(ADD)
    assert (await http.get("/v1/counters/visits", headers=KEY)).status_code == 200


async def test_a_batch_is_one_write(http: httpx.AsyncClient) -> None:
    body = {"operations": [{"method": "POST", "path": ADD}]}
    answers = [await http.post("/v1/batch", json=body, headers=KEY) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert (await http.get("/v1/counters/visits")).json()["value"] == 1
