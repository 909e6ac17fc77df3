"""One channel as Server-Sent Events, for those who have no client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest

from realtime import keyfile
from realtime.access import Access
from realtime.backends.base import Submit
from realtime.services.namespaces import Audience, Namespace, Namespaces
from realtime.tokens import Tokens
from realtime.tokens.keys import secret_key
from realtime.tokens.tokens import Keys
from realtime.ws.door import Options
from tests.stream.listener import Answer, Listener, asking, request
from tests.ws.conftest import Serve
from tests.ws.house import House, WallClock

Listen = Callable[..., Awaitable[Listener]]

SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """``await listen(house, channel, query, *headers)``: a listener with its answer's head."""
    async with AsyncExitStack() as stack:

        async def start(
            house: House, channel: str, query: str = "", *headers: str, **how: Any
        ) -> Listener:
            listener = await Listener.dial(house.port, **how)
            stack.push_async_callback(listener.end)
            target = f"/v1/channels/{quote(channel, safe='')}/events{query}"
            listener.say(request("GET", target, b"", *headers))
            await listener.respond()
            return listener

        yield start


async def listening(listen: Listen, house: House, channel: str, *more: str) -> Listener:
    """A listener that has its first position."""
    listener = await listen(house, channel, *more)
    assert listener.answer.status == 200, listener.answer
    await listener.event()
    return listener


async def publish(house: House, channel: str, data: object) -> None:
    await house.services.channels.publish(channel, json.dumps(data).encode())


async def test_an_event_is_a_publication_and_its_id_the_position(
    any_house: House, listen: Listen
) -> None:
    listener = await listen(any_house, "c")
    media = listener.answer.headers["content-type"]
    assert media.partition(";")[0] == "text/event-stream"
    start = await listener.event()
    assert (start.data, start.kind) == ("", "message"), "it is not dispatched, but it has an id"
    offset, _, epoch = (start.id or "").partition(".")
    assert offset == "0"
    assert epoch
    await publish(any_house, "c", {"text": "ü\n"})
    event = await listener.event()
    assert (event.kind, event.id) == ("message", f"1.{epoch}")
    assert event.json == {"data": {"text": "ü\n"}, "offset": 1}


async def test_line_ends_within_json_do_not_end_an_event(any_house: House, listen: Listen) -> None:
    listener = await listening(listen, any_house, "c")
    await any_house.services.channels.publish("c", b'{\r\n"a":\r1,\n"b":2}')
    assert (await listener.event()).json["data"] == {"a": 1, "b": 2}
    back = await listen(any_house, "c", "?last_event_id=0." + await epoch_of(any_house, "c"))
    await back.event()
    assert (await back.event()).json["data"] == {"a": 1, "b": 2}


async def epoch_of(house: House, channel: str) -> str:
    return (await house.services.channels.history(channel)).position.epoch


@pytest.mark.parametrize("how", ["header", "query"])
async def test_the_last_event_id_recovers_what_was_missed(
    any_house: House, listen: Listen, how: str
) -> None:
    listener = await listening(listen, any_house, "c")
    await publish(any_house, "c", 1)
    last = (await listener.event()).id
    await listener.end()
    for number in (2, 3):
        await publish(any_house, "c", number)
    if how == "header":
        back = await listen(any_house, "c", "", f"Last-Event-ID: {last}")
    else:
        back = await listen(any_house, "c", f"?last_event_id={last}")
    assert (await back.event()).kind == "message"
    await publish(any_house, "c", 4)
    events = [await back.event() for _ in range(3)]
    assert [event.json["data"] for event in events] == [2, 3, 4]
    assert [int((event.id or "").partition(".")[0]) for event in events] == [2, 3, 4]


async def test_nothing_missed_is_recovered_too(any_house: House, listen: Listen) -> None:
    first = await (await listen(any_house, "c")).event()
    back = await listen(any_house, "c", f"?last_event_id={first.id}")
    assert (await back.event()) == first


@pytest.mark.parametrize("last", ["0.other", "9007199254740992.other"])
async def test_who_cannot_recover_is_told(any_house: House, listen: Listen, last: str) -> None:
    await publish(any_house, "c", 1)
    listener = await listen(any_house, "c", f"?last_event_id={last}")
    lost = await listener.event()
    position = {"offset": 1, "epoch": await epoch_of(any_house, "c")}
    assert (lost.kind, lost.json, lost.id) == ("lost", position, f"1.{position['epoch']}")
    await publish(any_house, "c", 2)
    assert (await listener.event()).json["data"] == 2


async def test_so_is_who_was_away_for_too_long(serve: Serve, listen: Listen) -> None:
    house = await serve(namespaces=Namespaces(Namespace(history_size=2)))
    for number in range(5):
        await publish(house, "c", number)
    epoch = await epoch_of(house, "c")
    assert (await (await listen(house, "c", f"?last_event_id=3.{epoch}")).event()).kind != "lost"
    assert (await (await listen(house, "c", f"?last_event_id=2.{epoch}")).event()).kind == "lost"


async def test_a_channel_without_history_has_no_ids(serve: Serve, listen: Listen) -> None:
    house = await serve(namespaces=Namespaces(Namespace(history_size=0)))
    listener = await listen(house, "c", "?last_event_id=1.x")
    lost = await listener.event()
    assert (lost.kind, lost.id) == ("lost", None)
    await publish(house, "c", 1)
    event = await listener.event()
    assert (event.id, event.json) == (None, {"data": 1})


@pytest.mark.parametrize("last", ["x", "1", "1.", ".x", "-1.x", "1.x%20y", "9007199254740993.x"])
async def test_what_is_no_id_of_ours_is_refused(
    near_house: House, listen: Listen, last: str
) -> None:
    answer = (await listen(near_house, "c", f"?last_event_id={last}")).answer
    assert (answer.status, answer.problem["type"]) == (422, "/docs/errors#invalid-input")


async def test_a_channel_is_named_as_anywhere_in_the_api(any_house: House, listen: Listen) -> None:
    listener = await listening(listen, any_house, "räume/a?b#c%")
    await publish(any_house, "räume/a?b#c%", 1)
    assert (await listener.event()).json["data"] == 1


@pytest.mark.parametrize("channel", ["x" * 256, "a\x00b", "\x00emulation:x"])
async def test_a_bad_name_is_refused(any_house: House, listen: Listen, channel: str) -> None:
    assert (await listen(any_house, channel)).answer.status == 422


async def test_half_an_escape_is_refused(near_house: House) -> None:
    for name in ("%", "%f", "%zz", "%ff"):
        assert (
            await asking(near_house.port, request("GET", f"/v1/channels/{name}/events"))
        ).status == 400


async def test_a_subscriber_is_present_until_it_hangs_up(any_house: House, listen: Listen) -> None:
    listener = await listening(listen, any_house, "c")
    (member,) = await any_house.services.channels.presence("c")
    assert any_house.door.clients.get(member.client) is not None
    await listener.end()
    await any_house.until(lambda: len(any_house.door.clients) == 0)
    await any_house.until(lambda: not any_house.state.tasks)
    assert not await any_house.services.channels.presence("c")


async def test_a_comment_keeps_it_alive_and_wants_no_answer(
    near_house: House, listen: Listen
) -> None:
    listener = await listening(listen, near_house, "c")
    for _ in range(5):
        near_house.pass_time(25)
        assert (await listener.event()).comment == ""
    await publish(near_house, "c", 1)
    assert (await listener.event()).json["data"] == 1


async def test_it_ends_with_an_event_that_says_why(any_house: House, listen: Listen) -> None:
    listener = await listening(listen, any_house, "c")
    await publish(any_house, "c", 1)
    assert (await listener.event()).json["data"] == 1
    any_house.shut_down()
    event = await listener.event()
    assert (event.kind, event.json) == ("close", {"code": 3001, "reason": "shutdown"})
    await listener.eof()


async def test_a_slow_reader_is_closed(serve: Serve, listen: Listen) -> None:
    house = await serve(options=Options(queue_bytes=100_000))
    listener = await listen(house, "c", receive_buffer=4096)
    while 3008 not in house.hub.closes:
        await publish(house, "c", "x" * 10_000)
        await asyncio.sleep(0)
    while (event := await listener.event()).kind != "close":
        pass
    assert event.json["code"] == 3008
    await listener.eof()


async def test_all_get_the_same_bytes_those_of_other_transports_as_well(
    any_house: House, listen: Listen
) -> None:
    listeners = [await listening(listen, any_house, "c") for _ in range(10)]
    peer = await any_house.peer()
    await peer.subscribe("c")
    for number in range(50):
        await publish(any_house, "c", number)
    for number in range(50):
        assert await peer.published() == number
        for listener in listeners:
            assert (await listener.event()).json["data"] == number


async def test_a_live_leaderboard_shows_itself_at_once(any_house: House, listen: Listen) -> None:
    await any_house.services.leaderboards.submit("b", [Submit(b"ada", 10)])
    listener = await listen(any_house, "leaderboard:b")
    await listener.event()
    board = (await listener.event()).json["data"]
    assert board["entries"] == [{"rank": 1, "member": "ada", "score": 10}]
    await any_house.services.leaderboards.submit("b", [Submit(b"eve", 20)])
    board = (await listener.event()).json["data"]
    assert [entry["member"] for entry in board["entries"]] == ["eve", "ada"]


async def test_a_pattern_is_listened_to_like_a_channel(serve: Serve, listen: Listen) -> None:
    orders = Namespace(name="orders", prefix="orders.", wildcards=True)
    house = await serve(namespaces=Namespaces(Namespace(), [orders]))
    everything = await listening(listen, house, "orders.*")
    europe = await listening(listen, house, "orders.eu.*")
    for number, channel in enumerate(("orders.eu.1", "orders.us.1", "orders.eu.2")):
        await publish(house, channel, number)
    events = [await everything.event() for _ in range(3)]
    assert [event.json["channel"] for event in events] == [
        "orders.eu.1", "orders.us.1", "orders.eu.2",
    ]  # fmt: skip
    assert [(await europe.event()).json["data"] for _ in range(2)] == [0, 2]
    back = await listen(house, "orders.eu.*", f"?last_event_id={events[0].id}")
    await back.event()
    assert (await back.event()).json == {
        "data": 2,
        "offset": 3,
        "tags": {"channel": "orders.eu.2"},
        "channel": "orders.eu.2",
    }


# Who may


class KeyFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def issue(self, *scopes: str) -> str:
        issued = keyfile.issue("of " + " ".join(scopes), scopes, datetime.now(UTC))
        keyfile.add(self.path, issued.record)
        return issued.text


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


async def test_a_key_needs_the_scope(serve: Serve, listen: Listen, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    reader, other = keys.issue("channels:read"), keys.issue("counters:*")
    house = await serve(access=Access(keys.path))

    async def status(*headers: str) -> int:
        return (await listen(house, "c", "", *headers)).answer.status

    assert await status(bearer(reader)) == 200
    assert await status() == 401
    assert await status(bearer("x")) == 401
    assert await status(bearer(other)) == 403


async def test_a_key_does_not_belong_in_a_url(serve: Serve, listen: Listen, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    house = await serve(access=Access(keys.path))
    answer = (await listen(house, "c", f"?token={keys.issue('*')}")).answer
    assert answer.status == 422
    assert "does not belong in a URL" in answer.problem["detail"]


@pytest.fixture
def wall() -> WallClock:
    return WallClock()


@pytest.fixture
async def users(serve: Serve, wall: WallClock) -> House:
    """A service to which users come with tokens, and each of them has a channel of their own."""
    tokens = Tokens(Keys(secret=secret_key(SECRET.encode())), now=wall)
    anyone = Namespace(name="open", prefix="open:", subscribe=Audience.USERS)
    return await serve(
        access=Access(None, now=wall, tokens=tokens),
        wall=wall,
        options=Options(personal_channels=True),
        namespaces=Namespaces(Namespace(), [anyone]),
    )


def token(user: str, **claims: object) -> str:
    return jwt.encode({"sub": user, **claims}, SECRET)


async def test_a_user_listens_to_what_users_may(users: House, listen: Listen) -> None:
    async def answer(channel: str, *more: str) -> Answer:
        return (await listen(users, channel, *more)).answer

    assert (await answer("open:1", f"?token={token('ada')}")).status == 200
    assert (await answer("open:1", "", bearer(token("ada")))).status == 200
    assert (await answer("open:1", f"?token={token('')}")).status == 403
    assert (await answer("c", f"?token={token('ada')}")).status == 403
    assert (await answer("open:1")).status == 401
    forged = jwt.encode({"sub": "ada"}, SECRET[::-1])
    assert (await answer("open:1", f"?token={forged}")).status == 401


async def test_a_token_ends_the_stream_when_it_ends(
    users: House, wall: WallClock, listen: Listen
) -> None:
    short = token("ada", exp=int(wall.at) + 10)
    listener = await listening(listen, users, "open:1", f"?token={short}")
    users.pass_time(9)
    users.pass_time(30)
    while (event := await listener.event()).kind != "close":
        assert event.comment == ""
    assert event.json["code"] == 3005
    answer = (await listen(users, "open:1", f"?token={short}")).answer
    assert (answer.status, answer.problem["detail"]) == (401, "token expired")


async def test_it_carries_one_channel_whatever_else_a_token_subscribes_to(
    users: House, listen: Listen
) -> None:
    generous = token("ada", channels=["open:2"])
    listener = await listening(listen, users, "open:1", f"?token={generous}")
    await publish(users, "#ada", "own")
    await publish(users, "open:2", "other")
    await publish(users, "open:1", "asked for")
    assert (await listener.event()).json["data"] == "asked for"


async def test_a_token_may_name_the_channel_instead(users: House, listen: Listen) -> None:
    """One that subscribes its user to it, or a token of its own for the subscription."""
    named = token("ada", channels=["c"])
    listener = await listening(listen, users, "c", f"?token={named}")
    await publish(users, "c", 1)
    last = await listener.event()
    assert last.json["data"] == 1
    await publish(users, "c", 2)
    back = await listen(users, "c", f"?token={named}&last_event_id={last.id}")
    await back.event()
    assert (await back.event()).json["data"] == 2
    of_channel = jwt.encode({"sub": "eve", "channel": "c"}, SECRET)
    query = f"?token={token('eve')}&subscription_token={of_channel}"
    assert (await listen(users, "c", query)).answer.status == 200
    query = f"?token={token('ada')}&subscription_token={of_channel}"
    assert (await listen(users, "c", query)).answer.status == 401


async def test_a_user_may_listen_to_their_own_channel(users: House, listen: Listen) -> None:
    listener = await listening(listen, users, "#ada", f"?token={token('ada')}")
    await publish(users, "#ada", 1)
    assert (await listener.event()).json["data"] == 1
    assert (await listen(users, "#ada", f"?token={token('eve')}")).answer.status == 403


async def test_who_is_sent_away_is_told(users: House, listen: Listen) -> None:
    listener = await listening(listen, users, "open:1", f"?token={token('ada')}")
    (client,) = users.door.clients.of("ada")
    users.send_away(client.id)
    assert (await listener.event()).json == {"code": 3503, "reason": "force disconnect"}
    await listener.eof()


async def test_who_is_unsubscribed_by_the_service_is_told(users: House, listen: Listen) -> None:
    listener = await listening(listen, users, "open:1", f"?token={token('ada')}")
    (client,) = users.door.clients.of("ada")
    client.unsubscribe("open:1")
    event = await listener.event()
    assert (event.kind, event.json["code"]) == ("close", 2000)
    await listener.eof()
