"""What each command of the protocol answers, over both kinds of store."""

from __future__ import annotations

import json
from typing import Any

import pytest

from realtime import __version__
from realtime.backends.base import History, Position, Publication
from realtime.services.namespaces import Namespace, Namespaces
from realtime.ws.door import Options
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import Closed, Object


def code(reply: Object) -> int:
    number: int = reply["error"]["code"]
    return number


async def test_connect_says_who_one_is_and_how_often_one_is_pinged(any_house: House) -> None:
    peer = await any_house.dial()
    reply = await peer.ask(connect={"name": "js", "data": {"x": 1}, "headers": {}})
    assert len(reply["connect"].pop("client")) == 36
    assert reply["connect"].pop("time") == 1_700_000_000_000
    assert reply == {"id": 1, "connect": {"version": __version__, "ping": 25, "pong": True}}


async def test_without_pings_connect_does_not_promise_any(serve: Serve) -> None:
    house = await serve(options=Options(ping_interval=0))
    peer = await house.dial()
    reply = await peer.ask(connect={})
    assert set(reply["connect"]) == {"client", "version", "time"}
    house.pass_time(1000)
    await peer.subscribe("still here")


async def test_a_fresh_subscription_has_the_position_of_its_channel(any_house: House) -> None:
    peer = await any_house.peer()
    first = await peer.subscribe("news")
    assert first == {"recoverable": True, "positioned": True, "epoch": first["epoch"]}
    position = await any_house.services.channels.publish("old", b"1")
    second = await peer.subscribe("old")
    assert (second["offset"], second["epoch"]) == position[:2]


async def test_a_channel_that_keeps_nothing_is_not_called_recoverable(serve: Serve) -> None:
    house = await serve(namespaces=Namespaces(Namespace(history_size=0)))
    peer = await house.peer()
    assert await peer.subscribe("fleeting") == {}
    await house.services.channels.publish("fleeting", b"1")
    assert await peer.pushed() == {"channel": "fleeting", "pub": {"data": 1}}


async def test_what_others_publish_arrives(any_house: House) -> None:
    reader, writer = await any_house.peer(), await any_house.peer()
    epoch = (await reader.subscribe("news"))["epoch"]
    assert await writer.ask(publish={"channel": "news", "data": {"n": [1, None, "é"]}}) == {
        "id": 2,
        "publish": {},
    }
    assert await reader.pushed() == {
        "channel": "news",
        "pub": {
            "data": {"n": [1, None, "é"]},
            "offset": 1,
            "epoch": epoch,
            "info": {"user": "", "client": writer.client},
        },
    }
    await any_house.services.channels.publish("news", b'"from the server"')
    assert await reader.pushed() == {
        "channel": "news",
        "pub": {"data": "from the server", "offset": 2},
    }


async def test_white_space_in_published_json_does_not_break_the_framing(
    any_house: House,
) -> None:
    peer = await any_house.peer()
    await peer.subscribe("pretty")
    await any_house.services.channels.publish("pretty", b'{\n  "a": "b\\n"\n}')
    assert await peer.published() == {"a": "b\n"}


async def test_an_unsubscribed_client_gets_nothing_more(any_house: House) -> None:
    peer = await any_house.peer()
    await peer.subscribe("news")
    assert await peer.ask(unsubscribe={"channel": "news"}) == {"id": 3, "unsubscribe": {}}
    await any_house.services.channels.publish("news", b"1")
    assert await peer.ask(unsubscribe={"channel": "news"}) == {"id": 4, "unsubscribe": {}}
    assert not any_house.hub.is_watched("news")


async def test_presence_lists_who_is_there(any_house: House) -> None:
    one, other = await any_house.peer(), await any_house.peer()
    assert (await one.ask(presence={"channel": "room"}))["presence"] == {"presence": {}}
    stats = await one.ask(presence_stats={"channel": "room"})
    assert stats["presence_stats"] == {"num_clients": 0, "num_users": 0}
    await one.subscribe("room")
    await other.subscribe("room")
    presence = (await one.ask(presence={"channel": "room"}))["presence"]["presence"]
    assert presence == {peer.client: {"user": "", "client": peer.client} for peer in (one, other)}
    stats = await one.ask(presence_stats={"channel": "room"})
    assert stats["presence_stats"] == {"num_clients": 2, "num_users": 1}
    await other.ask(unsubscribe={"channel": "room"})
    stats = await one.ask(presence_stats={"channel": "room"})
    assert stats["presence_stats"]["num_clients"] == 1


@pytest.mark.parametrize("how", ["leave", "vanish"])
async def test_who_goes_is_no_longer_present(any_house: House, how: str) -> None:
    gone = await any_house.peer()
    await gone.subscribe("room")
    left = getattr(gone, how)()
    if left is not None:
        await left
    await any_house.until(lambda: len(any_house.door.clients) == 0 and not any_house.state.tasks)
    assert await any_house.services.channels.presence("room") == []
    assert any_house.hub.connections == 0


async def test_joins_and_leaves_reach_those_who_asked(any_house: House) -> None:
    watcher, plain = await any_house.peer(), await any_house.peer()
    await watcher.subscribe("room", join_leave=True)
    who = {"user": "", "client": watcher.client}
    assert await watcher.pushed() == {"channel": "room", "join": {"info": who}}
    await plain.subscribe("room")
    other = {"user": "", "client": plain.client}
    assert await watcher.pushed() == {"channel": "room", "join": {"info": other}}
    await plain.ask(unsubscribe={"channel": "room"})
    assert await watcher.pushed() == {"channel": "room", "leave": {"info": other}}
    await plain.subscribe("room")
    plain.vanish()
    assert "join" in await watcher.pushed()
    assert await watcher.pushed() == {"channel": "room", "leave": {"info": other}}


async def fill(house: House, channel: str, count: int) -> str:
    epoch = ""
    for number in range(1, count + 1):
        epoch = (await house.services.channels.publish(channel, b"%d" % number)).epoch
    return epoch


async def test_history_pages_forward_and_back(any_house: House) -> None:
    epoch = await fill(any_house, "log", 5)
    peer = await any_house.peer()

    async def page(**more: object) -> Any:
        reply = await peer.ask(history={"channel": "log", **more})
        assert (reply["history"]["epoch"], reply["history"]["offset"]) == (epoch, 5)
        return [item["data"] for item in reply["history"]["publications"]]

    assert await page() == []
    assert await page(limit=-1) == [1, 2, 3, 4, 5]
    assert await page(limit=2) == [1, 2]
    assert await page(limit=2, since={"offset": 2, "epoch": epoch}) == [3, 4]
    assert await page(limit=2, since={"offset": 2}) == [3, 4]
    assert await page(limit=2, reverse=True) == [5, 4]
    assert await page(limit=9, reverse=True, since={"offset": 3, "epoch": epoch}) == [2, 1]


async def test_history_of_a_silent_channel_has_all_its_fields(any_house: House) -> None:
    peer = await any_house.peer()
    history = (await peer.ask(history={"channel": "silent", "limit": 5}))["history"]
    assert history == {"publications": [], "offset": 0, "epoch": history["epoch"]}
    assert history["epoch"]


async def test_history_refuses_a_position_that_makes_no_sense(any_house: House) -> None:
    await fill(any_house, "log", 2)
    peer = await any_house.peer()
    foreign = {"channel": "log", "limit": 1, "since": {"offset": 1, "epoch": "elsewhere"}}
    assert code(await peer.ask(history=foreign)) == 112
    backwards = {"channel": "log", "limit": 1, "since": {"offset": 0}, "reverse": True}
    assert code(await peer.ask(history=backwards)) == 107


async def test_history_goes_on_from_what_a_new_epoch_inherited(
    any_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover: who had seen no more than the new master inherited reads on."""

    async def promoted(*_: object, **__: object) -> History:
        return History(Position(9, "new"), [Publication(9, b"1")], Position(7, "old"))

    monkeypatch.setattr(any_house.services.channels, "history", promoted)
    peer = await any_house.peer()
    inherited = {"channel": "log", "limit": 1, "since": {"offset": 7, "epoch": "old"}}
    answer = (await peer.ask(history=inherited))["history"]
    assert (answer["offset"], answer["epoch"]) == (9, "new")
    lost = {"channel": "log", "limit": 1, "since": {"offset": 8, "epoch": "old"}}
    assert code(await peer.ask(history=lost)) == 112


async def test_a_page_of_history_is_bounded_in_number_and_in_bytes(serve: Serve) -> None:
    options = Options(recovery_limit=3, queue_bytes=64 * 1024)
    house = await serve(options=options)
    peer = await house.peer()
    await fill(house, "many", 5)
    many = await peer.ask(history={"channel": "many", "limit": -1})
    assert len(many["history"]["publications"]) == 3
    for _ in range(3):
        await house.services.channels.publish("large", json.dumps("x" * 20_000).encode())
    large = await peer.ask(history={"channel": "large", "limit": -1})
    assert len(large["history"]["publications"]) == 1, "the second does not fit into 32 KiB"


@pytest.mark.parametrize(
    ("method", "request_body", "expected"),
    [
        ("rpc", {"method": "m", "data": {}}, 104),
        ("sub_refresh", {"channel": "c", "token": "t"}, 103),
        ("subscribe", {"channel": "c", "type": 1}, 108),
        ("subscribe", {"channel": "c", "tf": {"key": "k"}}, 108),
        ("subscribe", {"channel": "x" * 256}, 107),
        ("subscribe", {"channel": "a\nb"}, 107),
        ("publish", {"channel": "x" * 256, "data": 1}, 107),
        ("publish", {"channel": "c"}, 107),
        ("publish", {"channel": "leaderboard:b", "data": 1}, 103),
        ("history", {"channel": "x" * 256}, 107),
        ("history", {"channel": "leaderboard:b"}, 108),
        ("presence", {"channel": "x" * 256}, 107),
        ("presence_stats", {"channel": "a\x7fb"}, 107),
        ("no_such_method", {}, 104),
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_number(
    any_house: House, method: str, request_body: Object, expected: int
) -> None:
    peer = await any_house.peer()
    assert code(await peer.ask(**{method: request_body})) == expected
    await peer.subscribe("works still")


async def test_subscribing_twice_is_refused(any_house: House) -> None:
    peer = await any_house.peer()
    await peer.subscribe("news")
    assert code(await peer.ask(subscribe={"channel": "news"})) == 105
    await peer.ask(unsubscribe={"channel": "news"})
    await peer.subscribe("news")


async def test_the_number_of_channels_is_bounded(any_house: House) -> None:
    peer = await any_house.peer()
    for number in range(128):
        await peer.subscribe(f"channel {number}")
    assert code(await peer.ask(subscribe={"channel": "one more"})) == 106
    await peer.ask(unsubscribe={"channel": "channel 0"})
    await peer.subscribe("one more")


async def test_an_asynchronous_message_is_not_available(any_house: House) -> None:
    peer = await any_house.peer()
    peer.send_text('{"send":{"data":{}}}')
    assert await peer.hang_up() == Closed(3508, "not available")


async def test_too_many_present_are_counted_but_not_listed(serve: Serve) -> None:
    house = await serve(options=Options(queue_bytes=1024))
    peers = [await house.peer() for _ in range(20)]
    for peer in peers:
        await peer.subscribe("crowd")
    assert code(await peers[0].ask(presence={"channel": "crowd"})) == 106
    stats = await peers[0].ask(presence_stats={"channel": "crowd"})
    assert stats["presence_stats"]["num_clients"] == 20


async def test_clients_can_be_sent_away(any_house: House) -> None:
    one, other = await any_house.peer(), await any_house.peer()
    clients = any_house.door.clients
    assert clients.get("nobody") is None
    assert clients.of("nobody") == []
    assert [client.id for client in clients.of("")] == [one.client, other.client]
    any_house.send_away(one.client)
    assert await one.hang_up() == Closed(3503, "force disconnect")
    await any_house.until(lambda: len(clients) == 1)
    assert clients.count("") == 1
    any_house.send_away(other.client)
    assert await other.hang_up() == Closed(3503, "force disconnect")


async def test_shutdown_asks_clients_to_come_back(any_house: House) -> None:
    peer = await any_house.peer()
    await peer.subscribe("news")
    any_house.shut_down()
    assert await peer.hang_up() == Closed(3001, "shutdown")


async def test_figures_are_kept(any_house: House) -> None:
    readers = [await any_house.peer() for _ in range(3)]
    for reader in readers:
        await reader.subscribe("news")
    for number in range(4):
        await any_house.services.channels.publish("news", b"%d" % number)
    for reader in readers:
        assert [await reader.published() for _ in range(4)] == [0, 1, 2, 3]
    hub = any_house.hub
    assert (hub.connections, hub.subscriptions, hub.commands) == (3, 3, 6)
    assert (hub.publications, hub.deliveries) == (4, 12)
