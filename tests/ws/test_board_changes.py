"""Live boards as what changes: whoever applies it sees what the others see."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from realtime.backends.base import Publication, Ranking, Ranks, Submit
from realtime.ws.changes import BoardChanges
from realtime.ws.pushes import push_head
from tests.ws.house import House

BOARD = "leaderboard:weekly"
DELTA = {"data": {"mode": "delta"}}

Top = dict[str, Any]


def applied(top: Top, change: Top) -> Top:
    """As a client does it."""
    if "entries" in change:
        return change
    assert change["since"] == top["version"], "something was missed"
    rows = {row["member"]: {"index": at, **row} for at, row in enumerate(top["entries"])}
    for member in change["left"]:
        del rows[member]
    for row in (*change["joined"], *change["moved"]):
        rows[row["member"]] = row
    ordered = sorted(rows.values(), key=lambda row: row["index"])
    assert [row.pop("index") for row in ordered] == list(range(len(ordered)))
    return {"board": change["board"], "version": change["version"], "entries": ordered}


async def score(house: House, member: str, points: float) -> None:
    await house.services.leaderboards.submit("weekly", [Submit(member.encode(), points)])


async def test_the_top_comes_first_and_then_what_changes(any_house: House) -> None:
    await score(any_house, "ada", 10)
    await score(any_house, "bob", 5)
    peer = await any_house.peer()
    await peer.subscribe(BOARD, **DELTA)
    assert (await peer.published())["entries"] == [
        {"rank": 1, "member": "ada", "score": 10},
        {"rank": 2, "member": "bob", "score": 5},
    ]
    await score(any_house, "cyd", 1)
    second = await peer.published()  # the first publication of a subscription is whole
    assert [row["member"] for row in second["entries"]] == ["ada", "bob", "cyd"]
    await score(any_house, "bob", 20)
    third = await peer.published()
    assert third == {
        "board": "weekly",
        "version": third["version"],
        "since": second["version"],
        "joined": [],
        "moved": [
            {"index": 0, "rank": 1, "member": "bob", "score": 20},
            {"index": 1, "rank": 2, "member": "ada", "score": 10},
        ],
        "left": [],
    }
    await any_house.services.leaderboards.remove("weekly", "ada")
    fourth = await peer.published()
    assert fourth["left"] == ["ada"]
    assert fourth["moved"] == [{"index": 1, "rank": 2, "member": "cyd", "score": 1}]


@pytest.mark.parametrize("ranks", ["ordinal", "competition", "dense"])
async def test_applying_changes_gives_the_tops_that_others_see(
    any_house: House, ranks: Ranks
) -> None:
    rng = random.Random(3)
    boards = any_house.services.leaderboards
    await boards.configure("weekly", Ranking(keep="latest", ranks=ranks))
    whole, brief = await any_house.peer(), await any_house.peer()
    await whole.subscribe(BOARD)
    await brief.subscribe(BOARD, **DELTA)
    top, shown = await whole.published(), await brief.published()
    assert top["entries"] == shown["entries"] == []
    for number in range(25):
        # A member that was never there, so that every step changes the top.
        await score(any_house, f"new{number}", 1_000 + number)
        await score(any_house, f"m{rng.randrange(15)}", rng.randrange(2_000))
        while not any(row["member"] == f"new{number}" for row in top["entries"]):
            top = await whole.published()
        while shown["version"] < top["version"]:
            shown = applied(shown, await brief.published())
        assert shown == top


async def test_a_subscriber_who_comes_later_begins_with_a_whole_top(any_house: House) -> None:
    first, second = await any_house.peer(), await any_house.peer()
    await first.subscribe(BOARD, **DELTA)
    seen = await first.published()
    for number in range(3):
        await score(any_house, f"m{number}", number)
        seen = applied(seen, await first.published())
    await second.subscribe(BOARD, **DELTA)
    late = await second.published()
    assert late["entries"] == seen["entries"]
    for number in range(3, 6):
        await score(any_house, f"m{number}", number)
        while len(seen["entries"]) <= number:
            seen = applied(seen, await first.published())
        while late["version"] < seen["version"]:
            late = applied(late, await second.published())
        assert late == seen


@pytest.mark.parametrize("data", [{"mode": "all"}, [], "delta", {"mode": None}])
async def test_what_there_is_not_is_refused(any_house: House, data: object) -> None:
    peer = await any_house.peer()
    reply = await peer.ask(subscribe={"channel": BOARD, "data": data})
    assert reply["error"]["code"] == 107
    assert not any_house.hub.is_watched(BOARD)


@pytest.mark.parametrize("data", [{"mode": "top"}, {}, None])
async def test_whole_tops_may_be_asked_for_by_name(any_house: House, data: object) -> None:
    peer = await any_house.peer()
    await peer.subscribe(BOARD, data=data)
    for number in range(3):
        assert len((await peer.published())["entries"]) == number
        await score(any_house, f"m{number}", number)


async def test_data_of_other_channels_is_the_clients_own(any_house: House) -> None:
    peer = await any_house.peer()
    assert "error" not in await peer.ask(subscribe={"channel": "news", "data": [1]})


def test_what_is_no_top_is_passed_on_and_begins_anew() -> None:
    changes, head = BoardChanges(), push_head(BOARD)
    top = b'{"board":"weekly","version":%d,"entries":[]}'

    def brief(data: bytes) -> Top:
        found: Top = msgspec.json.decode(
            changes.forms(head, Publication(0, data), "").brief.strip()
        )
        body: Top = found["push"]["pub"]["data"]
        return body

    assert "entries" in brief(top % 1)
    assert brief(top % 2)["since"] == 1
    assert brief(b'{"hello":1}') == {"hello": 1}
    assert "entries" in brief(top % 4)
