"""Members are removed from seasons that are over, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from realtime.access import Principal
from realtime.errors import Forbidden
from realtime.http.inputs import Call
from realtime.http.leaderboard_shapes import MemberPath, RemoveQuery
from realtime.http.leaderboards import remove_member
from tests.http.conftest import House
from tests.http.test_archives import ARCADE, ENTRIES, READS, asked, close, configure, submit

ADA = f"{ARCADE}/members/m07"


async def status(http: httpx.AsyncClient, query: str, member: str = "m07") -> int:
    return (await http.delete(f"{ARCADE}/members/{member}?{query}")).status_code


async def answers(http: httpx.AsyncClient, season: str = "") -> list[str]:
    return [
        (await http.get(asked(path, season) if season else ARCADE + path)).text for path in READS
    ]


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize(
    "rules", [{}, {"ties": "first", "ranks": "dense"}, {"order": "asc", "ranks": "competition"}]
)
async def test_a_season_is_as_if_the_member_had_left_in_time(
    house: House, rules: dict[str, Any], pack: bool
) -> None:
    http = house.http
    await configure(http, **rules, archives=2)
    await submit(http, ENTRIES)
    await close(house, pack=pack)
    await submit(http, ENTRIES)
    assert await status(http, "", "m08") == await status(http, "") == 204
    expected = await answers(http)
    await close(house, pack=False)
    assert await answers(http, "season=2") == expected
    assert await answers(http, "season=1") != expected
    for _ in range(2):
        assert await status(http, "season=1", "m08") == await status(http, "season=1") == 204
    assert await answers(http, "season=1") == expected
    seasons = (await http.get(f"{ARCADE}/seasons")).json()["closed"]
    assert [season["size"] for season in seasons] == [28, 28]
    assert (await http.get(f"{ARCADE}/members/m07?season=1")).status_code == 404


async def test_of_all_seasons_and_views_at_once(house: House) -> None:
    http = house.http
    await configure(http, resets=None, reset="0 0 * * *", views=["daily", "all-time"], archives=9)
    for _ in range(3):
        await submit(http, ENTRIES)
        house.advance(86_400)
    await submit(http, ENTRIES)
    assert await status(http, "season=all") == await status(http, "season=all", "nobody") == 204
    for view in ("", "&view=daily"):
        for season in ("1", "2", "3", "4", "previous"):
            answer = await http.get(asked("/entries?members=m07,m08", f"season={season}{view}"))
            assert (answer.json()["missing"], answer.json()["total"]) == (["m07"], 29)
    answer = await http.get(asked("/entries?members=m07", "view=all-time"))
    assert (answer.json()["missing"], answer.json()["total"]) == (["m07"], 29)


async def test_what_is_not_there(house: House) -> None:
    """A member who is not there is none already; a season that is not there is a mistake."""
    http = house.http
    await configure(http, views=["daily"])
    await submit(http, ENTRIES)
    assert await status(http, "season=1", "nobody") == 204
    assert await status(http, "season=all", "nobody") == 204
    assert await status(http, "season=2") == await status(http, "season=previous") == 404
    assert await status(http, "season=2&view=daily") == 404
    assert await status(http, "season=1&view=weekly") == 404
    assert await status(http, "view=weekly") == 404
    assert await status(http, "view=daily") == await status(http, "view=daily&season=1") == 409
    assert await status(http, "season=all&view=daily") == 422
    for season in ("0", "-1", "every", "", "ALL"):
        assert await status(http, f"season={season}") == 422
    assert (await http.get(asked("/count", "season=1"))).json()["count"] == 30


async def test_users_never_change_how_a_season_ended(house: House) -> None:
    """Also where they bring scores themselves; whoever has a key, or may administer boards, may."""
    http, boards = house.http, house.services.leaderboards
    await configure(http)
    await submit(http, ENTRIES)
    await close(house, pack=False)
    user = Principal("ada", frozenset({"leaderboards:write"}), user="ada", is_user=True)
    admin = Principal("eve", frozenset({"leaderboards:*"}), user="eve", is_user=True)
    key = Principal("game", frozenset({"leaderboards:write"}), key="k1")

    async def remove(caller: Principal, member: str, season: Any) -> None:
        path, query = MemberPath("arcade", member), RemoveQuery(season=season)
        await remove_member.handler(boards, path, query, Call((), b"", {}, b"", caller))

    for season in (1, 2, "previous", "all"):
        with pytest.raises(Forbidden, match="only applications"):
            await remove(user, "m01", season)
    assert (await http.get(asked("/count", "season=1"))).json()["count"] == 30
    await remove(admin, "m01", 1)
    await remove(key, "m02", "all")
    assert (await http.get(asked("/count", "season=1"))).json()["count"] == 28
