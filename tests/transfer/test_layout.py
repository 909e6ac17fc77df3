"""Which keys travel: all that `realtime.backends.keys` makes, and nothing that others make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from realtime.backends import keys
from realtime.backends.redis.presence import NODES_KEY
from realtime.transfer.layout import is_ours, shown, stays, temporary

NAMES = st.binary(min_size=1, max_size=12)


def made_of(name: bytes, other: bytes) -> list[bytes]:
    """Every key of a world in which things have these names."""
    board, channel = keys.board_key(name), keys.channel_key(name)
    shard = keys.shard_of(name)
    return [
        *(board, board + keys.META, board + keys.RULES, board + keys.VERSION),
        *(board + keys.SEASON, board + keys.SEASONS, keys.archive_key(board, 7), keys.SEASON_INDEX),
        *(keys.counter_key(name), keys.rule_key(name), keys.bucket_key(name, other)),
        *(keys.session_key(shard, b"00ff"), keys.user_key(name), channel, channel + keys.META),
        keys.idempotency_key(b"00ff"),
        *keys.departure_keys(keys.departure_shard(name))[:5],
    ]


@given(NAMES, NAMES)
def test_every_key_of_ours_travels_and_is_built_in_its_own_slot(name: bytes, other: bytes) -> None:
    for key in made_of(name, other):
        assert is_ours(key)
        assert not stays(key)
        assert key_slot(temporary(key)) == key_slot(key)
        assert not is_ours(temporary(key))


@given(NAMES)
def test_who_is_present_stays_where_they_are(name: bytes) -> None:
    presence = keys.presence_key(name)
    for key in (presence, presence + keys.UNTIL, NODES_KEY, b"node:{%b}" % name):
        assert stays(key)
        assert not is_ours(key)


@given(NAMES)
def test_who_is_connected_to_which_node_stays_there(name: bytes) -> None:
    departures = keys.departure_keys(keys.departure_shard(name))
    for key in (departures.here + b":" + name, departures.watch):
        assert stays(key)
        assert not is_ours(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "queue",
        "lb:mine",
        "lb",
        "user:42",
        "user:{42}:followers",
        "sess:{abcd}",
        "rl:a",
        "rl:}{",
        "left:{a}",
        "left:{a}:here\n",
        "left:{aa}:here",
        "left:{g}:gone",
        "seasons",
        "seasons:{mine}",
        "seasons:{all}:",
    ],
)
def test_keys_that_look_a_little_like_ours_are_not(key: str) -> None:
    assert not is_ours(key.encode())
    assert not stays(key.encode())


def test_a_key_on_a_terminal_does_nothing_to_it() -> None:
    assert shown("cnt:{ü\x1b[2J\n}".encode() + b"\xff") == r"cnt:{ü\x1b[2J\n}\xff"
