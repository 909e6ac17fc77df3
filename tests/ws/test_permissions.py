"""Who may do what in which channel: audiences, names that list users, tokens, scopes."""

from __future__ import annotations

import pytest

from realtime.access import Principal
from realtime.services.namespaces import Audience, Namespace, Namespaces, Recovery
from realtime.ws.permissions import may_publish, may_read, may_subscribe
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.keys import token, with_tokens
from tests.ws.peer import Object

NOBODY, TOKEN, USERS, ANYONE = Audience

ADA = Principal("ada", frozenset(), user="ada", is_user=True)
NO_NAME = Principal("", frozenset(), is_user=True)
READER = Principal("ada", frozenset({"channels:read"}), user="ada", is_user=True)
KEY = Principal("backend", frozenset({"channels:read", "channels:publish"}), key="abc")
BARE_KEY = Principal("backend", frozenset({"counters:read"}), key="abc")


def of(audience: Audience) -> Namespace:
    return Namespace(
        subscribe=audience, publish=audience, read_history=audience, read_presence=audience
    )


@pytest.mark.parametrize(
    ("audience", "may"),
    [
        (NOBODY, {"key", "reader"}),
        (TOKEN, {"key", "reader", "holder"}),
        (USERS, {"key", "reader", "holder", "user"}),
        (ANYONE, {"key", "reader", "holder", "user", "no name"}),
    ],
)
def test_who_may_subscribe(audience: Audience, may: set[str]) -> None:
    namespace = of(audience)
    answers = {
        "key": may_subscribe(KEY, namespace, "c"),
        "bare key": may_subscribe(BARE_KEY, namespace, "c", has_token=True),
        "reader": may_subscribe(READER, namespace, "c"),
        "holder": may_subscribe(ADA, namespace, "c", has_token=True),
        "user": may_subscribe(ADA, namespace, "c"),
        "no name": may_subscribe(NO_NAME, namespace, "c"),
    }
    assert {who for who, answer in answers.items() if answer} == may


@pytest.mark.parametrize(
    ("audience", "may"),
    [
        (NOBODY, {"key"}),
        (TOKEN, {"key", "subscriber"}),
        (USERS, {"key", "subscriber", "user"}),
        (ANYONE, {"key", "subscriber", "user", "no name"}),
    ],
)
def test_who_may_act_in_a_channel(audience: Audience, may: set[str]) -> None:
    namespace = of(audience)
    subjects = {
        "key": (KEY, False),
        "bare key": (BARE_KEY, True),
        "subscriber": (NO_NAME, True),
        "user": (ADA, False),
        "no name": (NO_NAME, False),
    }
    publishers, readers = set(), set()
    for name, (who, subscribed) in subjects.items():
        if may_publish(who, namespace, "c", subscribed=subscribed):
            publishers.add(name)
        if may_read(who, audience, "c", subscribed=subscribed):
            readers.add(name)
    assert publishers == readers == may


@pytest.mark.parametrize(
    ("user", "channel", "may"),
    [
        ("42", "#42", True),
        ("4", "#42", False),
        ("", "#", False),
        ("", "draw#", False),
        ("42", "draw#42", True),
        ("42", "draw#41,42,43", True),
        ("2", "draw#41,42", False),
        ("43", "draw#42", False),
        # a name that holds what parts names must not let in somebody else
        ("a#b", "#a#b", True),
        ("b", "#a#b", False),
        ("a,b", "#a,b", True),
        ("a", "#a,b", False),
        ("b", "draw#a#b", False),
        ("a#b", "draw#a#b", True),
    ],
)
def test_a_name_lists_its_users(user: str, channel: str, may: bool) -> None:
    who = Principal(user, frozenset(), user=user, is_user=True)
    for audience in (TOKEN, USERS, ANYONE):
        assert may_subscribe(who, of(audience), channel) is may
    assert not may_subscribe(who, of(NOBODY), channel)
    assert may_publish(who, of(ANYONE), channel, subscribed=False) is may


def test_a_name_that_lists_users_lets_in_who_has_a_token_too() -> None:
    assert may_subscribe(ADA, of(TOKEN), "draw#42", has_token=True)


def test_a_live_board_is_read_with_the_scope_of_boards_or_by_its_namespace() -> None:
    boards = Principal("b", frozenset({"leaderboards:read"}), key="abc")
    assert may_subscribe(boards, of(NOBODY), "leaderboard:b")
    assert not may_subscribe(KEY, of(ANYONE), "leaderboard:b")
    assert may_subscribe(NO_NAME, of(ANYONE), "leaderboard:b")
    assert not may_subscribe(ADA, of(TOKEN), "leaderboard:b")


# The same, from outside

ROOMS = Namespace(
    name="rooms",
    prefix="room:",
    subscribe=USERS,
    publish=TOKEN,
    read_history=USERS,
    read_presence=NOBODY,
)
QUIET = Namespace(
    name="quiet", prefix="quiet:", history_size=0, presence=False, subscribe=ANYONE, publish=ANYONE,
    read_history=ANYONE, read_presence=ANYONE, join_leave=False,
)  # fmt: skip


async def inhabited(serve: Serve, *, strict: bool = False) -> House:
    names = Namespaces(Namespace(), [ROOMS, QUIET], strict=strict)
    return await with_tokens(serve, namespaces=names)


def number(reply: Object) -> int:
    """The error; 0 for none."""
    code: int = reply["error"]["code"] if "error" in reply else 0
    return code


async def test_a_namespace_decides_what_users_may(serve: Serve) -> None:
    house = await inhabited(serve)
    peer, nameless = await house.peer(token("ada")), await house.peer(token())
    publish = {"channel": "room:1", "data": 1}
    assert number(await peer.ask(publish=publish)) == 103
    await peer.subscribe("room:1")
    assert number(await peer.ask(publish=publish)) == 0
    assert number(await peer.ask(history={"channel": "room:1", "limit": 1})) == 0
    assert number(await peer.ask(presence={"channel": "room:1"})) == 103
    assert number(await peer.ask(presence_stats={"channel": "room:1"})) == 103
    assert number(await nameless.ask(subscribe={"channel": "room:1"})) == 103
    assert number(await nameless.ask(history={"channel": "room:1"})) == 103
    await peer.ask(unsubscribe={"channel": "room:1"})
    assert number(await peer.ask(publish=publish)) == 103


async def test_a_channel_of_no_namespace_needs_a_token(serve: Serve) -> None:
    house = await inhabited(serve)
    peer = await house.peer(token("ada"))
    assert number(await peer.ask(subscribe={"channel": "elsewhere"})) == 103
    await peer.subscribe("elsewhere", token=token("ada", channel="elsewhere"))
    assert number(await peer.ask(presence={"channel": "elsewhere"})) == 0
    await peer.subscribe("#ada")
    assert number(await peer.ask(subscribe={"channel": "#bob"})) == 103


async def test_where_names_are_strict_there_is_no_such_channel(serve: Serve) -> None:
    house = await inhabited(serve, strict=True)
    peer = await house.peer(token("ada", scopes=["*"]))
    for command in ("subscribe", "history", "presence", "presence_stats"):
        reply = await peer.ask(**{command: {"channel": "elsewhere"}})
        assert reply["error"] == {"code": 102, "message": "unknown channel"}
    assert number(await peer.ask(publish={"channel": "elsewhere", "data": 1})) == 102
    await peer.subscribe("room:1")
    await peer.subscribe("#ada")
    await peer.subscribe("leaderboard:b")


async def test_what_a_namespace_has_switched_off_is_not_available(serve: Serve) -> None:
    house = await inhabited(serve)
    peer = await house.peer(token("ada"))
    assert await peer.subscribe("quiet:1", join_leave=True, recover=True) == {}
    for command in ("history", "presence", "presence_stats"):
        reply = await peer.ask(**{command: {"channel": "quiet:1"}})
        assert reply["error"] == {"code": 108, "message": "not available"}
    other = await house.peer(token("bob"))
    await other.subscribe("quiet:1", join_leave=True)
    await other.ask(publish={"channel": "quiet:1", "data": 1})
    assert (await peer.pushed())["pub"]["data"] == 1  # and neither join
    assert (await other.pushed())["pub"]["data"] == 1
    assert await house.services.channels.presence("quiet:1") == []


async def test_a_position_without_recovery_is_for_those_who_ask(serve: Serve) -> None:
    names = Namespaces(Namespace(subscribe=ANYONE, recovery=Recovery.OFF))
    house = await serve(namespaces=names)
    peer, other = await house.peer(), await house.peer()
    position = await house.services.channels.publish("c", b"1")
    assert await peer.subscribe("c") == {}
    assert await other.subscribe("c", positioned=True) == {
        "positioned": True,
        "offset": 1,
        "epoch": position.epoch,
    }
