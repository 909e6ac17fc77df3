"""What boards can do besides ranking the best score: over HTTP, on both stores."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from realtime.access import Principal
from realtime.backends.base import Ranking
from realtime.embedded import Embedded
from realtime.errors import Forbidden
from realtime.http import leaderboards
from realtime.http.inputs import Call
from realtime.http.leaderboard_shapes import (
    BoardPath,
    MemberPath,
    NewScore,
    NewScoreOnBoards,
    RemoveQuery,
    check_author,
)

ARCADE = "/v1/leaderboards/arcade"


async def rules(http: httpx.AsyncClient, **changed: Any) -> None:
    assert (await http.put(ARCADE, json=changed)).status_code == 200


async def submit(http: httpx.AsyncClient, *entries: tuple[str, float]) -> None:
    rows = [{"member": member, "score": score} for member, score in entries]
    answer = await http.post(f"{ARCADE}/scores", json={"entries": rows})
    assert answer.status_code == 200, answer.text


async def shown(http: httpx.AsyncClient, query: str = "") -> list[tuple[int, str]]:
    page = await http.get(f"{ARCADE}/entries?limit=100{query}")
    assert page.status_code == 200, page.text
    return [(entry["rank"], entry["member"]) for entry in page.json()["entries"]]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_whoever_reached_a_score_first_is_ahead(http: httpx.AsyncClient, order: str) -> None:
    await rules(http, ties="first", keep="latest", order=order)
    await submit(http, ("zoe", 5), ("ada", 5), ("kim", 5), ("zoe", 5))
    assert await shown(http) == [(1, "zoe"), (2, "ada"), (3, "kim")]
    await submit(http, ("zoe", 1), ("zoe", 5))  # left it, and came back
    assert await shown(http) == [(1, "ada"), (2, "kim"), (3, "zoe")]


async def test_whoever_was_there_before_anybody_looked_is_ahead(http: httpx.AsyncClient) -> None:
    await submit(http, ("b", 5), ("a", 5))
    await rules(http, ties="first")
    await submit(http, ("0", 5))
    assert await shown(http) == [(1, "a"), (2, "b"), (3, "0")]
    await rules(http, ties="member")
    assert await shown(http) == [(1, "b"), (2, "a"), (3, "0")]


async def test_dense_ranks_leave_nothing_out(http: httpx.AsyncClient) -> None:
    await submit(http, ("a", 9), ("b", 5), ("c", 5), ("d", 1))
    await rules(http, ranks="dense")
    assert await shown(http) == [(1, "a"), (2, "c"), (2, "b"), (3, "d")]
    await http.delete(f"{ARCADE}/members/a")
    await submit(http, ("d", 7))
    assert await shown(http) == [(1, "d"), (2, "c"), (2, "b")]
    assert (await http.get(f"{ARCADE}/members/b")).json()["rank"] == 2


async def test_a_smaller_board_drops_the_worst_at_once(http: httpx.AsyncClient) -> None:
    await submit(http, *((f"m{number:04}", number) for number in range(2_100)))
    await rules(http, max_entries=3)
    assert await shown(http) == [(1, "m2099"), (2, "m2098"), (3, "m2097")]
    assert (await http.get(ARCADE)).json()["size"] == 3


async def test_new_bounds_hold_for_new_scores(http: httpx.AsyncClient) -> None:
    await submit(http, ("ada", 500))
    await rules(http, max_score=100)
    assert await shown(http) == [(1, "ada")]
    refused = await http.post(f"{ARCADE}/scores", json={"member": "bob", "score": 101})
    assert refused.status_code == 422
    better = await http.post(f"{ARCADE}/scores", json={"member": "ada", "score": 50})
    assert (better.json()["score"], better.json()["changed"]) == (500, False)


async def test_a_sum_may_go_down_and_below_zero(http: httpx.AsyncClient) -> None:
    await rules(http, keep="sum", min_score=-5)
    await submit(http, ("ada", 3), ("ada", -7))
    assert (await http.get(f"{ARCADE}/members/ada")).json()["score"] == -4
    refused = await http.post(f"{ARCADE}/scores", json={"member": "ada", "score": -2})
    assert refused.status_code == 422


async def test_a_cursor_goes_on_where_it_was(http: httpx.AsyncClient) -> None:
    await submit(http, *((f"m{number}", number) for number in range(10)))
    first = (await http.get(f"{ARCADE}/entries?cursor=start&limit=4")).json()
    assert [entry["member"] for entry in first["entries"]] == ["m9", "m8", "m7", "m6"]
    await submit(http, ("m0", 100), ("new", 50))  # offsets would show m6 and m7 twice
    await http.delete(f"{ARCADE}/members/m6")
    second = (await http.get(f"{ARCADE}/entries?limit=4&cursor={first['next']}")).json()
    assert [entry["member"] for entry in second["entries"]] == ["m5", "m4", "m3", "m2"]
    assert [entry["rank"] for entry in second["entries"]] == [6, 7, 8, 9]
    third = (await http.get(f"{ARCADE}/entries?limit=4&cursor={second['next']}")).json()
    assert [entry["member"] for entry in third["entries"]] == ["m1"]
    assert third["next"] is None


async def test_a_cursor_ends_with_its_board(http: httpx.AsyncClient) -> None:
    await submit(http, ("a", 1), ("b", 2))
    cursor = (await http.get(f"{ARCADE}/entries?cursor=start&limit=1")).json()["next"]
    other = await http.get(f"/v1/leaderboards/other/entries?cursor={cursor}")
    assert (other.status_code, other.json()["detail"]) == (422, "this cursor is of another board")
    await rules(http, order="asc")
    turned = await http.get(f"{ARCADE}/entries?cursor={cursor}")
    assert (turned.status_code, turned.json()["title"]) == (409, "Conflict")
    await http.delete(ARCADE)
    await submit(http, ("a", 1), ("b", 2))
    gone = await http.get(f"{ARCADE}/entries?cursor={cursor}")
    assert (gone.status_code, gone.json()["type"]) == (410, "/docs/errors#gone")


@pytest.mark.parametrize("cursor", ["", "x", "starts", "A" * 60, "ä", "A" * 512, "A" * 513])
async def test_what_is_no_cursor_is_refused(http: httpx.AsyncClient, cursor: str) -> None:
    refused = await http.get(f"{ARCADE}/entries", params={"cursor": cursor})
    assert refused.status_code == 422


@pytest.mark.parametrize("other", ["offset=1", "min_score=1", "members=a"])
async def test_a_cursor_stands_alone(http: httpx.AsyncClient, other: str) -> None:
    assert (await http.get(f"{ARCADE}/entries?cursor=start&{other}")).status_code == 422


async def test_friends_have_their_positions_among_each_other(http: httpx.AsyncClient) -> None:
    await submit(http, *((f"m{number}", number) for number in range(10)))
    found = (await http.get(f"{ARCADE}/entries?members=m2,nobody,m7,m2")).json()
    assert found["missing"] == ["nobody"]
    assert [(e["member"], e["rank"], e["position"]) for e in found["entries"]] == [
        ("m7", 3, 1),
        ("m2", 8, 2),
    ]


async def test_a_score_has_neighbours_without_being_there(http: httpx.AsyncClient) -> None:
    await submit(http, *((f"m{number}", number * 10) for number in range(10)))
    found = (await http.get(f"{ARCADE}/around?score=45&radius=2")).json()
    assert [entry["member"] for entry in found["entries"]] == ["m6", "m5", "m4", "m3"]
    assert (await http.get(f"{ARCADE}/around?score=nan")).status_code == 422
    assert (await http.get(f"{ARCADE}/around")).status_code == 422


async def test_percentiles_and_counts(http: httpx.AsyncClient) -> None:
    assert (await http.get(f"{ARCADE}/percentile?at=50")).status_code == 404
    await submit(http, *((f"m{number}", number) for number in range(10)))
    found = (await http.get(f"{ARCADE}/percentile?at=90")).json()
    assert (found["member"], found["score"], found["rank"]) == ("m8", 8, 2)
    member = (await http.get(f"{ARCADE}/members/m8")).json()
    assert member["percentile"] == 90
    assert (await http.get(f"{ARCADE}/percentile?at=101")).status_code == 422
    await http.delete(f"{ARCADE}/members/m0")  # of nine there are no whole per cents
    for member in ("m1", "m2", "m4", "m7"):
        told = (await http.get(f"{ARCADE}/members/{member}")).json()["percentile"]
        assert (await http.get(f"{ARCADE}/percentile?at={told}")).json()["member"] == member
    await submit(http, ("m0", 0))
    assert (await http.get(f"{ARCADE}/count?min_score=3&max_score=5")).json()["count"] == 3
    assert (await http.get(f"{ARCADE}/count")).json()["count"] == 10


async def test_histograms(http: httpx.AsyncClient) -> None:
    empty = (await http.get(f"{ARCADE}/histogram")).json()
    assert (empty["total"], empty["buckets"]) == (0, [])
    await submit(http, *((f"m{number}", number) for number in range(11)))
    given = (await http.get(f"{ARCADE}/histogram?bounds=2,4,8")).json()
    assert (given["below"], given["above"], given["total"]) == (2, 2, 11)
    assert [bucket["count"] for bucket in given["buckets"]] == [2, 5]
    equal = (await http.get(f"{ARCADE}/histogram?buckets=5")).json()
    assert [bucket["count"] for bucket in equal["buckets"]] == [2, 2, 2, 2, 3]
    assert equal["buckets"][0] == {"min": 0, "max": 2, "count": 2}
    for wrong in ("bounds=1", "bounds=2,1", "bounds=1,inf", "buckets=0", "bounds=1,2&buckets=3"):
        assert (await http.get(f"{ARCADE}/histogram?{wrong}")).status_code == 422, wrong


async def test_a_score_with_an_id_counts_once(http: httpx.AsyncClient) -> None:
    await rules(http, keep="sum")
    entry = {"member": "ada", "score": 5, "id": "game-1"}
    first = (await http.post(f"{ARCADE}/scores", json=entry)).json()
    assert "repeated" not in first
    again = (await http.post(f"{ARCADE}/scores", json=entry)).json()
    assert (again["score"], again["changed"], again["repeated"]) == (5, False, True)
    body = {**entry, "boards": ["arcade", "other"]}
    both = (await http.post("/v1/scores", json=body)).json()["boards"]
    assert [(one["board"], one.get("repeated", False)) for one in both] == [
        ("arcade", True),
        ("other", False),
    ]


async def test_who_was_overtaken(http: httpx.AsyncClient) -> None:
    await submit(http, *((f"m{number}", number) for number in range(10)))
    entry = {"member": "m2", "score": 7.5, "overtaken": 3}
    done = (await http.post(f"{ARCADE}/scores", json=entry)).json()
    assert [(one["member"], one["rank"]) for one in done["overtaken"]] == [
        ("m7", 4),
        ("m6", 5),
        ("m5", 6),
    ]
    down = (await http.post(f"{ARCADE}/scores", json={**entry, "score": 1})).json()
    assert down["overtaken"] == []
    assert (await http.post(f"{ARCADE}/scores", json={**entry, "overtaken": 51})).status_code == 422
    rows = [{"member": f"x{number}", "score": 1} for number in range(201)]
    refused = await http.post(f"{ARCADE}/scores", json={"entries": rows, "overtaken": 50})
    assert refused.status_code == 413


async def test_many_scores_are_brought_in_all_or_not_at_all(http: httpx.AsyncClient) -> None:
    """More than one slice of them, the last one wrong."""
    await rules(http, max_score=5_000)
    rows: list[tuple[str, float]] = [(f"m{number:05}", number) for number in range(1_500)]
    entries = [{"member": member, "score": score} for member, score in (*rows, ("x", 5_001))]
    refused = await http.post(f"{ARCADE}/scores", json={"entries": entries})
    assert refused.status_code == 422
    assert refused.json()["detail"] == "the score 5001 is above max_score 5000"
    assert refused.json()["path"] == "$.entries[1500].score"
    assert (await http.get(ARCADE)).json()["size"] == 0
    await submit(http, *rows)
    assert (await http.get(ARCADE)).json()["size"] == 1_500


@pytest.mark.parametrize("name", [None, "i"])
async def test_which_score_is_refused_is_told(http: httpx.AsyncClient, name: str | None) -> None:
    """By its place among others, also if it is one with those before it that is out of bounds."""
    await rules(http, keep="sum", min_score=-0.5)
    given = [("ada", 1), ("bob", 2), ("ada", -1), ("ada", -0.75)]
    entries: list[dict[str, Any]] = [{"member": member, "score": score} for member, score in given]
    if name is not None:
        entries[0]["id"] = name
    for body in ({"entries": entries}, {"entries": entries[2:]}):
        refused = (await http.post(f"{ARCADE}/scores", json=body)).json()
        number = 3 if len(body["entries"]) == 4 else 0
        assert refused["path"] == f"$.entries[{number}].score"
    assert refused["detail"] == "the score -1 is below min_score -0.5"
    alone = (await http.post(f"{ARCADE}/scores", json=entries[2])).json()
    assert "path" not in alone
    assert (await http.get(ARCADE)).json()["size"] == 0


async def test_users_may_not_write_on_authoritative_boards() -> None:
    """Users come with tokens; whoever has a key, or may administer boards, writes on."""
    features = Embedded()
    await features.leaderboards.configure("arcade", Ranking(authoritative=True))
    user = Principal("ada", frozenset({"leaderboards:write"}), user="ada", is_user=True)
    admin = Principal("eve", frozenset({"leaderboards:*"}), user="eve", is_user=True)
    key = Principal("game", frozenset({"leaderboards:write"}), key="k1")
    for caller in (admin, key):
        await check_author(features.leaderboards, caller, "arcade", "other")
    await check_author(features.leaderboards, user, "other")
    with pytest.raises(Forbidden, match="arcade"):
        await check_author(features.leaderboards, user, "other", "arcade")
    for operation, inputs in (
        (leaderboards.submit_scores, (BoardPath("arcade"), NewScore("ada", 1))),
        (leaderboards.submit_score_to_boards, (NewScoreOnBoards("ada", 1, ["arcade"]),)),
        (leaderboards.remove_member, (MemberPath("arcade", "ada"), RemoveQuery())),
    ):
        call = Call((), b"", {}, b"", user)
        with pytest.raises(Forbidden):
            await operation.handler(features.leaderboards, *inputs, call)
