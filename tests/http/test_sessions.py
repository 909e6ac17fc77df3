"""Sessions over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.http.conftest import LAG, House

CURRENT = "/v1/sessions/current"


async def begin(http: httpx.AsyncClient, **body: Any) -> dict[str, str]:
    """Begin a session; the header that names it."""
    created = await http.post("/v1/sessions", json=body)
    assert created.status_code == 201
    return {"Session-Id": created.json()["id"]}


def lifetime(session: dict[str, Any]) -> float:
    created, expires = (datetime.fromisoformat(session[at]) for at in ("created_at", "expires_at"))
    return (expires - created).total_seconds()


async def test_a_session_is_created_with_defaults(http: httpx.AsyncClient) -> None:
    created = await http.post("/v1/sessions")
    assert created.status_code == 201
    session = created.json()
    assert len(session["id"]) == 47
    assert (session["user"], session["data"], session["version"]) == (None, {}, 1)
    assert session["created_at"].endswith("Z")
    assert lifetime(session) == 1800


async def test_reading_touches_unless_told_otherwise(house: House) -> None:
    mine = await begin(house.http, user="ada", data={"theme": "dark"}, idle_timeout=100)
    house.advance(60)
    looked = await house.http.get(CURRENT, params={"touch": "false"}, headers=mine)
    assert lifetime(looked.json()) == 100
    read = await house.http.get(CURRENT, headers=mine)
    assert lifetime(read.json()) == 160
    assert read.json()["data"] == {"theme": "dark"}
    assert "id" not in read.json()
    house.advance(99)
    assert (await house.http.get(CURRENT, headers=mine)).status_code == 200


async def test_no_touch_outlives_the_absolute_deadline(house: House) -> None:
    mine = await begin(house.http, idle_timeout=100, absolute_timeout=150)
    house.advance(99)
    assert lifetime((await house.http.get(CURRENT, headers=mine)).json()) == 150
    house.advance(51 + LAG)
    assert (await house.http.get(CURRENT, headers=mine)).status_code == 404


async def test_data_keeps_every_json_value(http: httpx.AsyncClient) -> None:
    data = {"a": None, "b": [1, 2.5, {"c": "ü\n"}], "d": True, "e": 12345678901234567890}
    mine = await begin(http, data=data)
    assert (await http.get(CURRENT, headers=mine)).json()["data"] == data


async def test_a_patch_sets_and_removes_in_one_step(http: httpx.AsyncClient) -> None:
    mine = await begin(http, data={"a": 1, "b": 2})
    body = {"set": {"c": [3]}, "unset": ["a", "none"]}
    patched = await http.patch(CURRENT, json=body, headers=mine)
    assert patched.json()["data"] == {"b": 2, "c": [3]}
    assert patched.json()["version"] == 2
    assert patched.headers["etag"] == '"2"'


@pytest.mark.parametrize("form", ['"{}"', "{}"])
async def test_a_patch_may_demand_a_version(http: httpx.AsyncClient, form: str) -> None:
    mine = await begin(http, data={"n": 0})
    first = {**mine, "If-Match": form.format(1)}
    assert (await http.patch(CURRENT, json={"set": {"n": 1}}, headers=first)).status_code == 200
    late = await http.patch(CURRENT, json={"set": {"n": 2}}, headers=first)
    assert late.status_code == 412
    assert (await http.get(CURRENT, headers=mine)).json()["data"] == {"n": 1}


async def test_any_version_will_do_for_a_star(http: httpx.AsyncClient) -> None:
    mine = {**await begin(http), "If-Match": "*"}
    assert (await http.patch(CURRENT, json={}, headers=mine)).json()["version"] == 2


@pytest.mark.parametrize("demand", ["W/1", "one", "-1", '"', "9" * 5000])
async def test_a_version_that_is_none_is_refused(http: httpx.AsyncClient, demand: str) -> None:
    mine = {**await begin(http), "If-Match": demand}
    assert (await http.patch(CURRENT, json={}, headers=mine)).status_code == 400


async def test_an_id_stands_in_its_header_only(http: httpx.AsyncClient) -> None:
    mine = await begin(http)
    assert (await http.get(CURRENT)).status_code == 400
    assert (await http.get(CURRENT, headers={"Session-Id": ""})).status_code == 400
    assert (await http.get(CURRENT, headers={"Session-Id": "guess"})).status_code == 404
    assert (await http.get(f"/v1/sessions/{mine['Session-Id']}")).status_code == 404
    in_query = await http.get(CURRENT, params={"id": mine["Session-Id"]}, headers=mine)
    assert in_query.status_code == 422


async def test_ending_a_session_may_be_repeated(http: httpx.AsyncClient) -> None:
    mine = await begin(http)
    for _ in range(2):
        assert (await http.delete(CURRENT, headers=mine)).status_code == 204
    assert (await http.get(CURRENT, headers=mine)).status_code == 404
    assert (await http.patch(CURRENT, json={}, headers=mine)).status_code == 404


async def test_the_sessions_of_a_user_are_listed_without_ids_and_ended(house: House) -> None:
    http = house.http
    other = await begin(http, user="bob")
    mine = []
    for number in range(3):
        mine.append(await begin(http, user="ada/ü", data={"n": number}))
        house.advance(1)
    listed = await http.get("/v1/users/ada%2F%C3%BC/sessions")
    assert [session["data"]["n"] for session in listed.json()["sessions"]] == [0, 1, 2]
    assert all(header["Session-Id"] not in listed.text for header in mine)
    ended = await http.delete("/v1/users/ada%2F%C3%BC/sessions")
    assert ended.json() == {"ended": 3}
    assert (await http.get(CURRENT, headers=mine[0])).status_code == 404
    assert (await http.get(CURRENT, headers=other)).status_code == 200
    assert (await http.delete("/v1/users/ada%2F%C3%BC/sessions")).json() == {"ended": 0}


async def test_too_much_data_is_refused_whole(http: httpx.AsyncClient) -> None:
    large = {"text": "x" * 70_000}
    assert (await http.post("/v1/sessions", json={"data": large})).status_code == 413
    mine = await begin(http, data={"a": 1})
    assert (await http.patch(CURRENT, json={"set": large}, headers=mine)).status_code == 413
    assert (await http.get(CURRENT, headers=mine)).json()["data"] == {"a": 1}


async def test_no_cache_may_keep_a_session(http: httpx.AsyncClient) -> None:
    created = await http.post("/v1/sessions", json={"user": "ada"})
    mine = {"Session-Id": created.json()["id"]}
    answers = [
        created,
        await http.get(CURRENT, headers=mine),
        await http.get(CURRENT),
        await http.get("/v1/users/ada/sessions"),
        await http.delete(CURRENT, headers=mine),
    ]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"_user": "eve"}},
        {"data": {"": 1}},
        {"data": []},
        {"idle_timeout": 0},
        {"idle_timeout": "30"},
        {"absolute_timeout": 1e12},
        {"user": ""},
        {"id": "mine"},
    ],
)
async def test_a_session_that_makes_no_sense_is_refused(
    http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert (await http.post("/v1/sessions", json=body)).status_code == 422
