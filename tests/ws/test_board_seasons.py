"""Seasons of live boards: whoever watches sees that a new one has begun."""

from __future__ import annotations

from typing import Any

from realtime.backends.base import Ranking, Submit
from realtime.services.seasons import SeasonRules
from tests.ws.house import House

BOARD = "leaderboard:weekly"
DELTA = {"data": {"mode": "delta"}}
BY_HAND = SeasonRules(resets=(), archives=3)


async def begin(house: House, *members: str) -> None:
    boards = house.services.leaderboards
    await boards.configure("weekly", Ranking(), BY_HAND)
    for score, member in enumerate(members, 1):
        await boards.submit("weekly", [Submit(member.encode(), score)])


def seen(top: dict[str, Any]) -> tuple[int, list[str]]:
    return top["season"], [row["member"] for row in top["entries"]]


async def test_a_top_says_which_season_it_is_of(any_house: House) -> None:
    await begin(any_house, "ada", "bob")
    peer = await any_house.peer()
    await peer.subscribe(BOARD)
    assert seen(await peer.published()) == (1, ["bob", "ada"])
    await any_house.services.leaderboards.close_season("weekly")
    assert seen(await peer.published()) == (2, [])
    await any_house.services.leaderboards.submit("weekly", [Submit(b"cyd", 1)])
    assert seen(await peer.published()) == (2, ["cyd"])


async def test_a_new_season_is_told_also_if_nobody_had_a_score(any_house: House) -> None:
    await begin(any_house)
    peer = await any_house.peer()
    await peer.subscribe(BOARD)
    first = await peer.published()
    assert seen(first) == (1, [])
    for number in (2, 3):
        await any_house.services.leaderboards.close_season("weekly")
        later = await peer.published()
        assert seen(later) == (number, [])
        assert later["version"] > first["version"]


async def test_a_new_season_is_whole_for_those_who_follow_changes(any_house: House) -> None:
    await begin(any_house, "ada")
    boards = any_house.services.leaderboards
    peer = await any_house.peer()
    await peer.subscribe(BOARD, **DELTA)
    assert seen(await peer.published()) == (1, ["ada"])
    await boards.submit("weekly", [Submit(b"bob", 5)])
    second = await peer.published()  # the first publication of a subscription is whole
    assert seen(second) == (1, ["bob", "ada"])
    await boards.submit("weekly", [Submit(b"cyd", 3)])
    third = await peer.published()
    assert (third["season"], third["since"]) == (1, second["version"])
    assert [row["member"] for row in third["joined"]] == ["cyd"]
    await boards.close_season("weekly")
    fourth = await peer.published()
    assert seen(fourth) == (2, [])
    assert "since" not in fourth
    await boards.submit("weekly", [Submit(b"ada", 1)])
    fifth = await peer.published()
    assert (fifth["season"], fifth["since"]) == (2, fourth["version"])
    assert [row["member"] for row in fifth["joined"]] == ["ada"]


async def test_boards_without_seasons_have_no_number(any_house: House) -> None:
    await any_house.services.leaderboards.submit("weekly", [Submit(b"ada", 1)])
    peer = await any_house.peer()
    await peer.subscribe(BOARD)
    assert "season" not in await peer.published()
