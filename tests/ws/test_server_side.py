"""Subscriptions that the service makes: by a token, by name of the user, by the control plane."""

from __future__ import annotations

import json

import pytest

from realtime.errors import InvalidInput, NotFound
from realtime.services.namespaces import Namespace, Namespaces
from realtime.tokens import ChannelOptions
from realtime.ws.codes import Close, Unsubscribed
from realtime.ws.control import Target
from realtime.ws.door import Options
from realtime.ws.messages import Resume
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.keys import token, with_tokens
from tests.ws.peer import Closed, Object

NOW = 1_700_000_000

PERSONAL = Options(personal_channels=True, ping_interval=0)


async def test_a_token_subscribes(serve: Serve) -> None:
    house = await with_tokens(serve)
    await house.services.channels.publish("news", b"1")
    peer = await house.dial()
    claims = {"channels": ["news"], "subs": {"vip": {"data": {"hi": 1}, "info": {"seat": 7}}}}
    subs = (await peer.ask(connect={"token": token("42", **claims)}))["connect"]["subs"]
    epochs = {channel: result.pop("epoch") for channel, result in subs.items()}
    kept = {"recoverable": True, "positioned": True}
    assert subs == {"news": {**kept, "offset": 1}, "vip": {**kept, "data": {"hi": 1}}}
    published = await house.services.channels.publish("news", b"2")
    assert published.epoch == epochs["news"]
    assert await peer.pushed() == {"channel": "news", "pub": {"data": 2, "offset": 2}}
    (present,) = await house.services.channels.presence("vip")
    assert (present.user, present.chan_info) == ("42", b'{"seat":7}')


async def test_every_user_has_a_channel_if_that_is_wanted(serve: Serve) -> None:
    house = await with_tokens(serve, options=PERSONAL)
    peer = await house.dial()
    connected = (await peer.ask(connect={"token": token("42")}))["connect"]
    assert set(connected["subs"]) == {"#42"}
    await house.services.channels.publish("#42", b'"psst"')
    assert (await peer.pushed())["pub"]["data"] == "psst"
    nameless = await house.dial()
    assert "subs" not in (await nameless.ask(connect={"token": token()}))["connect"]


async def test_who_comes_back_recovers_what_the_service_subscribed_it_to(serve: Serve) -> None:
    house = await with_tokens(serve, options=PERSONAL)
    first = await house.services.channels.publish("#42", b"1")
    for data in (b"2", b"3"):
        await house.services.channels.publish("#42", data)
    peer = await house.dial()
    back = {"#42": {"recover": True, "offset": 1, "epoch": first.epoch}}
    reply = await peer.ask(connect={"token": token("42"), "subs": back})
    assert reply["connect"]["subs"]["#42"] == {
        "recoverable": True,
        "positioned": True,
        "epoch": first.epoch,
        "offset": 1,
        "was_recovering": True,
        "recovered": True,
        "publications": [{"data": 2, "offset": 2}, {"data": 3, "offset": 3}],
    }


async def test_a_client_cannot_subscribe_to_it_once_more(serve: Serve) -> None:
    house = await with_tokens(serve, options=PERSONAL)
    peer = await house.peer(token("42"))
    reply = await peer.ask(subscribe={"channel": "#42"})
    assert reply["error"] == {"code": 105, "message": "already subscribed"}


async def test_the_reply_comes_before_what_is_published_meanwhile(any_house: House) -> None:
    """And after both comes what a command of the same frame publishes."""
    peer = await any_house.dial()
    lines = [
        {"id": 1, "connect": {}},
        {"id": 2, "subscribe": {"channel": "c", "join_leave": True}},
        {"id": 3, "publish": {"channel": "c", "data": 1}},
    ]
    peer.send_text("\n".join(map(json.dumps, lines)))
    objects = [await peer.receive() for _ in range(5)]
    keys = [next(iter(item.keys() - {"id"})) for item in objects]
    assert keys == ["connect", "subscribe", "push", "push", "publish"]
    assert [set(item["push"]) - {"channel"} for item in objects[2:4]] == [{"join"}, {"pub"}]


async def test_a_token_for_too_many_channels_is_told_so(serve: Serve) -> None:
    house = await with_tokens(serve, options=Options(max_channels=2))
    peer = await house.dial()
    peer.send(connect={"token": token("42", channels=["a", "b", "c"])})
    assert await peer.hang_up() == Closed(3505, "channel limit")
    assert not house.hub.is_watched("a")


async def test_a_token_for_a_channel_that_cannot_be_is_refused(serve: Serve) -> None:
    house = await with_tokens(serve, namespaces=Namespaces(Namespace(), strict=True))
    peer = await house.dial()
    reply = await peer.ask(connect={"token": token("42", channels=["c"])})
    assert reply["error"]["code"] == 102
    assert len(house.door.clients) == 0


async def test_a_server_side_subscription_that_loses_its_position_closes(serve: Serve) -> None:
    house = await with_tokens(serve, options=PERSONAL)
    peer = await house.peer(token("42"))
    house.door.clients.of("42")[0].lost("#42")
    assert await peer.hang_up() == Closed(3010, "insufficient state")


async def test_one_of_the_client_is_told_and_the_connection_lives_on(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.peer(token("42"))
    await peer.subscribe("c", token=token("42", channel="c"))
    house.door.clients.of("42")[0].lost("c")
    assert await peer.pushed() == unsubscribed("c", 2500, "insufficient state")
    await peer.subscribe("c", token=token("42", channel="c"), recover=True)


# The control plane


def unsubscribed(channel: str, code: int, reason: str) -> Object:
    return {"channel": channel, "unsubscribe": {"code": code, "reason": reason}}


async def test_the_service_subscribes_and_unsubscribes(serve: Serve) -> None:
    house = await with_tokens(serve)
    ada, other, bob = [await house.peer(token(user)) for user in ("ada", "ada", "bob")]
    position = await house.services.channels.publish("c", b"1")
    options = ChannelOptions(data=b'{"why":"vip"}')
    await house.control.subscribe(Target(user="ada"), "c", options)
    told = {
        "recoverable": True,
        "positioned": True,
        "epoch": position.epoch,
        "offset": 1,
        "data": {"why": "vip"},
    }
    for peer in (ada, other):
        assert await peer.pushed() == {"channel": "c", "subscribe": told}
    await house.control.subscribe(Target(user="ada"), "c")  # and nothing comes of it
    await house.services.channels.publish("c", b"2")
    assert [await peer.published() for peer in (ada, other)] == [2, 2]
    await house.control.unsubscribe(Target(client=ada.client), "c")
    assert await ada.pushed() == unsubscribed("c", 2000, "server unsubscribe")
    await house.services.channels.publish("c", b"3")
    assert await other.published() == 3
    assert "error" in await bob.ask(history={"channel": "c"})


async def test_it_recovers_and_ends_if_that_is_said(serve: Serve) -> None:
    house = await with_tokens(serve, options=Options(ping_interval=0))
    peer = await house.peer(token("ada"))
    for data in (b"1", b"2"):
        position = await house.services.channels.publish("c", data)
    await house.control.subscribe(
        Target(user="ada"),
        "c",
        resume=Resume(True, 1, position.epoch),
        expires=NOW + 60.0,
    )
    result = (await peer.pushed())["subscribe"]
    assert (result["recovered"], result["expires"], result["ttl"]) == (True, True, 60)
    assert result["publications"] == [{"data": 2, "offset": 2}]
    house.pass_time(85.1)
    assert await peer.hang_up() == Closed(3006, "subscription expired")


async def test_a_subscription_of_the_client_is_ended_by_the_service_as_well(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.peer(token("ada"))
    await peer.subscribe("c", token=token("ada", channel="c"))
    why = Unsubscribed(2000, "moderated")
    await house.control.unsubscribe(Target(user="ada"), "c", why)
    assert await peer.pushed() == unsubscribed("c", 2000, "moderated")
    await house.until(lambda: not house.hub.is_watched("c"))
    assert await house.services.channels.presence("c") == []


async def test_the_service_sends_away_all_but_some(serve: Serve) -> None:
    house = await with_tokens(serve)
    old, new, bob = [await house.peer(token(user)) for user in ("ada", "ada", "bob")]
    await house.control.disconnect(
        Target(user="ada", spared=(new.client,)), Close(4501, "one at a time")
    )
    assert await old.hang_up() == Closed(4501, "one at a time")
    for peer in (new, bob):
        assert "error" in await peer.ask(history={"channel": "c"})


async def test_a_client_is_only_meant_if_the_user_is_its_own(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.peer(token("ada"))
    await house.control.disconnect(Target(user="bob", client=peer.client))
    await house.control.disconnect(Target(client="nobody"))
    await house.control.disconnect(Target(session="none"))
    assert "error" in await peer.ask(history={"channel": "c"})
    await house.control.disconnect(Target(user="ada", client=peer.client))
    assert await peer.hang_up() == Closed(3503, "force disconnect")


async def test_the_service_moves_the_end_of_a_connection(serve: Serve) -> None:
    house = await with_tokens(serve, options=Options(ping_interval=0))
    peer = await house.peer(token("ada"))
    await house.control.refresh(Target(user="ada"), NOW + 60.0)
    house.pass_time(84)
    assert "error" in await peer.ask(history={"channel": "c"})
    house.pass_time(1.1)
    assert await peer.hang_up() == Closed(3005, "connection expired")


async def test_orders_reach_other_nodes(serve: Serve) -> None:
    """On one store; in this process alone there are no other nodes."""
    house, other = await with_tokens(serve), await with_tokens(serve)
    if house.services.backend.immediate:
        pytest.skip("one process, one node")
    here, there = await house.peer(token("ada")), await other.peer(token("ada"))
    await house.control.subscribe(Target(user="ada"), "c", ChannelOptions(info=b'{"seat":7}'))
    for peer in (here, there):
        assert (await peer.pushed())["subscribe"]["positioned"]
    assert [info.chan_info for info in await house.services.channels.presence("c")] == [
        b'{"seat":7}'
    ] * 2
    await house.control.disconnect(Target(user="ada"))
    assert await here.hang_up() == await there.hang_up() == Closed(3503, "force disconnect")


@pytest.mark.parametrize(
    "close", [Close(2999, "x"), Close(5000, "x"), Close(3000, ""), Close(3500, "{}")]
)
async def test_what_clients_would_not_understand_is_refused(
    near_house: House, close: Close
) -> None:
    with pytest.raises(InvalidInput):
        await near_house.control.disconnect(Target(user="ada"), close)


async def test_an_order_for_nobody_or_nowhere_is_refused(serve: Serve) -> None:
    house = await serve(namespaces=Namespaces(Namespace(), strict=True))
    with pytest.raises(InvalidInput):
        await house.control.disconnect(Target())
    with pytest.raises(InvalidInput):
        await house.control.unsubscribe(Target(user="ada"), "")
    with pytest.raises(NotFound):
        await house.control.subscribe(Target(user="ada"), "elsewhere")
