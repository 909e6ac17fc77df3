"""Whole boards in and out, as lines of JSON, over each store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence

import httpx
import pytest

from realtime.backends.base import BackendUnavailable, Submission, Submit
from realtime.errors import Conflict, Gone
from realtime.http.bulk import MAX_ERRORS, MAX_LINE
from realtime.services.bulk import PIECE, UNDER_WAY, Bulk
from tests.http.conftest import House

ARCADE = "/v1/leaderboards/arcade"
BULK = f"{ARCADE}/bulk"


def lines(entries: Iterable[object]) -> bytes:
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def numbered(count: int) -> list[dict[str, object]]:
    return [{"member": f"m{number:05}", "score": number} for number in range(count)]


async def test_what_was_loaded_is_read_in_the_order_of_ranks(http: httpx.AsyncClient) -> None:
    count = 3 * PIECE * UNDER_WAY + 7
    done = await http.post(BULK, content=lines(numbered(count)))
    assert done.status_code == 200
    assert done.json() == {
        "loaded": count,
        "changed": count,
        "refused": 0,
        "next_line": count + 1,
        "errors": [],
    }
    read = await http.get(BULK)
    assert read.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in read.text.splitlines()] == numbered(count)[::-1]


@pytest.mark.parametrize("rules", [{}, {"order": "asc", "ties": "member", "ranks": "competition"}])
async def test_a_copy_of_a_board_is_equal(
    http: httpx.AsyncClient, rules: dict[str, object]
) -> None:
    """Ties and metadata included."""
    for board in ("one", "other"):
        await http.put(f"/v1/leaderboards/{board}", json=rules)
    entries = [
        {"member": f"ä{number}", "score": number % 7, "metadata": {"n": number}}
        for number in range(PIECE + 50)
    ]
    await http.post("/v1/leaderboards/one/bulk", content=lines(entries))
    dumped = (await http.get("/v1/leaderboards/one/bulk")).content
    await http.post("/v1/leaderboards/other/bulk", content=dumped)
    query = "limit=1000&metadata=true"
    one, other = [
        (await http.get(f"/v1/leaderboards/{board}/entries?{query}")).json()["entries"]
        for board in ("one", "other")
    ]
    assert one == other
    assert len(one) == len(entries)


async def test_lines_that_are_wrong_do_not_stop_the_others(http: httpx.AsyncClient) -> None:
    await http.put(ARCADE, json={"min_score": 0})
    body = b"\n".join(
        [
            b'{"member":"ada","score":1}',
            b"not json",
            b'{"member":"bob","score":-1}',
            b"",
            b'{"member":"","score":1}',
            b'{"member":"cy","score":2,"colour":1}',
            b'{"member":"dan","score":2,"metadata":"\xff"}',
            b'{"member":"eve","score":' + b" " * MAX_LINE + b"2}",
            b'{"member":"fay","score":2,"metadata":' + b"[" * 100 + b"]" * 100 + b"}",
            b'{"member":"gus","score":2,"metadata":"' + b"x" * 5_000 + b'"}',
            b'  {"member":"zoe","score":3}\r',
        ]
    )
    done = (await http.post(BULK, content=body)).json()
    assert (done["loaded"], done["changed"], done["refused"]) == (2, 2, 8)
    assert [error["line"] for error in done["errors"]] == [2, 3, 5, 6, 7, 8, 9, 10]
    assert done["next_line"] == 12
    read = await http.get(BULK)
    assert [json.loads(line)["member"] for line in read.text.splitlines()] == ["zoe", "ada"]


async def test_of_many_refusals_the_first_are_named(http: httpx.AsyncClient) -> None:
    await http.put(ARCADE, json={"max_score": 99})
    done = (await http.post(BULK, content=lines(numbered(2 * PIECE)))).json()
    assert (done["loaded"], done["refused"]) == (100, 2 * PIECE - 100)
    assert [error["line"] for error in done["errors"]] == list(range(101, 101 + MAX_ERRORS))


async def test_lines_are_counted_from_where_the_caller_says(http: httpx.AsyncClient) -> None:
    done = await http.post(BULK, params={"first_line": 1_000}, content=b"x\n" * 2)
    assert [error["line"] for error in done.json()["errors"]] == [1_000, 1_001]
    assert done.json()["next_line"] == 1_002


async def test_the_last_of_a_members_scores_counts_on_a_board_that_keeps_it(
    http: httpx.AsyncClient,
) -> None:
    await http.put(ARCADE, json={"keep": "latest"})
    count = 2 * PIECE * UNDER_WAY
    body = lines({"member": "ada", "score": number} for number in range(count))
    await http.post(BULK, content=body)
    assert (await http.get(f"{ARCADE}/members/ada")).json()["score"] == count - 1


async def test_a_body_may_be_longer_than_any_other(http: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        for number in range(20):
            yield b" " * 100_000 + b"\n" + lines([{"member": f"m{number}", "score": 1}])

    done = (await http.post(BULK, content=body())).json()
    assert (done["loaded"], done["refused"]) == (20, 20)
    assert (await http.get(ARCADE)).json()["size"] == 20


async def test_an_empty_board_is_no_line(http: httpx.AsyncClient) -> None:
    read = await http.get(BULK)
    assert (read.status_code, read.content) == (200, b"")
    assert (await http.post(BULK)).json()["loaded"] == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "Application/X-NDJSON; charset=utf-8"}, 200),
        ({"content-type": "application/jsonl"}, 200),
        ({"idempotency-key": "a"}, 422),
        ({"content-encoding": "gzip"}, 415),
        ({"content-encoding": "Identity"}, 200),
    ],
)
async def test_headers_that_would_mislead_are_refused(
    http: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    done = await http.post(BULK, content=lines(numbered(1)), headers=headers)
    assert done.status_code == status


async def test_a_name_that_is_none_is_refused_before_anything_is_sent(
    http: httpx.AsyncClient,
) -> None:
    assert (await http.get("/v1/leaderboards/%01/bulk")).status_code == 422
    assert (await http.post("/v1/leaderboards/%01/bulk")).status_code == 422


async def test_a_board_that_is_deleted_while_it_is_read_breaks_off(house: House) -> None:
    await house.http.post(BULK, content=lines(numbered(2 * PIECE)))
    bulk = Bulk(house.services.backend, house.services.leaderboards)
    pages = bulk.pages("arcade")
    assert len(await anext(pages)) == PIECE
    house.advance(1)
    await house.http.delete(ARCADE)
    with pytest.raises(Gone):
        await anext(pages)


@pytest.mark.parametrize("rules", [{"order": "asc"}, {"ties": "first"}])
async def test_a_board_that_is_turned_while_it_is_read_breaks_off(
    house: House, rules: dict[str, str]
) -> None:
    """Going on from there would bring what has been read, and not what has not."""
    await house.http.post(BULK, content=lines(numbered(2 * PIECE)))
    bulk = Bulk(house.services.backend, house.services.leaderboards)
    pages = bulk.pages("arcade")
    assert len(await anext(pages)) == PIECE
    await house.http.put(ARCADE, json=rules)
    with pytest.raises(Conflict):
        await anext(pages)


async def test_sums_with_bounds_go_by_the_order_of_lines(http: httpx.AsyncClient) -> None:
    """A line may be refused, or not, for those before it: also when they are of another piece,
    and that one has a line which is refused."""
    await http.put(ARCADE, json={"keep": "sum", "min_score": 0})
    first: list[dict[str, object]] = [{"member": "bob", "score": -1}, *numbered(PIECE - 2)]
    first.append({"member": "ada", "score": 10})
    done = await http.post(BULK, content=lines([*first, {"member": "ada", "score": -4}]))
    assert [error["line"] for error in done.json()["errors"]] == [1]
    assert (await http.get(f"{ARCADE}/members/ada")).json()["score"] == 6


async def test_a_load_that_breaks_off_says_how_far_it_came(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards, done = house.services.leaderboards, 2 * PIECE * UNDER_WAY
    submit = boards.submit

    async def fail(board: str, entries: Sequence[Submit]) -> list[Submission]:
        if entries[0].score >= done:
            raise BackendUnavailable
        return await submit(board, entries)

    monkeypatch.setattr(boards, "submit", fail)
    body = lines(numbered(done + PIECE))
    failed = await house.http.post(BULK, content=body, params={"first_line": 11})
    assert (failed.status_code, failed.json()["detail"]) == (
        503,
        f"the store does not answer; the lines before {done + 11} were brought in",
    )
    assert (await house.http.get(ARCADE)).json()["size"] == done
    at_once = await house.http.post(BULK, content=lines(numbered(done + 1)[-1:]))
    assert at_once.json()["detail"] == "the store does not answer"


async def test_empty_lines_let_others_have_their_turn(house: House) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(turn())
    done = await house.http.post(BULK, content=b"\n" * 100 * PIECE * UNDER_WAY)
    other.cancel()
    assert (done.json()["loaded"], done.json()["refused"]) == (0, 0)
    assert turns >= 100


async def test_a_batch_loads_and_does_not_dump(http: httpx.AsyncClient) -> None:
    operations = [
        {"method": "POST", "path": BULK, "body": {"member": "ada", "score": 1}},
        {"method": "GET", "path": BULK},
    ]
    done = (await http.post("/v1/batch", json={"operations": operations})).json()["results"]
    assert [one["status"] for one in done] == [200, 409]
    assert done[0]["body"]["loaded"] == 1


async def test_a_line_with_an_id_counts_once(http: httpx.AsyncClient) -> None:
    await http.put(ARCADE, json={"keep": "sum"})
    body = lines({"member": "ada", "score": 1, "id": f"game-{number}"} for number in range(600))
    first, again = [(await http.post(BULK, content=body)).json() for _ in range(2)]
    assert (first["changed"], again["changed"]) == (600, 0)
    assert (await http.get(f"{ARCADE}/members/ada")).json()["score"] == 600
