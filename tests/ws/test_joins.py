"""Joins and leaves between nodes that share a store; within one, see `test_commands`."""

from __future__ import annotations

import pytest

from realtime.backends.base import BackendUnavailable
from realtime.services.namespaces import Namespace, Namespaces
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.keys import token, with_tokens
from tests.ws.peer import Object, Peer

SCOPES = ["channels:*"]


def info(user: str, peer: Peer) -> Object:
    return {"user": user, "client": peer.client}


async def nodes(serve: Serve) -> tuple[House, House]:
    """Two of one store; skips where a store is of one process."""
    here, there = await with_tokens(serve), await with_tokens(serve)
    if here.services.backend.immediate:
        pytest.skip("one process, one node")
    return here, there


async def test_who_joins_and_leaves_on_another_node_is_told_of(serve: Serve) -> None:
    here, there = await nodes(serve)
    watcher = await here.peer(token("eve", scopes=SCOPES))
    await watcher.subscribe("room", join_leave=True)
    assert (await watcher.pushed())["join"] == {"info": info("eve", watcher), "first": True}
    phone, laptop = [await there.peer(token("ada", scopes=SCOPES)) for _ in range(2)]
    await phone.subscribe("room")
    joined = await watcher.pushed()
    assert joined == {"channel": "room", "join": {"info": info("ada", phone), "first": True}}
    await laptop.subscribe("room")
    assert (await watcher.pushed())["join"] == {"info": info("ada", laptop)}
    await phone.ask(unsubscribe={"channel": "room"})
    assert (await watcher.pushed())["leave"] == {"info": info("ada", phone)}
    laptop.vanish()
    assert (await watcher.pushed())["leave"] == {"info": info("ada", laptop), "last": True}
    watcher.vanish()
    await here.until(lambda: len(here.door.clients) == 0)  # a house looks whether all have left


async def test_a_node_listens_as_long_as_somebody_there_watches(serve: Serve) -> None:
    here, there = await nodes(serve)
    watchers = [await here.peer(token("eve", scopes=SCOPES)) for _ in range(2)]
    for watcher in watchers:
        await watcher.subscribe("room", join_leave=True)
    assert here.door.joins._watched == {"room": 2}
    await watchers[0].ask(unsubscribe={"channel": "room"})
    other = await there.peer(token("ada", scopes=SCOPES))
    await other.subscribe("room")
    seen: list[Object] = []
    while not seen or seen[-1].get("join", {}).get("info") != info("ada", other):
        seen.append(await watchers[1].pushed())
    watchers[1].vanish()
    await here.until(lambda: not here.door.joins._watched)


async def test_where_a_namespace_has_no_joins_other_nodes_are_not_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await serve(namespaces=Namespaces(Namespace(join_leave=False)))
    told: list[object] = []

    async def tell(*what: object) -> None:
        told.append(what)

    monkeypatch.setattr(type(house.door.joins), "tell", lambda self, *what: tell(*what))
    peer = await house.peer()
    await peer.subscribe("room", join_leave=True)
    await peer.ask(unsubscribe={"channel": "room"})
    assert told == []


async def test_a_store_that_is_away_spoils_no_subscription(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others on this node hear of it in any case."""
    house = await serve()
    peer = await house.peer()
    await peer.subscribe("room", join_leave=True)
    await peer.pushed()
    other = await house.peer()

    async def publish(*what: object) -> None:
        raise BackendUnavailable("away")

    if not house.services.backend.immediate:
        monkeypatch.setattr(house.door.joins._channels, "publish", publish)
    await other.subscribe("room")
    assert "join" in await peer.pushed()
