"""Views and seasons that are over, read as boards are, on both stores, packed or not."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.http.conftest import House

ARCADE = "/v1/leaderboards/arcade"
ENTRIES = [
    {"member": f"m{number:02}", "score": number // 2, "metadata": {"n": number}}
    for number in range(30)
]
READS = [
    "/entries?limit=100&metadata=true",
    "/entries?min_score=3&max_score=9&offset=2",
    "/entries?members=m07,m03,nobody",
    "/members/m07",
    "/members/m07/around?radius=3&metadata=true",
    "/around?score=4.5&radius=3",
    "/percentile?at=40",
    "/count?min_score=7",
    "/histogram?buckets=4",
    "/bulk",
]


def asked(path: str, query: str) -> str:
    return f"{ARCADE}{path}{'&' if '?' in path else '?'}{query}"


async def configure(http: httpx.AsyncClient, **rules: Any) -> None:
    answer = await http.put(ARCADE, json={"resets": [], **rules})
    assert answer.status_code == 200, answer.text


async def submit(http: httpx.AsyncClient, entries: list[dict[str, Any]]) -> None:
    answer = await http.post(f"{ARCADE}/scores", json={"entries": entries})
    assert answer.status_code == 200, answer.text


async def close(house: House, *, pack: bool) -> None:
    assert (await house.http.post(f"{ARCADE}/reset")).status_code == 200
    if pack:
        boards = house.services.leaderboards
        (season, *_) = await boards.closed("arcade")
        await boards.archives.pack("arcade", season)


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize(
    "rules", [{}, {"ties": "first", "ranks": "dense"}, {"order": "asc", "ranks": "competition"}]
)
async def test_a_season_is_read_as_the_board_was(
    house: House, rules: dict[str, Any], pack: bool
) -> None:
    await configure(house.http, **rules)
    await submit(house.http, ENTRIES)
    before = [(await house.http.get(ARCADE + path)).text for path in READS]
    for path, expected in zip(READS, before, strict=True):
        assert (await house.http.get(asked(path, "season=1"))).text == expected
    await close(house, pack=pack)
    await submit(house.http, [{"member": "new", "score": 1}])
    assert (await house.http.get(f"{ARCADE}/count")).json()["count"] == 1
    for path, expected in zip(READS, before, strict=True):
        for season in ("1", "previous"):
            answer = await house.http.get(asked(path, f"season={season}"))
            assert (answer.status_code, answer.text) == (200, expected)


async def test_a_view_is_read_by_its_name_and_by_its_board(house: House) -> None:
    await configure(house.http, views=["daily", "all-time"])
    await submit(house.http, ENTRIES)
    view = "/v1/leaderboards/{arcade}:daily"
    for path in READS:
        direct = (await house.http.get(view + path)).text.replace("{arcade}:daily", "arcade")
        assert (await house.http.get(asked(path, "view=daily"))).text == direct
    await close(house, pack=False)
    assert (await house.http.get(asked("/count", "view=all-time"))).json()["count"] == 30
    house.advance(86_400)
    await submit(house.http, ENTRIES[:1])
    counts = [
        (await house.http.get(asked("/count", f"view=daily{season}"))).json()["count"]
        for season in ("", "&season=previous", "&season=1", "&season=2")
    ]
    assert counts == [1, 30, 30, 1]


@pytest.mark.parametrize("path", READS)
async def test_what_is_not_there_is_not_found(house: House, path: str) -> None:
    await configure(house.http)
    await submit(house.http, ENTRIES)
    for query in ("season=2", "season=previous", "season=9007199254740992", "view=daily"):
        answer = await house.http.get(asked(path, query))
        assert answer.status_code == 404, query
    assert answer.json()["detail"] == "the board arcade has no daily view"


@pytest.mark.parametrize("query", ["season=0", "season=-1", "season=last", "season=", "season=1.5"])
async def test_what_makes_no_sense_is_refused(house: House, query: str) -> None:
    for path in READS:
        assert (await house.http.get(asked(path, query))).status_code == 422
    assert (await house.http.get(asked("/count", "view=hourly"))).status_code == 422


async def test_boards_without_seasons_have_none(house: House) -> None:
    await submit(house.http, ENTRIES)
    for season in ("1", "previous"):
        assert (await house.http.get(asked("/entries", f"season={season}"))).status_code == 404


async def _pages(http: httpx.AsyncClient, query: str, cursor: str | None) -> list[str]:
    found: list[str] = []
    while cursor is not None:
        path = f"/entries?limit=7&cursor={cursor}"
        answer = await http.get(asked(path, query))
        assert answer.status_code == 200, answer.text
        found += [entry["member"] for entry in answer.json()["entries"]]
        cursor = answer.json()["next"]
    return found


@pytest.mark.parametrize("ties", ["member", "first"])
async def test_cursors_of_a_season_go_on_when_it_is_packed(house: House, ties: str) -> None:
    await configure(house.http, ties=ties, archives=2)
    await submit(house.http, ENTRIES)
    await close(house, pack=False)
    everybody = await _pages(house.http, "season=1", "start")
    assert len(everybody) == 30
    first = (await house.http.get(asked("/entries?limit=7&cursor=start", "season=1"))).json()
    boards = house.services.leaderboards
    (season,) = await boards.closed("arcade")
    await boards.archives.pack("arcade", season)
    assert await _pages(house.http, "season=1", first["next"]) == everybody[7:]
    assert await _pages(house.http, "season=1", "start") == everybody
    await submit(house.http, ENTRIES)
    answer = await house.http.get(asked(f"/entries?cursor={first['next']}", "season=2"))
    assert answer.json()["detail"] == "this cursor is of another board"


async def test_a_deleted_board_takes_its_archives_along(house: House) -> None:
    await configure(house.http)
    await submit(house.http, ENTRIES)
    await close(house, pack=True)
    assert (await house.http.delete(ARCADE)).status_code == 204
    assert (await house.http.get(asked("/entries", "season=1"))).status_code == 404


async def test_a_damaged_archive_is_told_in_words(house: House) -> None:
    await configure(house.http)
    await submit(house.http, ENTRIES)
    await close(house, pack=True)
    backend = house.services.backend
    await backend.values.set(b"lb:{arcade}:s:1:rows:0", b"something else")
    house.http.event_hooks = {}  # elsewhere no answer may be 500
    answer = await house.http.get(asked("/entries", "season=1"))
    assert answer.status_code == 500
    problem = answer.json()
    assert problem["detail"] == "the archive of this season is damaged: block 0 cannot be read"
    assert problem["reference"]


async def test_an_export_in_lines_can_be_loaded_elsewhere(house: House) -> None:
    await configure(house.http)
    await submit(house.http, ENTRIES)
    await close(house, pack=True)
    lines = (await house.http.get(asked("/bulk", "season=previous"))).content
    assert json.loads(lines.splitlines()[0])["member"] == "m29"
    await house.http.post("/v1/leaderboards/copy/bulk", content=lines)
    assert (await house.http.get("/v1/leaderboards/copy/count")).json()["count"] == 30
