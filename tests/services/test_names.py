"""Names: what may stand in a key, a log line and a URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.backends import keys
from realtime.errors import InvalidInput
from realtime.services.names import name_bytes


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


@given(st.binary(min_size=1), st.binary(min_size=1), st.binary(min_size=1), st.binary(min_size=1))
def test_no_two_names_meet_in_one_key(a: bytes, b: bytes, c: bytes, d: bytes) -> None:
    assert (keys.bucket_key(a, b) == keys.bucket_key(c, d)) == ((a, b) == (c, d))
    assert (keys.board_key(a) == keys.board_key(c)) == (a == c)
    assert keys.board_key(a) + keys.META != keys.board_key(c)


@given(st.binary(min_size=1))
def test_the_braces_of_a_key_are_a_hash_tag(name: bytes) -> None:
    """Redis takes what stands between the first ``{`` and the first ``}`` after it."""
    for make in (keys.board_key, keys.counter_key, keys.rule_key, keys.user_key, keys.channel_key):
        key = make(name)
        start = key.index(b"{")
        assert key.index(b"}") == len(key) - 1 > start + 1
