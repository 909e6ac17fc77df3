"""Users come with tokens: what those say, when they end, and how they are replaced."""

from __future__ import annotations

import json
from typing import Any

import pytest

from realtime import __version__
from realtime.tokens import TokenKeysUnavailable
from realtime.ws.door import Options
from tests.ws.conftest import Serve
from tests.ws.keys import Keys, token, with_tokens
from tests.ws.peer import Closed, Object, Peer

NOW = 1_700_000_000
EXPIRED = Closed(3005, "connection expired")
INVALID = Closed(3500, "invalid token")


async def test_a_token_says_who_one_is(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.dial()
    reply = await peer.ask(connect={"token": token("42", info={"name": "Ada"})})
    client = reply["connect"].pop("client")
    result = {"version": __version__, "ping": 25, "pong": True, "time": NOW * 1000}
    assert reply == {"id": 1, "connect": result}
    assert [one.user for one in house.door.clients] == ["42"]
    assert house.door.clients.of("42")[0].id == client


async def test_others_see_what_the_token_says(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.peer(token("42", info={"name": "Ada"}, scopes=["channels:*"]))
    info = {"user": "42", "client": peer.client, "conn_info": {"name": "Ada"}}
    await peer.subscribe("room", join_leave=True)
    assert await peer.pushed() == {"channel": "room", "join": {"info": info, "first": True}}
    presence = await peer.ask(presence={"channel": "room"})
    assert presence["presence"] == {"presence": {peer.client: info}}
    await peer.ask(publish={"channel": "room", "data": 1})
    assert (await peer.pushed())["pub"]["info"] == info


async def test_a_token_without_a_user_lets_in_who_has_no_name(serve: Serve) -> None:
    house = await with_tokens(serve)
    await house.peer(token())
    assert house.door.clients.count("") == 1


async def test_keys_and_tokens_open_the_same_door(serve: Serve, keys: Keys) -> None:
    key = keys.issue("backend", "channels:*")
    house = await with_tokens(serve, keys.path)
    await (await house.peer(key)).subscribe("c")
    await house.peer(token("42"))
    assert (house.door.clients.count("backend"), house.door.clients.count("42")) == (1, 1)


@pytest.mark.parametrize("where", ["handshake", "headers"])
async def test_a_token_may_come_in_a_header(serve: Serve, where: str) -> None:
    house = await with_tokens(serve)
    bearer = f"Bearer {token('42')}"
    if where == "handshake":
        await house.peer(headers=(f"Authorization: {bearer}",))
    else:
        peer = await house.dial()
        reply = await peer.ask(connect={"headers": {"authorization": bearer}})
        assert "connect" in reply
    assert house.door.clients.count("42") == 1


async def test_what_nobody_signed_is_told_not_to_come_back(serve: Serve) -> None:
    house = await with_tokens(serve)
    good = token("42")
    for wrong in (good[:-2] + ("AA" if good[-2:] != "AA" else "BB"), "a.b.c", "x"):
        peer = await house.dial()
        peer.send(connect={"token": wrong})
        assert await peer.hang_up() == INVALID


async def test_without_any_credentials_there_is_no_way_in(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.dial()
    peer.send(connect={})
    assert (await peer.hang_up()).code == 3501


async def test_an_expired_token_is_an_error_and_whoever_goes_on_is_closed(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.dial()
    reply = await peer.ask(connect={"token": token("42", exp=NOW)})
    assert reply == {"id": 1, "error": {"code": 109, "message": "token expired"}}
    assert len(house.door.clients) == 0
    peer.send(connect={"token": token("42")})
    assert await peer.hang_up() == Closed(3501, "bad request: connect was refused")


async def test_who_was_refused_and_stays_is_stale(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.dial()
    await peer.ask(connect={"token": token("42", exp=NOW)})
    house.pass_time(10.1)
    assert await peer.hang_up() == Closed(3502, "stale")


async def test_commands_sent_along_with_a_refused_connect_get_no_answer(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.dial()
    expired = {"id": 1, "connect": {"token": token("42", exp=NOW)}}
    after = {"id": 2, "subscribe": {"channel": "c"}}
    peer.send_text(f"{json.dumps(expired)}\n{json.dumps(after)}")
    assert (await peer.receive())["error"]["code"] == 109
    assert (await peer.hang_up()).code == 3501


async def test_while_keys_are_on_their_way_one_is_told_to_try_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await with_tokens(serve)

    def unavailable(text: str) -> None:
        raise TokenKeysUnavailable("the keys of tokens are not there yet")

    monkeypatch.setattr(house.door.access.tokens, "connection", unavailable)
    peer = await house.dial()
    reply = await peer.ask(connect={"token": token("42")})
    assert (reply["error"]["code"], reply["error"]["temporary"]) == (100, True)


# Expiry


async def expiring(peer: Peer, seconds: int, user: str = "42") -> Object:
    reply = await peer.ask(connect={"token": token(user, exp=NOW + seconds)})
    result: Object = reply["connect"]
    return result


async def test_a_connection_is_told_when_it_ends_and_has_a_term_of_grace(serve: Serve) -> None:
    house = await with_tokens(serve, options=Options(ping_interval=0))
    peer = await house.dial()
    result = await expiring(peer, 60)
    assert (result["expires"], result["ttl"]) == (True, 60)
    house.pass_time(84)
    assert "error" in await peer.ask(history={"channel": "c"})
    house.pass_time(1.1)
    assert await peer.hang_up() == EXPIRED


async def test_a_ping_within_the_grace_does_not_end_it(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.dial()
    await expiring(peer, 1)
    house.pass_time(25)
    assert await peer.receive() == {}
    peer.send_text("{}")
    assert "error" in await peer.ask(history={"channel": "c"})
    house.pass_time(1.1)
    assert await peer.hang_up() == EXPIRED


async def test_expire_at_ends_the_connection_and_not_the_token(serve: Serve) -> None:
    house = await with_tokens(serve, options=Options(ping_interval=0))
    peer = await house.dial()
    claims = {"exp": NOW + 10, "expire_at": NOW + 3600}
    result = (await peer.ask(connect={"token": token("42", **claims)}))["connect"]
    assert result["ttl"] == 3600


async def test_a_refreshed_connection_stays(serve: Serve) -> None:
    house = await with_tokens(serve, options=Options(ping_interval=0))
    peer = await house.dial()
    await expiring(peer, 60)
    house.pass_time(60)
    reply = await peer.ask(refresh={"token": token("42", exp=NOW + 360)})
    assert reply == {"id": 2, "refresh": {"expires": True, "ttl": 300}}
    house.pass_time(320)
    assert "error" in await peer.ask(history={"channel": "c"})
    house.pass_time(5.1)
    assert await peer.hang_up() == EXPIRED


async def test_a_token_that_never_ends_takes_the_end_away(serve: Serve) -> None:
    house = await with_tokens(serve, options=Options(ping_interval=0))
    peer = await house.dial()
    await expiring(peer, 60)
    assert await peer.ask(refresh={"token": token("42")}) == {"id": 2, "refresh": {}}
    house.pass_time(100_000)
    assert "error" in await peer.ask(history={"channel": "c"})


async def test_new_scopes_come_with_a_new_token(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.peer(token("42"))
    assert (await peer.ask(publish={"channel": "c", "data": 1}))["error"]["code"] == 103
    await peer.ask(refresh={"token": token("42", scopes=["channels:publish"])})
    assert "publish" in await peer.ask(publish={"channel": "c", "data": 1})


@pytest.mark.parametrize(
    ("refresh", "closed"),
    [
        (token("43"), INVALID),
        ("a.b.c", INVALID),
        ("", Closed(3501, "bad request: a token is needed")),
        (token("42", exp=NOW), EXPIRED),
    ],
)
async def test_a_refresh_in_vain_ends_the_connection(
    serve: Serve, refresh: str, closed: Closed
) -> None:
    """One that has expired by now may come back, and is then told to fetch another."""
    house = await with_tokens(serve)
    peer = await house.peer(token("42"))
    peer.send(refresh={"token": refresh})
    assert await peer.hang_up() == closed


# Tokens for one channel


def ticket(channel: str, user: str = "42", **claims: Any) -> str:
    return token(user, channel=channel, **claims)


async def test_a_subscription_token_lets_into_its_channel(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.peer(token("42"))
    assert (await peer.ask(subscribe={"channel": "vip"}))["error"] == {
        "code": 103,
        "message": "permission denied",
    }
    result = await peer.subscribe("vip", token=ticket("vip"))
    assert set(result) == {"recoverable", "positioned", "epoch"}


async def test_it_says_what_others_see_and_what_the_subscriber_gets(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.peer(token("42", info={"name": "Ada"}))
    chair = ticket("vip", info={"seat": 7}, data={"welcome": True})
    result = await peer.subscribe("vip", token=chair, join_leave=True)
    assert result["data"] == {"welcome": True}
    info = {
        "user": "42",
        "client": peer.client,
        "conn_info": {"name": "Ada"},
        "chan_info": {"seat": 7},
    }
    assert await peer.pushed() == {"channel": "vip", "join": {"info": info, "first": True}}
    presence = await peer.ask(presence={"channel": "vip"})
    assert presence["presence"] == {"presence": {peer.client: info}}


@pytest.mark.parametrize("wrong", [ticket("other"), ticket("vip", "43")])
async def test_one_of_somebody_else_or_for_another_channel_ends_the_connection(
    serve: Serve, wrong: str
) -> None:
    house = await with_tokens(serve)
    peer = await house.peer(token("42"))
    peer.send(subscribe={"channel": "vip", "token": wrong})
    assert await peer.hang_up() == INVALID


@pytest.mark.parametrize(
    ("wrong", "number"),
    [("a.b.c", 103), (token("42"), 103), (ticket("vip", exp=NOW), 109)],
)
async def test_one_that_is_none_or_has_expired_is_refused(
    serve: Serve, wrong: str, number: int
) -> None:
    house = await with_tokens(serve)
    peer = await house.peer(token("42"))
    reply = await peer.ask(subscribe={"channel": "vip", "token": wrong})
    assert reply["error"]["code"] == number
    assert not house.hub.is_watched("vip")


async def test_a_subscription_token_does_not_let_in_at_the_door(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.dial()
    peer.send(connect={"token": ticket("vip")})
    assert await peer.hang_up() == INVALID


async def test_a_subscription_ends_with_its_token_and_the_connection_lives_on(
    serve: Serve,
) -> None:
    house = await with_tokens(serve, options=Options(ping_interval=0))
    peer = await house.peer(token("42"))
    result = await peer.subscribe("vip", token=ticket("vip", exp=NOW + 60))
    assert (result["expires"], result["ttl"]) == (True, 60)
    house.pass_time(84)
    assert house.hub.is_watched("vip")
    house.pass_time(1.1)
    assert await peer.pushed() == {
        "channel": "vip",
        "unsubscribe": {"code": 2501, "reason": "subscription expired"},
    }
    await house.until(lambda: not house.hub.is_watched("vip"))
    reply = await peer.ask(subscribe={"channel": "vip", "token": ticket("vip", exp=NOW + 60)})
    assert reply["error"]["code"] == 109
    await peer.subscribe("vip", token=ticket("vip"))


async def test_a_refreshed_subscription_stays(serve: Serve) -> None:
    house = await with_tokens(serve, options=Options(ping_interval=0))
    peer = await house.peer(token("42"))
    await peer.subscribe("vip", token=ticket("vip", exp=NOW + 60))
    house.pass_time(60)
    again = ticket("vip", exp=NOW + 120)
    reply = await peer.ask(sub_refresh={"channel": "vip", "token": again})
    assert reply == {"id": 3, "sub_refresh": {"expires": True, "ttl": 60}}
    house.pass_time(80)
    assert house.hub.is_watched("vip")
    for_ever = await peer.ask(sub_refresh={"channel": "vip", "token": ticket("vip")})
    assert for_ever == {"id": 4, "sub_refresh": {}}
    house.pass_time(100_000)
    assert house.hub.is_watched("vip")


async def test_what_ended_in_time_does_not_end_again(serve: Serve) -> None:
    """The deadline of a subscription goes with it, also if there is a new one by then."""
    house = await with_tokens(serve, options=Options(ping_interval=0))
    peer = await house.peer(token("42"))
    await peer.subscribe("vip", token=ticket("vip", exp=NOW + 60))
    await peer.ask(unsubscribe={"channel": "vip"})
    await peer.subscribe("vip", token=ticket("vip"))
    house.pass_time(1000)
    assert "publish" not in await peer.ask(publish={"channel": "vip", "data": 1})
    assert house.hub.is_watched("vip")


@pytest.mark.parametrize(
    ("wrong", "number"), [("a.b.c", 103), (ticket("vip", exp=NOW), 110), ("", 103)]
)
async def test_a_subscription_is_not_prolonged_by_anything_else(
    serve: Serve, wrong: str, number: int
) -> None:
    house = await with_tokens(serve)
    peer = await house.peer(token("42"))
    await peer.subscribe("vip", token=ticket("vip"))
    reply = await peer.ask(sub_refresh={"channel": "vip", "token": wrong})
    assert reply["error"]["code"] == number


async def test_a_foreign_token_in_a_sub_refresh_ends_the_connection(serve: Serve) -> None:
    house = await with_tokens(serve)
    peer = await house.peer(token("42"))
    await peer.subscribe("vip", token=ticket("vip"))
    peer.send(sub_refresh={"channel": "vip", "token": ticket("vip", "43")})
    assert await peer.hang_up() == INVALID
