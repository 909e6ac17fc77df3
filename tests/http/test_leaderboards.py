"""Leaderboards over HTTP: every row of the contract, with real requests."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

ARCADE = "/v1/leaderboards/arcade"

NO_SEASONS: dict[str, Any] = {
    "reset": None,
    "resets": None,
    "timezone": "UTC",
    "archives": 1,
    "archive_ttl": None,
    "views": [],
    "view_of": None,
}


async def submit(http: httpx.AsyncClient, **scores: float) -> None:
    entries = [{"member": member, "score": score} for member, score in scores.items()]
    answer = await http.post(f"{ARCADE}/scores", json={"entries": entries})
    assert answer.status_code == 200


def ranks(page: httpx.Response) -> list[tuple[int, str]]:
    return [(entry["rank"], entry["member"]) for entry in page.json()["entries"]]


async def test_a_board_never_configured_has_the_defaults(http: httpx.AsyncClient) -> None:
    assert (await http.get(ARCADE)).json() == {
        "board": "arcade",
        "size": 0,
        "order": "desc",
        "keep": "best",
        "ties": "member",
        "ranks": "ordinal",
        "max_entries": None,
        "min_score": None,
        "max_score": None,
        "entry_ttl": None,
        "authoritative": False,
        **NO_SEASONS,
    }


async def test_rules_are_answered_as_they_were_set(http: httpx.AsyncClient) -> None:
    rules = {
        "order": "asc",
        "keep": "sum",
        "ties": "first",
        "ranks": "dense",
        "max_entries": 2,
        "min_score": -1.5,
        "max_score": 1000,
        "entry_ttl": 86400,
        "authoritative": True,
    }
    done = await http.put(ARCADE, json=rules)
    assert done.status_code == 200
    assert done.json() == {"board": "arcade", "size": 0, **rules, **NO_SEASONS}
    assert (await http.get(ARCADE)).json() == done.json()


async def test_rules_left_out_are_the_defaults_again(http: httpx.AsyncClient) -> None:
    await http.put(ARCADE, json={"order": "asc"})
    assert (await http.put(ARCADE, json={})).json()["order"] == "desc"


@pytest.mark.parametrize(
    "rules",
    [
        {"ties": "last"},
        {"reset": "midnight"},
        {"archives": 1_001},
        {"entry_ttl": 0},
        {"keep": "worst"},
        {"max_entries": 0},
        {"min_score": 2, "max_score": 1},
    ],
)
async def test_rules_that_we_do_not_keep_are_refused(
    http: httpx.AsyncClient, rules: dict[str, Any]
) -> None:
    refused = await http.put(ARCADE, json=rules)
    assert refused.status_code == 422
    assert (await http.get(ARCADE)).json()["order"] == "desc"


async def test_a_score_is_answered_with_what_became_of_it(http: httpx.AsyncClient) -> None:
    first = await http.post(f"{ARCADE}/scores", json={"member": "ada", "score": 950})
    assert first.json() == {
        "member": "ada",
        "score": 950,
        "rank": 1,
        "previous_rank": None,
        "previous_score": None,
        "changed": True,
    }
    await submit(http, bob=1000)
    better = await http.post(f"{ARCADE}/scores", json={"member": "ada", "score": 1200.5})
    assert better.json() == {
        "member": "ada",
        "score": 1200.5,
        "rank": 1,
        "previous_rank": 2,
        "previous_score": 950,
        "changed": True,
    }
    worse = await http.post(f"{ARCADE}/scores", json={"member": "ada", "score": 1})
    assert worse.json()["score"] == 1200.5
    assert worse.json()["changed"] is False


async def test_whole_scores_are_shown_without_a_fraction(http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{ARCADE}/scores", json={"member": "ada", "score": 1200.0})
    assert '"score":1200,' in answer.text


async def test_several_scores_are_answered_in_order(http: httpx.AsyncClient) -> None:
    entries = [{"member": "ada", "score": 1}, {"member": "bob", "score": 2}]
    answer = await http.post(f"{ARCADE}/scores", json={"entries": entries})
    assert [entry["member"] for entry in answer.json()["entries"]] == ["ada", "bob"]
    assert [entry["rank"] for entry in answer.json()["entries"]] == [2, 1]


async def test_several_scores_are_all_or_nothing(http: httpx.AsyncClient) -> None:
    await http.put(ARCADE, json={"max_score": 10})
    entries = [{"member": "ada", "score": 1}, {"member": "bob", "score": 11}]
    refused = await http.post(f"{ARCADE}/scores", json={"entries": entries})
    assert refused.status_code == 422
    assert (await http.get(ARCADE)).json()["size"] == 0


async def test_ten_thousand_scores_are_one_request_and_no_more(http: httpx.AsyncClient) -> None:
    entries = [{"member": f"m{number}", "score": number} for number in range(10_000)]
    assert (await http.post(f"{ARCADE}/scores", json={"entries": entries})).status_code == 200
    entries.append({"member": "late", "score": 0})
    refused = await http.post(f"{ARCADE}/scores", json={"entries": entries})
    assert refused.status_code == 422
    assert refused.json()["path"] == "$.entries"


async def test_one_score_goes_to_several_boards_by_their_own_rules(
    http: httpx.AsyncClient,
) -> None:
    await http.put("/v1/leaderboards/total", json={"keep": "sum"})
    body = {"member": "ada", "score": 5, "boards": ["daily", "total"]}
    await http.post("/v1/scores", json=body)
    answer = await http.post("/v1/scores", json=body)
    assert [(one["board"], one["score"]) for one in answer.json()["boards"]] == [
        ("daily", 5),
        ("total", 10),
    ]


async def test_several_boards_take_a_score_all_or_not_at_all(http: httpx.AsyncClient) -> None:
    await http.put("/v1/leaderboards/strict", json={"max_score": 1})
    body = {"member": "ada", "score": 5, "boards": ["daily", "strict"]}
    assert (await http.post("/v1/scores", json=body)).status_code == 422
    assert (await http.get("/v1/leaderboards/daily")).json()["size"] == 0
    twice = await http.post("/v1/scores", json={**body, "boards": ["daily", "daily"]})
    assert twice.json()["path"] == "$.boards"


async def test_a_page_begins_where_it_is_told_to(http: httpx.AsyncClient) -> None:
    await submit(http, ada=5, bob=4, cid=3, dan=2, eve=1)
    page = await http.get(f"{ARCADE}/entries", params={"offset": 1, "limit": 2})
    assert page.json() == {
        "board": "arcade",
        "total": 5,
        "entries": [
            {"rank": 2, "member": "bob", "score": 4},
            {"rank": 3, "member": "cid", "score": 3},
        ],
    }
    assert len((await http.get(f"{ARCADE}/entries")).json()["entries"]) == 5


async def test_a_page_within_scores_counts_what_is_within(http: httpx.AsyncClient) -> None:
    await submit(http, ada=5, bob=4, cid=3, dan=2)
    page = await http.get(f"{ARCADE}/entries", params={"min_score": 3, "max_score": 4})
    assert page.json()["total"] == 2
    assert ranks(page) == [(2, "bob"), (3, "cid")]
    assert ranks(await http.get(f"{ARCADE}/entries?min_score=4.5")) == [(1, "ada")]


async def test_chosen_members_have_their_ranks_among_all(http: httpx.AsyncClient) -> None:
    entries = [{"member": "a,b", "score": 3}, {"member": "c d", "score": 2}]
    await http.post(f"{ARCADE}/scores", json={"entries": entries})
    await submit(http, ada=5, bob=1)
    page = await http.get(f"{ARCADE}/entries?members=bob,a%2Cb,c+d,nobody")
    assert ranks(page) == [(2, "a,b"), (3, "c d"), (4, "bob")]
    refused = await http.get(f"{ARCADE}/entries?members=bob&offset=1")
    assert refused.status_code == 422


async def test_metadata_is_kept_with_the_score_that_counts(http: httpx.AsyncClient) -> None:
    await submit(http, bob=1)
    score = {"member": "ada", "score": 5, "metadata": {"level": [1, {"a": None}]}}
    await http.post(f"{ARCADE}/scores", json=score)
    page = await http.get(f"{ARCADE}/entries?metadata=true")
    assert [entry["metadata"] for entry in page.json()["entries"]] == [score["metadata"], None]
    assert "metadata" not in (await http.get(f"{ARCADE}/entries")).json()["entries"][0]
    assert (await http.get(f"{ARCADE}/members/ada")).json()["metadata"] == score["metadata"]


async def test_a_member_learns_rank_and_percentile(http: httpx.AsyncClient) -> None:
    await submit(http, ada=4, bob=3, cid=2, dan=1)
    assert (await http.get(f"{ARCADE}/members/bob")).json() == {
        "member": "bob",
        "score": 3,
        "rank": 2,
        "percentile": 75.0,
        "total": 4,
    }
    assert (await http.get(f"{ARCADE}/members/nobody")).status_code == 404


async def test_around_is_a_full_page_at_the_ends_too(http: httpx.AsyncClient) -> None:
    await submit(http, ada=5, bob=4, cid=3, dan=2, eve=1)
    around = f"{ARCADE}/members/{{}}/around?radius=1"
    assert ranks(await http.get(around.format("cid"))) == [(2, "bob"), (3, "cid"), (4, "dan")]
    assert ranks(await http.get(around.format("ada"))) == [(1, "ada"), (2, "bob"), (3, "cid")]
    assert ranks(await http.get(around.format("eve"))) == [(3, "cid"), (4, "dan"), (5, "eve")]
    assert (await http.get(around.format("nobody"))).status_code == 404


async def test_deleting_leaves_nothing_and_may_be_repeated(http: httpx.AsyncClient) -> None:
    await http.put(ARCADE, json={"order": "asc"})
    await submit(http, ada=1, bob=2)
    for _ in range(2):
        assert (await http.delete(f"{ARCADE}/members/ada")).status_code == 204
    assert ranks(await http.get(f"{ARCADE}/entries")) == [(1, "bob")]
    for _ in range(2):
        assert (await http.delete(ARCADE)).status_code == 204
    assert (await http.get(ARCADE)).json()["order"] == "desc"


async def test_a_name_may_hold_anything_that_is_no_control_character(
    http: httpx.AsyncClient,
) -> None:
    board, member = "a/b ünï%2F?#", "{x}: \u200bé/\\"
    path = "/v1/leaderboards/a%2Fb%20%C3%BCn%C3%AF%252F%3F%23"
    await http.post(f"{path}/scores", json={"member": member, "score": 1})
    assert (await http.get(path)).json()["board"] == board
    found = await http.get(f"{path}/members/%7Bx%7D%3A%20%E2%80%8B%C3%A9%2F%5C")
    assert found.json()["member"] == member
