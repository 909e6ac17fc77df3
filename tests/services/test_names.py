"""Names: what may stand in a key, a log line and a URL."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from realtime.backends import keys
from realtime.backends.livenames import LIVE_PREFIX, LiveName, live_channel, live_name
from realtime.errors import InvalidInput
from realtime.services.names import channel_bytes, name_bytes


@pytest.mark.parametrize("name", ["a", "ä" * 127, "x" * 255, "a b", "{a}", "🎮", "a/b", "%41"])
def test_a_name_is_its_utf8(name: str) -> None:
    assert name_bytes("board", name) == name.encode()


@pytest.mark.parametrize(
    "name",
    ["", "x" * 256, "ä" * 128, "a\nb", "\x00", "\x1b[31m", "a\x7f", "a\x85", "\ud800", "\udfff"],
)
def test_what_is_no_name_is_refused_and_says_what_it_was_to_be(name: str) -> None:
    with pytest.raises(InvalidInput, match="the board"):
        name_bytes("board", name)


names = st.binary(min_size=1) | st.text("{}%:=a7BD", min_size=1, max_size=12).map(str.encode)
"""Any, and those that are made of what keys are made of."""

tags = st.text("%:=ab", min_size=1, max_size=3).map(str.encode)

KINDS: dict[str, Callable[[bytes], bytes]] = {
    "board": keys.board_key,
    "rules": lambda name: keys.board_key(name) + keys.RULES,
    "metadata": lambda name: keys.board_key(name) + keys.META,
    "version": lambda name: keys.board_key(name) + keys.VERSION,
    "season": lambda name: keys.board_key(name) + keys.SEASON,
    "seasons": lambda name: keys.board_key(name) + keys.SEASONS,
    "archive": lambda name: keys.archive_key(keys.board_key(name), 1),
    "archived metadata": lambda name: keys.archive_key(keys.board_key(name), 1) + keys.META,
    "counter": keys.counter_key,
    "rule": keys.rule_key,
    "user": keys.user_key,
    "channel": keys.channel_key,
    "position": lambda name: keys.channel_key(name) + keys.META,
    "presence": keys.presence_key,
    "until": lambda name: keys.presence_key(name) + keys.UNTIL,
}


@given(st.sampled_from(list(KINDS)), names, st.sampled_from(list(KINDS)), names)
def test_no_two_names_and_no_two_kinds_meet_in_one_key(
    kind: str, name: bytes, other_kind: str, other: bytes
) -> None:
    same = (kind, name) == (other_kind, other)
    assert (KINDS[kind](name) == KINDS[other_kind](other)) == same


@given(names, st.sampled_from(list(KINDS)))
def test_a_board_is_found_by_its_key(name: bytes, kind: str) -> None:
    found = keys.board_of(KINDS[kind](name))
    assert found == (name if kind in ("board", "rules") else None)


@given(names, names, names, names)
def test_no_two_callers_meet_in_one_bucket(a: bytes, b: bytes, c: bytes, d: bytes) -> None:
    assert (keys.bucket_key(a, b) == keys.bucket_key(c, d)) == ((a, b) == (c, d))
    assert keys.bucket_key(a, b) != keys.rule_key(c)


@given(names, names)
def test_no_two_channels_meet_in_one_topic(name: bytes, other: bytes) -> None:
    live = LIVE_PREFIX.encode()
    for one in (name, live + name, live + name + b":" + other):
        for two in (other, live + other, live + other + b":" + name):
            assert (keys.topic_key(one) == keys.topic_key(two)) == (one == two)


@given(names)
def test_the_braces_of_a_key_are_a_hash_tag(name: bytes) -> None:
    """Redis takes what stands between the first ``{`` and the first ``}`` after it."""
    for key in (*(make(name) for make in KINDS.values()), keys.bucket_key(name, name)):
        assert key.index(b"}") > key.index(b"{") + 1
        assert key.count(b"{") == key.count(b"}") == 1 or key.startswith(b"user:")


@given(names, names)
def test_what_one_step_touches_lies_in_one_slot(name: bytes, other: bytes) -> None:
    board = keys.board_key(name)
    for suffix in (keys.RULES, keys.META, keys.VERSION, keys.SEASON, keys.SEASONS):
        assert key_slot(board + suffix) == key_slot(board)
    assert key_slot(keys.archive_key(board, 12)) == key_slot(board)
    live = live_channel(name.decode(errors="surrogateescape"))
    assert key_slot(keys.topic_key(live.encode(errors="surrogateescape"))) == key_slot(board)
    for make in (keys.channel_key, keys.presence_key):
        assert key_slot(make(name) + keys.META) == key_slot(make(name) + keys.UNTIL)
    session = keys.session_key(keys.shard_of(name), b"0123abcd")
    assert key_slot(session) == key_slot(keys.user_key(name))
    assert key_slot(keys.bucket_key(name, other)) == key_slot(keys.bucket_key(b"r", other))


@given(tags, names, names)
def test_names_that_share_a_tag_share_the_slot(tag: bytes, one: bytes, two: bytes) -> None:
    """As Redis' own keys do: that is how one step may touch two boards of a cluster."""
    for make in (keys.board_key, keys.counter_key, keys.channel_key):
        first, second = make(b"{%b}%b" % (tag, one)), make(b"%b{%b}" % (tag, tag))
        assert first != second
        assert key_slot(first) == key_slot(second) == key_slot(make(b"{%b}%b" % (tag, two)))
        assert key_slot(first) == key_slot(make(tag))


def test_a_tag_is_where_redis_would_see_one() -> None:
    assert keys.board_key(b"{arcade}:daily") == b"lb:{arcade}=%7Barcade%7D%3Adaily"
    assert key_slot(keys.board_key(b"{arcade}:daily")) == key_slot(b"{arcade}:daily")
    for without in (b"{}:daily", b"}{", b"{arcade", b"arcade}"):
        key = keys.board_key(without)
        assert key.endswith(b"}") and key.count(b"{") == 1


texts = st.text(min_size=1, max_size=12) | st.text("%:235Aa{}", min_size=1, max_size=12)


@given(texts, st.none() | texts)
def test_a_live_channel_says_what_it_shows(board: str, member: str | None) -> None:
    assert live_name(live_channel(board, member)) == (board, member)


@given(texts)
def test_no_live_channel_has_two_names(rest: str) -> None:
    try:
        name = live_name(LIVE_PREFIX + rest)
    except ValueError:
        return
    assert name is not None
    assert live_channel(*name) == LIVE_PREFIX + rest


def test_how_live_channels_are_written() -> None:
    assert live_channel("weekly") == "leaderboard:weekly"
    assert live_channel("{arcade}:daily", "ada") == "leaderboard:{arcade}%3Adaily:ada"
    assert live_name("leaderboard:a%253A:b:c%20") == LiveName("a%3A", "b:c%20")
    assert live_name("leaderboards:a") is None


@pytest.mark.parametrize(
    ("channel", "what"),
    [
        ("leaderboard:", "no board is named"),
        ("leaderboard::ada", "no board is named"),
        ("leaderboard:a:", "no member is named"),
        ("leaderboard:a%3ab", "a % is written %25"),
        ("leaderboard:100%", "a % is written %25"),
        ("leaderboard:%20:ada", "a % is written %25"),
    ],
)
def test_a_live_channel_that_says_nothing_is_refused(channel: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        channel_bytes(channel)
    assert keys.topic_key(channel.encode()) == keys.channel_key(channel.encode())
