"""What else the service does, asked for over a WebSocket."""

from __future__ import annotations

import pytest

from realtime.ws.client import Client
from realtime.ws.door import Options
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.keys import Keys, guarded
from tests.ws.peer import Closed, Object, Peer


async def rpc(peer: Peer, method: str, data: object = None) -> Object:
    body = {"method": method} if data is None else {"method": method, "data": data}
    return await peer.ask(rpc=body)


async def test_one_connection_does_everything(any_house: House) -> None:
    peer = await any_house.peer()
    scored = await rpc(
        peer, "POST /v1/leaderboards/weekly/scores", {"member": "ada", "score": 1200}
    )
    assert scored["rpc"]["data"]["rank"] == 1
    top = await rpc(peer, "GET /v1/leaderboards/weekly/entries?limit=1")
    assert [entry["member"] for entry in top["rpc"]["data"]["entries"]] == ["ada"]
    assert (await rpc(peer, "POST /v1/counters/visits/add", {"by": 2}))["rpc"]["data"] == {
        "name": "visits",
        "value": 2,
    }


async def test_what_answers_nothing_is_an_empty_result(any_house: House) -> None:
    peer = await any_house.peer()
    await rpc(peer, "POST /v1/leaderboards/weekly/scores", {"member": "ada", "score": 1})
    assert await rpc(peer, "DELETE /v1/leaderboards/weekly/members/ada") == {"id": 3, "rpc": {}}


async def test_a_live_board_shows_what_was_submitted_on_the_same_connection(
    any_house: House,
) -> None:
    peer = await any_house.peer()
    await peer.subscribe("leaderboard:weekly")
    await peer.pushed()
    await rpc(peer, "POST /v1/leaderboards/weekly/scores", {"member": "ada", "score": 1})
    assert [entry["member"] for entry in (await peer.published())["entries"]] == ["ada"]


@pytest.mark.parametrize(
    ("method", "data", "number"),
    [
        ("POST /v1/counters/visits/add", {"by": "many"}, 107),
        ("POST /v1/counters/visits/add", {"unknown": 1}, 107),
        ("GET /v1/leaderboards/weekly/members/nobody", None, 102),
        ("GET /v1/nothing", None, 104),
        ("PUT /v1/counters/visits/add", {}, 104),
        ("", None, 104),
        ("GET", None, 104),
        ("GET /docs", None, 104),
        ("GET /v1/counters/%zz", None, 107),
        ("GET /v1/counters/\n", None, 104),
        ("POST /v1/batch", {"operations": []}, 104),
        ("GET /v1/admin/stats", None, 104),
    ],
)
async def test_what_http_refuses_is_refused_with_a_number(
    near_house: House, method: str, data: object, number: int
) -> None:
    peer = await near_house.peer()
    reply = await rpc(peer, method, data)
    assert reply["error"]["code"] == number, reply
    assert "temporary" not in reply["error"]


async def test_permissions_are_those_of_http(serve: Serve, keys: Keys) -> None:
    token = keys.issue("counter", "counters:write")
    house = await guarded(serve, keys)
    peer = await house.peer(token)
    assert "rpc" in await rpc(peer, "POST /v1/counters/visits/add", {"by": 1})
    refused = await rpc(peer, "GET /v1/counters/visits")
    assert refused["error"] == {"code": 103, "message": "this key lacks the scope counters:read"}


async def test_an_answer_that_does_not_fit_is_refused(serve: Serve) -> None:
    house = await serve(options=Options(queue_bytes=1024))
    peer = await house.peer()
    for number in range(20):
        member = {"member": f"{number:040}", "score": number}
        await rpc(peer, "POST /v1/leaderboards/b/scores", member)
    reply = await rpc(peer, "GET /v1/leaderboards/b/entries?limit=20")
    assert reply["error"]["code"] == 106
    assert "rpc" in await rpc(peer, "GET /v1/leaderboards/b/entries?limit=1")


async def test_a_message_closes_unless_somebody_wants_it(any_house: House) -> None:
    peer = await any_house.peer()
    peer.send_text('{"send":{"data":{"x":1}}}')
    assert await peer.hang_up() == Closed(3508, "not available")


async def test_a_message_goes_to_who_wants_it_who_may_answer(any_house: House) -> None:
    heard: list[tuple[str, bytes]] = []

    def on_message(client: Client, data: bytes) -> None:
        heard.append((client.id, data))
        client.message(b'{"you said":%b}' % data)

    object.__setattr__(any_house.door, "on_message", on_message)
    peer = await any_house.peer()
    peer.send_text('{"send":{"data":[1]}}')
    assert await peer.pushed() == {"message": {"data": {"you said": [1]}}}
    assert heard == [(peer.client, b"[1]")]


async def test_lines_are_loaded_and_boards_are_not_read_whole(any_house: House) -> None:
    peer = await any_house.peer()
    bulk = "/v1/leaderboards/weekly/bulk"
    loaded = await rpc(peer, f"POST {bulk}", {"member": "ada", "score": 1200})
    assert loaded["rpc"]["data"]["loaded"] == 1
    nothing = await rpc(peer, f"POST {bulk}", {})
    assert nothing["rpc"]["data"]["refused"] == 1
    assert (await rpc(peer, f"GET {bulk}"))["error"]["code"] == 107


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("entries?season=1&members=" + ",".join(f"m{number}" for number in range(50)), 102),
        ("entries?season=1&members=" + ",".join(f"m{number}" for number in range(51)), 106),
        ("histogram?s%65ason=1&buckets=51", 106),
        ("histogram?season=1&bounds=" + ",".join(map(str, range(60))), 106),
    ],
)
async def test_of_a_season_no_more_is_asked_than_others_can_wait_for(
    any_house: House, query: str, code: int
) -> None:
    """102: there is no such season; 106: too much."""
    peer = await any_house.peer()
    answer = await rpc(peer, f"GET /v1/leaderboards/weekly/{query}")
    assert answer["error"]["code"] == code


@pytest.mark.parametrize(("season", "code"), [("1", 102), ("previous", 102), ("al%6c", 106)])
async def test_members_are_removed_from_one_season_at_a_time(
    any_house: House, season: str, code: int
) -> None:
    peer = await any_house.peer()
    answer = await rpc(peer, f"DELETE /v1/leaderboards/weekly/members/ada?season={season}")
    assert answer["error"]["code"] == code
