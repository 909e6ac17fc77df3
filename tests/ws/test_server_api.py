"""The server API of Centrifugo, and our own of connections, upon clients that are connected."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from realtime.services.namespaces import Audience, Namespace, Namespaces
from realtime.ws.door import Options
from tests.redis.servers import RedisServer
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.keys import Keys, token, with_tokens
from tests.ws.peer import Closed, Object, Peer

NOW = 1_700_000_000
"""Where the clock of a house begins."""

PATIENCE = 20.0

NAMESPACES = Namespaces(
    Namespace(),
    [Namespace(name="orders", prefix="orders.", subscribe=Audience.NOBODY)],
    strict=True,
)

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def key(tmp_path: Path) -> str:
    return Keys(tmp_path / "keys.json").issue("admin", "*")


@pytest.fixture
async def admitted(serve: Serve, key: str, tmp_path: Path) -> House:
    """A house for users with tokens, and for one key that may do everything."""
    return await with_tokens(serve, tmp_path / "keys.json", options=Options(ping_interval=0))


def door(house: House, key: str) -> httpx.AsyncClient:
    """The HTTP door of the house."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{house.port}",
        headers={"authorization": f"Bearer {key}"},
        timeout=PATIENCE,
    )


async def call(house: House, key: str, method: str, /, **body: Any) -> Object:
    """What a method answers."""
    async with door(house, key) as http:
        answer = await http.post(f"/api/{method}", json=body)
    assert answer.status_code == 200, answer.text
    said: Object = answer.json()
    return said


@pytest.fixture
async def ask(admitted: House, key: str) -> AsyncIterator[Ask]:
    """``await ask(method, **body)`` answers the result of a method."""

    async def result(method: str, /, **body: Any) -> Any:
        said = await call(admitted, key, method, **body)
        assert set(said) == {"result"}, said
        return said["result"]

    yield result


async def closed(peer: Peer) -> Closed:
    """How the service closed the connection; what it sent before is passed over."""
    while True:
        try:
            await peer.receive()
        except ConnectionError:
            assert peer.closed is not None
            return peer.closed


async def untouched(peer: Peer) -> None:
    """Assert that the connection lives, and that nothing was said to it."""
    number = peer.send(presence_stats={"channel": "news"})
    assert (await peer.receive())["id"] == number


# subscribe and unsubscribe


async def test_a_user_is_subscribed_on_every_connection(admitted: House, ask: Ask) -> None:
    peers = [await admitted.peer(token("42")) for _ in range(2)]
    other = await admitted.peer(token("43"))
    await ask("subscribe", user="42", channel="vip", data={"hi": 1}, info={"seat": 7})
    for peer in peers:
        pushed = await peer.pushed()
        assert pushed["channel"] == "vip"
        assert pushed["subscribe"]["data"] == {"hi": 1}
    present = (await ask("presence", channel="vip"))["presence"]
    assert set(present) == {peer.client for peer in peers}
    assert present[peers[0].client] == {
        "user": "42",
        "client": peers[0].client,
        "chan_info": {"seat": 7},
    }
    assert await ask("presence_stats", channel="vip") == {"num_clients": 2, "num_users": 1}
    assert await ask("channels", pattern="v*") == {"channels": {"vip": {"num_clients": 2}}}
    await ask("publish", channel="vip", data=1)
    for peer in peers:
        assert (await peer.pushed())["pub"]["data"] == 1
    await untouched(other)


async def test_one_connection_is_subscribed_from_a_position_until_an_instant(
    admitted: House, ask: Ask
) -> None:
    first = await ask("publish", channel="vip", data=1)
    await ask("publish", channel="vip", data=2)
    peer, other = [await admitted.peer(token("42")) for _ in range(2)]
    await ask(
        "subscribe",
        user="42",
        client=peer.client,
        channel="vip",
        recover_since=first,
        expire_at=NOW + 100,
        b64data="eyJoaSI6MX0=",
        b64info="Nw==",
        override={"presence": {"value": False}},
    )
    result = (await peer.pushed())["subscribe"]
    assert [one["data"] for one in result["publications"]] == [2]
    assert (result["expires"], result["ttl"], result["data"]) == (True, 100, {"hi": 1})
    assert await ask("presence", channel="vip") == {"presence": {}}
    await untouched(other)


async def test_a_user_is_unsubscribed(admitted: House, ask: Ask) -> None:
    peer = await admitted.peer(token("42", channels=["news", "sport"]))
    await ask("unsubscribe", user="42", channel="news")
    assert await peer.pushed() == {
        "channel": "news",
        "unsubscribe": {"code": 2000, "reason": "server unsubscribe"},
    }
    await untouched(peer)  # what is asked now is answered when that is done
    assert await ask("channels") == {"channels": {"sport": {"num_clients": 1}}}


# disconnect


async def test_a_user_is_sent_away_but_for_the_connections_that_are_spared(
    admitted: House, ask: Ask
) -> None:
    gone, spared = [await admitted.peer(token("42")) for _ in range(2)]
    await ask("disconnect", user="42", whitelist=[spared.client])
    assert await closed(gone) == Closed(3503, "force disconnect")
    await untouched(spared)


async def test_the_service_says_why(admitted: House, ask: Ask) -> None:
    peer = await admitted.peer(token("42"))
    await ask("disconnect", user="42", disconnect={"code": 4001, "reason": "come back"})
    assert await closed(peer) == Closed(4001, "come back")


async def test_zero_and_empty_is_left_out(admitted: House, ask: Ask) -> None:
    """As the stock Python client says what its user does not."""
    peer = await admitted.peer(token("42"))
    await ask("disconnect", user="42", disconnect={"code": 0, "reason": ""})
    assert await closed(peer) == Closed(3503, "force disconnect")


async def test_one_connection_is_sent_away_if_it_is_the_users(admitted: House, ask: Ask) -> None:
    peer, other = [await admitted.peer(token("42")) for _ in range(2)]
    await ask("disconnect", user="43", client=peer.client)
    await untouched(peer)
    await ask("disconnect", user="42", client=peer.client)
    assert (await closed(peer)).code == 3503
    await untouched(other)


async def test_a_stream_is_known_by_its_session(admitted: House, ask: Ask) -> None:
    connect = {"connect": {"token": token("42")}, "id": 1}
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{admitted.port}", timeout=PATIENCE) as http,
        http.stream("POST", "/connection/http_stream", json=connect) as answer,
    ):
        lines = answer.aiter_lines()
        connected = httpx.Response(200, text=await anext(lines)).json()
        await ask("disconnect", session=connected["connect"]["session"])
        last = [line async for line in lines][-1]
    assert '"disconnect":{"code":3503' in last


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("disconnect", {}),
        ("disconnect", {"user": ""}),
        ("disconnect", {"user": "42", "disconnect": {"code": 1000, "reason": "bye"}}),
        ("disconnect", {"user": "42", "disconnect": {"code": 4001}}),
        ("disconnect", {"user": "42", "disconnect": {"code": 4001, "reason": "{}"}}),
        ("disconnect", {"user": "42", "disconnect": {"code": 4001, "reason": "x" * 124}}),
        ("disconnect", {"user": "42", "disconnect": {"reconnect": True}}),
        ("disconnect", {"user": "42", "whitelist": ["c"] * 1_001}),
        ("disconnect", {"user": "4" * 256}),
        ("disconnect", {"user": "42", "client": "a\nb"}),
        ("subscribe", {"user": "42"}),
        ("subscribe", {"channel": "news"}),
        ("subscribe", {"user": "42", "channel": "x" * 256}),
        ("subscribe", {"user": "42", "channel": "news", "info": 1, "b64info": "Nw=="}),
        ("subscribe", {"user": "42", "channel": "news", "source": 1}),
        ("unsubscribe", {"channel": "news"}),
        ("refresh", {"expire_at": NOW + 100}),
        ("refresh", {"user": "42", "expired": True, "expire_at": NOW + 100}),
        ("refresh", {"user": "42", "info": {}}),
    ],
)
async def test_what_cannot_be_done_is_refused_and_not_done(
    admitted: House, key: str, method: str, body: dict[str, Any]
) -> None:
    peer = await admitted.peer(token("42"))
    said = await call(admitted, key, method, **body)
    assert said["error"]["code"] == 107, said
    await untouched(peer)
    assert not await admitted.services.channels.active()


async def test_a_channel_that_there_must_not_be(serve: Serve, key: str, tmp_path: Path) -> None:
    house = await with_tokens(serve, tmp_path / "keys.json", namespaces=NAMESPACES)
    peer = await house.peer(token("42"))
    said = await call(house, key, "subscribe", user="42", channel="news")
    assert said["error"]["code"] == 102
    assert "result" in await call(house, key, "subscribe", user="42", channel="orders.1")
    assert (await peer.pushed())["channel"] == "orders.1"


# refresh


async def test_a_connection_ends_when_it_is_said(admitted: House, ask: Ask) -> None:
    peer = await admitted.peer(token("42", exp=NOW + 50))
    await ask("refresh", user="42", expire_at=NOW + 200)
    admitted.pass_time(100)
    await untouched(peer)
    admitted.pass_time(150)
    assert (await closed(peer)).code == 3005


async def test_a_connection_need_not_end_at_all(admitted: House, ask: Ask) -> None:
    peer = await admitted.peer(token("42", exp=NOW + 50))
    await ask("refresh", user="42")
    admitted.pass_time(100)
    await untouched(peer)


async def test_the_end_may_be_as_far_away_as_can_be_said(admitted: House, ask: Ask) -> None:
    peer = await admitted.peer(token("42"))
    await ask("refresh", user="42", expire_at=2**40)
    await ask("subscribe", user="42", channel="vip", expire_at=2**40)
    assert (await peer.pushed())["subscribe"]["expires"] is True
    admitted.pass_time(1_000)
    await untouched(peer)


@pytest.mark.parametrize("body", [{"expired": True}, {"expire_at": NOW - 1}, {"expire_at": NOW}])
async def test_what_has_expired_is_closed_at_once(
    admitted: House, ask: Ask, body: dict[str, Any]
) -> None:
    peer = await admitted.peer(token("42"))
    await ask("refresh", user="42", **body)
    assert (await closed(peer)).code == 3005


# info


async def test_the_node_says_how_it_does(admitted: House, ask: Ask) -> None:
    for user in ("42", "42", "43"):
        await admitted.peer(token(user, channels=["news", f"of{user}"]))
    await ask("publish", channel="news", data=1)
    await admitted.until(lambda: admitted.hub.publications == 1)  # it has come by its store
    (node,) = (await ask("info"))["nodes"]
    assert node["uid"] == admitted.door.node
    assert node["name"].startswith("node-")
    assert node["version"]
    counts = ("num_clients", "num_users", "num_channels", "num_subs")
    assert [node[name] for name in counts] == [3, 2, 3, 6]
    assert node["uptime"] == int(node["metrics"]["interval"])
    assert node["metrics"]["items"]["publications"] == 1


# Our own contract


async def test_who_is_connected_is_listed(admitted: House, key: str) -> None:
    peers = [await admitted.peer(token("42", channels=["news"])) for _ in range(2)]
    admitted.pass_time(1)
    other = await admitted.dial()
    connect = {"token": token("43"), "name": "js", "version": "5.4.0"}
    await other.ask(connect=connect)
    async with door(admitted, key) as http:
        every = (await http.get("/v1/admin/clients")).json()
        assert every["total"] == 3
        assert [one["user"] for one in every["clients"]] == ["42", "42", "43"]
        assert every["clients"][0] == {
            "client": peers[0].client,
            "user": "42",
            "name": "",
            "version": "",
            "transport": "websocket",
            "since": "2023-11-14T22:13:20Z",
            "channels": ["news"],
        }
        last = (await http.get("/v1/admin/clients?offset=2&limit=1")).json()
        (one,) = last["clients"]
        assert (last["total"], one["name"], one["version"]) == (3, "js", "5.4.0")
        assert one["since"] == "2023-11-14T22:13:21Z"
        theirs = (await http.get("/v1/admin/clients?user=42&limit=1")).json()
        assert (theirs["total"], len(theirs["clients"])) == (2, 1)
        assert (await http.get("/v1/admin/clients?user=nobody")).json()["total"] == 0


async def test_a_connection_is_closed(admitted: House, key: str) -> None:
    peer, other = [await admitted.peer(token("42")) for _ in range(2)]
    async with door(admitted, key) as http:
        for name in (peer.client, "nobody"):
            assert (await http.delete(f"/v1/admin/clients/{name}")).status_code == 204
        assert (await http.delete(f"/v1/admin/clients/{'c' * 256}")).status_code == 422
    assert await closed(peer) == Closed(3503, "force disconnect")
    await untouched(other)


async def test_the_connections_of_a_user_are_closed(admitted: House, key: str) -> None:
    peer, spared = [await admitted.peer(token("42")) for _ in range(2)]
    body = {"code": 4001, "reason": "sign in again", "spared": [spared.client]}
    async with door(admitted, key) as http:
        path = "/v1/admin/users/42/disconnect"
        assert (await http.post(path, json=body)).status_code == 204
        assert await closed(peer) == Closed(4001, "sign in again")
        await untouched(spared)
        assert (await http.post(path)).status_code == 204
        assert await closed(spared) == Closed(3503, "force disconnect")
        for wrong in ({"code": 1000}, {"reason": ""}, {"reason": "7"}):
            assert (await http.post(path, json=wrong)).status_code == 422


# Several nodes


@pytest.fixture
async def nodes(
    serving: Serve, frozen_redis: RedisServer, key: str, tmp_path: Path
) -> tuple[House, House]:
    """Two services on one store."""

    async def one() -> House:
        return await with_tokens(serving, tmp_path / "keys.json", server=frozen_redis)

    return await one(), await one()


async def test_orders_reach_those_who_are_connected_elsewhere(
    nodes: tuple[House, House], key: str
) -> None:
    here, there = nodes
    peers = [await house.peer(token("42")) for house in nodes]
    await call(here, key, "subscribe", user="42", channel="vip")
    for peer in peers:
        assert (await peer.pushed())["channel"] == "vip"
    stats = (await call(there, key, "presence_stats", channel="vip"))["result"]
    assert stats == {"num_clients": 2, "num_users": 1}
    await call(here, key, "unsubscribe", user="42", channel="vip")
    for peer in peers:
        assert (await peer.pushed())["unsubscribe"]["code"] == 2000
    await call(here, key, "refresh", user="42", client=peers[1].client, expired=True)
    assert (await closed(peers[1])).code == 3005
    await untouched(peers[0])
    peers[1] = await there.peer(token("42"))
    await call(here, key, "disconnect", user="42")
    for peer in peers:
        assert await closed(peer) == Closed(3503, "force disconnect")


async def test_nodes_know_of_each_other(nodes: tuple[House, House], key: str) -> None:
    """The older one answers the first report of the younger at once."""
    here, there = nodes
    await there.peer(token("42"))
    for house in nodes:
        names: set[str] = set()
        while len(names) < 2:
            found = (await call(house, key, "info"))["result"]["nodes"]
            names = {node["uid"] for node in found}
        assert names == {here.door.node, there.door.node}
