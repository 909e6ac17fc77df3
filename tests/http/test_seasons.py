"""Seasons and views of boards over HTTP, on both stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from engine.clock import SECOND
from tests.http.conftest import House

ARCADE = "/v1/leaderboards/arcade"
DAILY = "/v1/leaderboards/{arcade}:daily"
DAY = 86_400


def shown(house: House, days: int = 0) -> str:
    """The last midnight, and so many days later, as the API shows it."""
    midnight = house.clock.now // SECOND // DAY * DAY + days * DAY
    return instant(midnight)


def instant(seconds: float) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.isoformat().replace("+00:00", "Z")


async def configure(http: httpx.AsyncClient, **rules: Any) -> Any:
    answer = await http.put(ARCADE, json=rules)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def submit(http: httpx.AsyncClient, member: str, score: float) -> None:
    answer = await http.post(f"{ARCADE}/scores", json={"member": member, "score": score})
    assert answer.status_code == 200, answer.text


async def members(http: httpx.AsyncClient, path: str = ARCADE) -> list[str]:
    page = (await http.get(f"{path}/entries")).json()
    return [entry["member"] for entry in page["entries"]]


@pytest.mark.parametrize(
    "rules",
    [
        {"reset": "0 0 * * 1", "timezone": "Europe/Berlin", "archives": 0, "archive_ttl": 3600.5},
        {"resets": ["2026-12-24T18:00:00Z", "2027-01-01T00:00:00.000001Z"], "archives": 1000},
        {"resets": [], "views": ["daily", "weekly", "monthly", "all-time"]},
    ],
)
async def test_what_is_set_is_shown(http: httpx.AsyncClient, rules: dict[str, Any]) -> None:
    unset: dict[str, Any] = {
        "reset": None, "resets": None, "timezone": "UTC", "archives": 1, "archive_ttl": None,
        "views": [], "view_of": None,
    }  # fmt: skip
    for answer in (await configure(http, **rules), (await http.get(ARCADE)).json()):
        assert {name: answer[name] for name in unset} == {**unset, **rules}
    answer = await configure(http)
    assert {name: answer[name] for name in unset} == unset


async def test_instants_of_other_zones_and_odd_crons_are_shown_plainly(
    http: httpx.AsyncClient,
) -> None:
    answer = await configure(http, resets=["2026-12-24T18:00:00+01:00"])
    assert answer["resets"] == ["2026-12-24T17:00:00Z"]
    answer = await configure(http, reset=" 0  0 * * mon ", views=["all-time", "daily"])
    assert (answer["reset"], answer["views"]) == ("0 0 * * mon", ["daily", "all-time"])


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ({"reset": "0 0 31 2 *"}, "$.reset"),
        ({"reset": "0 0 * * * *"}, "$.reset"),
        ({"reset": "0 24 * * *"}, "$.reset"),
        ({"reset": "@midnight"}, "$.reset"),
        ({"reset": "0 0 * * " + "1," * 150 + "1"}, "$.reset"),
        ({"reset": "0 0 * * *", "resets": []}, "$.resets"),
        ({"resets": ["2026-12-24T18:00:00"]}, "$.resets[0]"),
        ({"resets": ["1969-12-31T23:59:59Z"]}, "$.resets"),
        ({"resets": ["2026-12-24T18:00:00Z", "2026-12-24T19:00:00+01:00"]}, "$.resets"),
        ({"resets": ["2026-12-24T18:00:00Z"] * 1_001}, "$.resets"),
        ({"timezone": "Mars/Olympus"}, "$.timezone"),
        ({"archives": -1}, "$.archives"),
        ({"archives": 1_001}, "$.archives"),
        ({"archive_ttl": 0}, "$.archive_ttl"),
        ({"views": ["hourly"]}, "$.views[0]"),
        ({"views": ["daily", "daily"]}, "$.views"),
        ({"view_of": "other"}, "$"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    http: httpx.AsyncClient, rules: dict[str, Any], path: str
) -> None:
    refused = await http.put(ARCADE, json=rules)
    assert refused.status_code == 422, refused.text
    assert refused.json()["path"] == path


async def test_a_name_with_braces_may_leave_no_room_for_views(http: httpx.AsyncClient) -> None:
    for name in ("{arcade}", "a{b}c", "x" * 255):
        refused = await http.put(f"/v1/leaderboards/{name}", json={"views": ["daily"]})
        assert refused.status_code == 422, refused.text
        assert (await http.put(f"/v1/leaderboards/{name}", json={})).status_code == 200


async def test_seasons_follow_one_another(house: House, http: httpx.AsyncClient) -> None:
    assert (await http.get(f"{ARCADE}/seasons")).json() == {
        "board": "arcade", "current": None, "closed": [],
    }  # fmt: skip
    began = instant(house.clock.now / SECOND)
    await configure(http, reset="0 0 * * *", archives=5)
    await submit(http, "ada", 5)
    first, second = shown(house, 1), shown(house, 2)
    assert (await http.get(f"{ARCADE}/seasons")).json() == {
        "board": "arcade",
        "current": {"season": 1, "began": began, "ends": first},
        "closed": [],
    }
    house.advance(DAY)
    await submit(http, "bob", 6)
    await submit(http, "kim", 7)
    house.advance(DAY)
    assert (await http.get(f"{ARCADE}/seasons")).json() == {
        "board": "arcade",
        "current": {"season": 3, "began": second, "ends": shown(house, 1)},
        "closed": [
            {"season": 2, "began": first, "ended": second, "size": 2},
            {"season": 1, "began": began, "ended": first, "size": 1},
        ],
    }
    assert (await http.get(ARCADE)).json()["size"] == 0


async def test_a_season_is_ended_by_hand(house: House, http: httpx.AsyncClient) -> None:
    refused = await http.post(f"{ARCADE}/reset")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "the board arcade has no seasons",
    )
    await configure(http, resets=[])
    await submit(http, "ada", 5)
    began = instant(house.clock.now / SECOND)
    house.advance(60)
    ended = instant(house.clock.now / SECOND)
    answer = await http.post(f"{ARCADE}/reset", headers={"idempotency-key": "once"})
    assert answer.json() == {
        "season": 1, "began": began, "ended": ended, "size": 1, "board": "arcade",
    }  # fmt: skip
    again = await http.post(f"{ARCADE}/reset", headers={"idempotency-key": "once"})
    assert again.json() == answer.json()
    seasons = (await http.get(f"{ARCADE}/seasons")).json()
    assert seasons["current"] == {"season": 2, "began": ended, "ends": None}
    assert [season["season"] for season in seasons["closed"]] == [1]


async def test_a_view_is_read_and_not_written(house: House, http: httpx.AsyncClient) -> None:
    await configure(http, views=["daily"], keep="sum", timezone="Asia/Tokyo")
    await submit(http, "ada", 5)
    assert await members(http, DAILY) == ["ada"]
    view = (await http.get(DAILY)).json()
    assert (view["view_of"], view["reset"], view["timezone"], view["keep"]) == (
        "arcade", "0 0 * * *", "Asia/Tokyo", "sum",
    )  # fmt: skip
    score = {"member": "bob", "score": 1}
    for refused in (
        await http.put(DAILY, json={}),
        await http.delete(DAILY),
        await http.post(f"{DAILY}/reset"),
        await http.post(f"{DAILY}/scores", json=score),
        await http.delete(f"{DAILY}/members/ada"),
        await http.post("/v1/scores", json={**score, "boards": ["arcade", "{arcade}:daily"]}),
        await http.post(f"{DAILY}/bulk", content=b'{"member":"bob","score":1}\n'),
    ):
        assert refused.status_code == 409, refused.text
        assert "is a view of the board arcade" in refused.json()["detail"]
    assert await members(http) == await members(http, DAILY) == ["ada"]
    house.advance(DAY)
    await submit(http, "ada", 1)
    page = (await http.get(f"{DAILY}/entries")).json()
    assert page["entries"] == [{"rank": 1, "member": "ada", "score": 1}]
    assert (await http.get(f"{ARCADE}/members/ada")).json()["score"] == 6
    assert (await http.delete(ARCADE)).status_code == 204
    assert await members(http, DAILY) == []
    assert (await http.put(DAILY, json={})).status_code == 200


async def test_a_view_does_not_take_the_name_of_another_board(http: httpx.AsyncClient) -> None:
    await http.post(f"{DAILY}/scores", json={"member": "ada", "score": 5})
    refused = await http.put(ARCADE, json={"views": ["daily"]})
    assert refused.status_code == 409
    assert "{arcade}:daily" in refused.json()["detail"]
    assert (await http.get(ARCADE)).json()["views"] == []


async def test_a_cursor_ends_with_the_season(house: House, http: httpx.AsyncClient) -> None:
    await configure(http, reset="0 0 * * *")
    await submit(http, "ada", 5)
    await submit(http, "bob", 6)
    cursor = (await http.get(f"{ARCADE}/entries?cursor=start&limit=1")).json()["next"]
    house.advance(DAY)
    gone = await http.get(f"{ARCADE}/entries?cursor={cursor}")
    assert (gone.status_code, gone.json()["type"]) == (410, "/docs/errors#gone")
