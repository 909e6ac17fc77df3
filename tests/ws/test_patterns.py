"""One subscription to many channels, over sockets and every store."""

from __future__ import annotations

from typing import Any

from realtime.services.namespaces import Namespace, Namespaces
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import Peer

NAMESPACES = Namespaces(
    Namespace(), [Namespace(name="orders", prefix="orders.", wildcards=True, history_size=10)]
)


async def publish(house: House, *channels: str) -> None:
    for channel in channels:
        await house.services.channels.publish(channel, b'"%b"' % channel.encode())


async def shown(peer: Peer, count: int) -> list[tuple[str, int]]:
    """The channel and the offset of publications of patterns."""
    pubs: list[Any] = [(await peer.pushed())["pub"] for _ in range(count)]
    assert all(pub["data"] == pub["channel"] for pub in pubs)
    return [(pub["channel"], pub["offset"]) for pub in pubs]


async def test_a_pattern_shows_all_that_matches(serve: Serve) -> None:
    house = await serve(namespaces=NAMESPACES)
    everything, europe, one = [await house.peer() for _ in range(3)]
    await everything.subscribe("orders.*")
    await europe.subscribe("orders.eu.*")
    await one.subscribe("orders.us.1")
    await publish(house, "orders.eu.1", "orders.us.1", "orders.eu.fr.2")
    assert await shown(everything, 3) == [
        ("orders.eu.1", 1), ("orders.us.1", 2), ("orders.eu.fr.2", 3),
    ]  # fmt: skip
    assert await shown(europe, 2) == [("orders.eu.1", 1), ("orders.eu.fr.2", 3)]
    assert await one.pushed() == {
        "channel": "orders.us.1",
        "pub": {"data": "orders.us.1", "offset": 1, "epoch": (await _epoch(one, "orders.us.1"))},
    }


async def _epoch(peer: Peer, channel: str) -> str:
    reply = await peer.ask(history={"channel": channel})
    epoch: str = reply["history"]["epoch"]
    return epoch


async def test_who_comes_back_to_a_view_gets_what_it_missed_of_it(serve: Serve) -> None:
    house = await serve(namespaces=NAMESPACES)
    peer = await house.peer()
    start = await peer.subscribe("orders.eu.*")
    await publish(house, "orders.eu.1", "orders.us.1")
    assert await shown(peer, 1) == [("orders.eu.1", 1)]
    await peer.leave()
    await publish(house, "orders.us.2", "orders.eu.2", "orders.us.3")
    back = await house.peer()
    again = await back.subscribe("orders.eu.*", recover=True, offset=1, epoch=start["epoch"])
    assert again["recovered"] is True
    assert [pub["offset"] for pub in again["publications"]] == [4]
    await publish(house, "orders.us.4", "orders.eu.3")
    assert await shown(back, 1) == [("orders.eu.3", 7)]


async def test_what_is_lost_of_the_stream_is_lost_of_the_view(serve: Serve) -> None:
    """That none of what is gone matched, nobody can tell any more."""
    house = await serve(namespaces=NAMESPACES)
    peer = await house.peer()
    start = await peer.subscribe("orders.eu.*")
    await peer.ask(unsubscribe={"channel": "orders.eu.*"})
    await publish(house, *[f"orders.us.{number}" for number in range(11)])
    again = await peer.subscribe("orders.eu.*", recover=True, offset=0, epoch=start["epoch"])
    assert "recovered" not in again


async def test_the_last_who_looks_ends_the_stream_and_no_other(serve: Serve) -> None:
    house = await serve(namespaces=NAMESPACES)
    peer = await house.peer()
    await peer.subscribe("orders.eu.*")
    await peer.subscribe("orders.us.*")
    await peer.ask(unsubscribe={"channel": "orders.eu.*"})
    await publish(house, "orders.eu.1", "orders.us.1")
    assert await shown(peer, 1) == [("orders.us.1", 2)]
    await peer.ask(unsubscribe={"channel": "orders.us.*"})
    assert not house.hub.is_watched("orders.*")
    await peer.subscribe("orders.eu.*")
    await publish(house, "orders.eu.2")
    assert await shown(peer, 1) == [("orders.eu.2", 3)]


async def test_patterns_are_named_in_one_way_only_and_not_published_to(serve: Serve) -> None:
    house = await serve(namespaces=NAMESPACES)
    peer = await house.peer()
    for channel in ("orders.eu*", "orders.*.1", "orders.eu.**"):
        assert (await peer.ask(subscribe={"channel": channel}))["error"]["code"] == 107
    reply = await peer.ask(publish={"channel": "orders.eu.*", "data": 1})
    assert reply["error"]["code"] in (103, 107)
