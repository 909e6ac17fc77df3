"""What namespaces add to a subscription: the newest value, differences, patterns, users' joins."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from realtime.backends.base import ClientInfo
from realtime.services.namespaces import Audience, Namespace, Namespaces, Recovery
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.keys import token, with_tokens
from tests.ws.peer import Object, Peer
from tests.ws.test_recovery import VECTORS, Row

PRICES = Namespace(
    name="prices", prefix="price:", history_size=10, history_ttl=60, recovery=Recovery.CACHE
)
ORDERS = Namespace(
    name="orders", prefix="orders.", wildcards=True, subscribe=Audience.USERS, delta=True
)
NAMES = Namespaces(Namespace(), [PRICES, ORDERS])


async def publish(house: House, channel: str, *data: object) -> str:
    """Publish each; the epoch."""
    epoch = ""
    for item in data:
        published = await house.services.channels.publish(channel, json.dumps(item).encode())
        epoch = published.epoch
    return epoch


# The newest publication


class Cached(NamedTuple):
    recovered: bool
    items: int


CACHED = [
    Cached(False, 0),
    Cached(True, 1),
    Cached(True, 1),
    Cached(True, 1),
    Cached(True, 1),
    Cached(True, 0),
    Cached(True, 1),
    Cached(False, 0),
    Cached(True, 0),
]
"""What is recovered of the same rows, where only the newest publication counts."""


@pytest.mark.parametrize(("row", "cached"), list(zip(VECTORS, CACHED, strict=True)), ids=str)
async def test_cache_recovery_vectors(serve: Serve, row: Row, cached: Cached) -> None:
    values = Namespace(history_size=row.size, history_ttl=row.ttl, recovery=Recovery.CACHE)
    house = await serve(namespaces=Namespaces(values))
    epoch = (await house.services.channels.history("c")).position.epoch
    await publish(house, "c", *range(row.published))
    house.pass_time(row.passed)
    peer = await house.peer()
    result = await peer.subscribe("c", recover=True, offset=row.since, epoch=epoch)
    assert (result["was_recovering"], result.get("recovered", False)) == (True, cached.recovered)
    found = result.get("publications", [])
    assert [item["offset"] for item in found] == [row.published] * cached.items
    assert result.get("offset", 0) == (row.since if cached.recovered else row.published)


async def test_who_comes_first_gets_the_newest_at_once(serve: Serve) -> None:
    house = await serve(namespaces=NAMES)
    peer, early = await house.peer(), await house.peer()
    empty = await early.subscribe("price:x")
    assert "publications" not in empty and "recovered" not in empty
    epoch = await publish(house, "price:x", 1, 2)
    assert await peer.subscribe("price:x") == {
        "recoverable": True,
        "positioned": True,
        "epoch": epoch,
        "recovered": True,
        "publications": [{"data": 2, "offset": 2}],
    }
    await publish(house, "price:x", 3)
    assert await peer.pushed() == {"channel": "price:x", "pub": {"data": 3, "offset": 3}}
    assert [await early.published() for _ in range(3)] == [1, 2, 3]


async def test_an_unrecoverable_position_is_refused_to_who_would_rather_know(
    serve: Serve,
) -> None:
    house = await serve(namespaces=NAMES)
    await publish(house, "c", 1)
    peer = await house.peer()
    subscribe = {"channel": "c", "recover": True, "offset": 1, "epoch": "another", "flag": 2}
    reply = await peer.ask(subscribe=subscribe)
    assert reply["error"] == {"code": 112, "message": "unrecoverable position"}
    assert not house.hub.is_watched("c")
    assert await house.services.channels.presence("c") == []
    result = await peer.subscribe("c", recover=True, offset=1, epoch="another")
    assert result["was_recovering"] and "recovered" not in result


# Differences


async def test_differences_are_agreed_upon(serve: Serve) -> None:
    house = await serve(namespaces=NAMES)
    peer, plain = await house.peer(), await house.peer()
    document = {"rows": ["the same in every publication"] * 20, "n": 0}
    epoch = await publish(house, "orders.1", document)
    back = {"recover": True, "offset": 0, "epoch": epoch}
    result = await peer.subscribe("orders.1", delta="fossil", **back)
    assert result["delta"] is True
    (recovered,) = result["publications"]
    assert json.loads(recovered["data"]) == document and "delta" not in recovered
    other = await plain.subscribe("orders.1", **back)
    assert "delta" not in other and other["publications"][0]["data"] == document
    await publish(house, "orders.1", {**document, "n": 1}, {**document, "n": 2})
    first, second = [(await peer.pushed())["pub"] for _ in range(2)]
    assert "delta" not in first and json.loads(first["data"])["n"] == 1
    assert second["delta"] is True and len(second["data"]) < 100
    assert [(await plain.published())["n"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("asked", [("price:x", "fossil"), ("orders.1", "other"), ("c", "fossil")])
async def test_who_cannot_have_differences_gets_whole_ones(
    serve: Serve, asked: tuple[str, str]
) -> None:
    house = await serve(namespaces=NAMES)
    channel, delta = asked
    peer = await house.peer()
    assert "delta" not in await peer.subscribe(channel, delta=delta)
    await publish(house, channel, {"n": 1})
    assert (await peer.pushed())["pub"]["data"] == {"n": 1}


# Patterns


def seen(pushes: list[Object]) -> list[tuple[str, Any]]:
    return [(push["pub"]["channel"], push["pub"]["data"]) for push in pushes]


async def pushes(peer: Peer, count: int) -> list[Object]:
    return [await peer.pushed() for _ in range(count)]


async def test_a_pattern_shows_its_namespace_and_a_narrower_one_a_part(serve: Serve) -> None:
    house = await serve(namespaces=NAMES)
    everything, europe, one = [await house.peer() for _ in range(3)]
    stream = await everything.subscribe("orders.*")
    part = await europe.subscribe("orders.eu.*")
    assert stream == part == {"recoverable": True, "positioned": True, "epoch": stream["epoch"]}
    await one.subscribe("orders.eu.1")
    await publish(house, "orders.eu.1", 1)
    await publish(house, "orders.us.1", 2)
    await publish(house, "orders.eu.2", 3)
    heard = await pushes(everything, 3)
    assert seen(heard) == [("orders.eu.1", 1), ("orders.us.1", 2), ("orders.eu.2", 3)]
    assert [push["pub"]["offset"] for push in heard] == [1, 2, 3]
    assert {push["channel"] for push in heard} == {"orders.*"}
    heard = await pushes(europe, 2)
    assert seen(heard) == [("orders.eu.1", 1), ("orders.eu.2", 3)]
    assert [push["pub"]["offset"] for push in heard] == [1, 3]
    push = await one.pushed()
    assert (push["channel"], push["pub"]["data"]) == ("orders.eu.1", 1)
    assert "channel" not in push["pub"]


async def test_a_pattern_is_recovered_by_its_own_position(serve: Serve) -> None:
    house = await serve(namespaces=NAMES)
    peer = await house.peer()
    epoch = (await peer.subscribe("orders.*"))["epoch"]
    for number, channel in enumerate(("orders.us.1", "orders.eu.1", "orders.us.2", "orders.eu.2")):
        await publish(house, channel, number)
    back = {"recover": True, "offset": 1, "epoch": epoch}
    other, europe = await house.peer(), await house.peer()
    all_of_it = await other.subscribe("orders.*", **back)
    assert all_of_it["recovered"]
    assert [item["channel"] for item in all_of_it["publications"]] == [
        "orders.eu.1",
        "orders.us.2",
        "orders.eu.2",
    ]
    part = await europe.subscribe("orders.eu.*", **back)
    assert [item["offset"] for item in part["publications"]] == [2, 4]
    assert (part["offset"], part["recovered"]) == (1, True)


async def test_a_pattern_needs_the_same_permission_and_nobody_publishes_on_it(
    serve: Serve,
) -> None:
    house = await with_tokens(serve, namespaces=NAMES)
    ada, nameless = await house.peer(token("ada")), await house.peer(token())
    await ada.subscribe("orders.*")
    assert (await nameless.ask(subscribe={"channel": "orders.*"}))["error"]["code"] == 103
    key = await house.peer(token("app", scopes=["channels:publish"]))
    assert (await key.ask(publish={"channel": "orders.*", "data": 1}))["error"]["code"] == 107
    for name in ("orders.*x", "orders.a*b", "orders.*.*"):
        assert (await ada.ask(subscribe={"channel": name}))["error"]["code"] == 107


# Users, and not only their connections


async def test_the_first_join_and_the_last_leave_of_a_user_are_marked(serve: Serve) -> None:
    house = await with_tokens(serve)
    watcher, phone, laptop = [
        await house.peer(token(user, scopes=["channels:read"])) for user in ("eve", "ada", "ada")
    ]

    def info(peer: Peer, user: str = "ada") -> Object:
        return {"user": user, "client": peer.client}

    await watcher.subscribe("room", join_leave=True)
    assert (await watcher.pushed())["join"] == {"info": info(watcher, "eve"), "first": True}
    await phone.subscribe("room")
    assert (await watcher.pushed())["join"] == {"info": info(phone), "first": True}
    await laptop.subscribe("room")
    assert (await watcher.pushed())["join"] == {"info": info(laptop)}
    stats = await watcher.ask(presence_stats={"channel": "room"})
    assert stats["presence_stats"] == {"num_clients": 3, "num_users": 2}
    await phone.ask(unsubscribe={"channel": "room"})
    assert (await watcher.pushed())["leave"] == {"info": info(phone)}
    laptop.vanish()
    assert (await watcher.pushed())["leave"] == {"info": info(laptop), "last": True}


async def test_a_lost_position_is_a_leave_and_coming_back_a_join(serve: Serve) -> None:
    house = await with_tokens(serve)
    watcher = await house.peer(token("eve", scopes=["channels:read"]))
    peer = await house.peer(token("ada", scopes=["channels:read"]))
    await watcher.subscribe("room", join_leave=True)
    await watcher.pushed()
    await peer.subscribe("room")
    await watcher.pushed()
    house.door.clients.of("ada")[0].lost("room")
    assert "leave" in await watcher.pushed()
    assert "unsubscribe" in await peer.pushed()
    await peer.subscribe("room", recover=True)
    assert "join" in await watcher.pushed()
    assert [who.user for who in await house.services.channels.presence("room")].count("ada") == 1


async def test_who_is_not_to_be_seen_is_not(serve: Serve) -> None:
    """A token may override what the namespace says of presence."""
    house = await with_tokens(serve)
    peer = await house.peer(token("ada"))
    hidden = token("ada", channel="room", override={"presence": {"value": False}})
    await peer.subscribe("room", token=hidden)
    assert await house.services.channels.presence("room") == []
    shown = token("ada", channel="other")
    await peer.subscribe("other", token=shown)
    assert await house.services.channels.presence("other") == [ClientInfo(peer.client, "ada")]
