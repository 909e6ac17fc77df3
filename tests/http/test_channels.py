"""Channels over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from realtime.backends.base import ClientInfo, History, Position, Publication
from tests.http.conftest import House

NEWS = "/v1/channels/news/messages"


async def test_a_publication_has_a_position_and_is_in_the_history(
    http: httpx.AsyncClient,
) -> None:
    first = await http.post(NEWS, json={"data": {"text": "hello"}})
    second = await http.post(NEWS, json={"data": None})
    assert (first.json()["offset"], second.json()["offset"]) == (1, 2)
    assert first.json()["epoch"] == second.json()["epoch"] != ""
    assert (await http.get(NEWS)).json() == {
        "channel": "news",
        "offset": 2,
        "epoch": second.json()["epoch"],
        "publications": [{"offset": 1, "data": {"text": "hello"}}, {"offset": 2, "data": None}],
    }


async def test_subscribers_get_one_line_whatever_was_sent(house: House) -> None:
    heard: list[bytes] = []
    channels = house.services.backend.channels
    channels.listen(lambda _, publication, __: heard.append(publication.data))
    await channels.subscribe(b"news")
    body = '{"data": {"a" : [1.50,\n 12345678901234567890123],\t"b": "x  \\n"}}'
    done = await house.http.post(NEWS, content=body.encode())
    assert done.status_code == 200
    await house.until(lambda: bool(heard))
    assert heard == [b'{"a":[1.50,12345678901234567890123],"b":"x  \\n"}']


async def test_history_goes_on_from_a_position(http: httpx.AsyncClient) -> None:
    for number in range(5):
        position = (await http.post(NEWS, json={"data": number})).json()
    epoch = position["epoch"]
    page = await http.get(NEWS, params={"since": 2, "epoch": epoch, "limit": 2})
    assert [one["data"] for one in page.json()["publications"]] == [2, 3]
    assert page.json()["offset"] == 5
    assert (await http.get(NEWS, params={"limit": 0})).json()["publications"] == []


async def test_offsets_of_another_epoch_are_a_conflict(http: httpx.AsyncClient) -> None:
    await http.post(NEWS, json={"data": 1})
    assert (await http.get(NEWS, params={"since": 0, "epoch": "other"})).status_code == 409
    assert (await http.get(NEWS, params={"epoch": "other"})).status_code == 409


async def test_offsets_that_a_new_epoch_inherited_go_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover: who had seen no more than the new master inherited reads on."""

    async def promoted(*_: object, **__: object) -> History:
        return History(Position(9, "new"), [Publication(9, b"1")], Position(7, "old"))

    monkeypatch.setattr(house.services.backend.channels, "history", promoted)
    page = await house.http.get(NEWS, params={"since": 7, "epoch": "old"})
    assert (page.json()["offset"], page.json()["epoch"]) == (9, "new")
    assert (await house.http.get(NEWS, params={"epoch": "old"})).status_code == 200
    assert (await house.http.get(NEWS, params={"since": 8, "epoch": "old"})).status_code == 409


async def test_a_publication_says_how_much_is_kept(house: House) -> None:
    history = {"size": 2, "ttl": 10}
    for number in range(3):
        await house.http.post(NEWS, json={"data": number, "history": history})
    page = (await house.http.get(NEWS)).json()
    assert [one["offset"] for one in page["publications"]] == [2, 3]
    house.advance(11)
    assert (await house.http.get(NEWS)).json() == {**page, "publications": []}


async def test_a_channel_without_history_has_no_positions(http: httpx.AsyncClient) -> None:
    done = await http.post(NEWS, json={"data": 1, "history": {"size": 0, "ttl": 1}})
    assert done.json() == {"offset": 0, "epoch": "", "delivered": True}


async def test_a_broadcast_goes_to_all_or_to_none(http: httpx.AsyncClient) -> None:
    done = await http.post("/v1/messages", json={"channels": ["news", "sport"], "data": 1})
    assert [(one["channel"], one["offset"]) for one in done.json()["results"]] == [
        ("news", 1),
        ("sport", 1),
    ]
    refused = await http.post("/v1/messages", json={"channels": ["news", "a\nb"], "data": 2})
    assert refused.status_code == 422
    assert (await http.get(NEWS)).json()["offset"] == 1


@pytest.mark.parametrize("data", [{}, {"data": 1, "history": {"size": 1}}, {"message": 1}])
async def test_a_publication_without_data_is_refused(
    http: httpx.AsyncClient, data: dict[str, Any]
) -> None:
    assert (await http.post(NEWS, json=data)).status_code == 422


async def test_only_the_service_publishes_live_boards(http: httpx.AsyncClient) -> None:
    live = "/v1/channels/leaderboard%3Aarcade/messages"
    assert (await http.post(live, json={"data": 1})).status_code == 403
    body = {"channels": ["news", "leaderboard:arcade"], "data": 1}
    assert (await http.post("/v1/messages", json=body)).status_code == 403
    assert (await http.get(NEWS)).json()["publications"] == []


async def test_who_is_there_and_where(house: House) -> None:
    channels = house.services.channels
    await channels.join("news", ClientInfo("c1", "ada", b'{"name":"Ada"}'))
    await channels.join("news", ClientInfo("c2", "bob"))
    await channels.join("b/ü", ClientInfo("c1", "ada"))
    active = await house.http.get("/v1/channels")
    assert active.json()["channels"] == [
        {"channel": "b/ü", "clients": 1},
        {"channel": "news", "clients": 2},
    ]
    presence = await house.http.get("/v1/channels/news/presence")
    assert presence.json()["clients"] == [
        {"client": "c1", "user": "ada", "info": {"name": "Ada"}},
        {"client": "c2", "user": "bob"},
    ]
    assert (await house.http.get("/v1/channels/empty/presence")).json()["clients"] == []


async def test_a_user_with_several_connections_is_one_user(house: House) -> None:
    for client, user in (("c1", "ada"), ("c2", "ada"), ("c3", "bob"), ("c4", "")):
        await house.services.channels.join("news", ClientInfo(client, user, None, b"1"))
    presence = (await house.http.get("/v1/channels/news/presence")).json()
    assert presence["users"] == {"ada": 2, "bob": 1}
    assert (presence["num_clients"], presence["num_users"]) == (4, 2)
    assert {one["chan_info"] for one in presence["clients"]} == {1}


async def test_what_was_published_with_a_key_is_not_published_again(
    http: httpx.AsyncClient,
) -> None:
    first = await http.post(NEWS, json={"data": 1, "idempotency_key": "k"})
    again = await http.post(NEWS, json={"data": 1, "idempotency_key": "k"})
    assert first.json()["delivered"] is True
    assert again.json() == {**first.json(), "delivered": False}
    both = {"channels": ["news", "sport"], "data": 1, "idempotency_key": "k"}
    results = (await http.post("/v1/messages", json=both)).json()["results"]
    assert [(one["offset"], one["delivered"]) for one in results] == [(1, False), (1, True)]
    assert len((await http.get(NEWS)).json()["publications"]) == 1


async def test_what_is_out_of_date_is_not_published(http: httpx.AsyncClient) -> None:
    async def publish(version: int, epoch: str = "") -> tuple[int, bool]:
        body = {"data": version, "version": version, "version_epoch": epoch}
        made = (await http.post(NEWS, json=body)).json()
        return made["offset"], made["delivered"]

    assert await publish(3) == (1, True)
    assert await publish(2) == (1, False)
    assert await publish(2, "another") == (2, True)


async def test_tags_stay_with_the_publication(http: httpx.AsyncClient) -> None:
    tags = {"kind": "order", "é": '"'}
    await http.post(NEWS, json={"data": 1, "tags": tags})
    assert (await http.get(NEWS)).json()["publications"][0]["tags"] == tags


@pytest.mark.parametrize(
    "more",
    [
        {"tags": {"a": 1}},
        {"tags": {str(n): "" for n in range(33)}},
        {"idempotency_key": ""},
        {"idempotency_key": "a\nb"},
        {"version": -1},
        {"version": 2**53},
        {"version": 1, "version_epoch": "x" * 64},
    ],
    ids=str,
)
async def test_a_wish_out_of_bounds_is_refused(
    http: httpx.AsyncClient, more: dict[str, Any]
) -> None:
    assert (await http.post(NEWS, json={"data": 1, **more})).status_code == 422
    assert (await http.get(NEWS)).json()["offset"] == 0


async def test_a_publication_over_its_bound_is_refused(http: httpx.AsyncClient) -> None:
    most = "x" * (65_536 - 2)
    assert (await http.post(NEWS, json={"data": most})).status_code == 200
    refused = await http.post(NEWS, json={"data": most + "x"})
    assert refused.status_code == 413
    tagged = {"data": most[:-9], "tags": {"a": "bcd"}}
    assert (await http.post(NEWS, json=tagged)).status_code == 413
    both = {"channels": ["news", "sport"], "data": most + "x"}
    assert (await http.post("/v1/messages", json=both)).status_code == 413
    assert (await http.get(NEWS)).json()["offset"] == 1


async def test_the_history_tells_of_the_client_that_published(house: House) -> None:
    await house.services.channels.publish("news", b"1", info=b'{"user":"ada"}')
    page = (await house.http.get(NEWS)).json()
    assert page["publications"] == [{"offset": 1, "data": 1, "info": {"user": "ada"}}]


async def test_a_history_is_removed_and_its_position_stays(http: httpx.AsyncClient) -> None:
    made = (await http.post(NEWS, json={"data": 1})).json()
    for _ in range(2):
        assert (await http.delete(NEWS)).status_code == 204
    kept = (await http.get(NEWS)).json()
    assert kept["publications"] == []
    assert (kept["offset"], kept["epoch"]) == (made["offset"], made["epoch"])
    assert (await http.post(NEWS, json={"data": 2})).json()["offset"] == 2
