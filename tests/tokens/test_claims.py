"""What a token says, when it holds, and what cannot be said."""

from __future__ import annotations

import base64
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.tokens import ChannelOptions, TokenError, TokenExpired, TokenInvalid
from realtime.tokens.signed import take_apart
from realtime.tokens.tokens import Expected
from tests.tokens.signers import NOW, by_hand, signer, taking, token

PACKED = base64.b64encode(b'{ "x": [1] }').decode()


def test_a_token_may_say_nothing_at_all() -> None:
    found = taking().connection(token())
    assert (found.user, found.expires, found.info, found.channels) == ("", math.inf, None, ())
    assert (dict(found.subs), found.meta, found.jti, found.issued_at) == ({}, None, "", 0.0)
    assert found.scopes is None


def test_a_connection_token_says_who_connects_and_to_what() -> None:
    claims: dict[str, Any] = {
        "sub": "42",
        "exp": NOW + 60,
        "iat": NOW - 5,
        "jti": "j1",
        "info": {"name": "Ada", "é": [1.50]},
        "channels": ["news", "sport", "news"],
        "subs": {
            "orders": {
                "info": {"a": 1},
                "b64data": PACKED,
                "override": {"presence": {"value": False}, "force_recovery": {"value": True}},
            },
            "plain": {},
        },
        "meta": {"plan": "gold"},
        "scopes": ["counters:read"],
        "unknown": {"to": "us"},
    }
    found = taking().connection(token(**claims))
    assert (found.user, found.expires, found.jti, found.issued_at) == (
        "42",
        NOW + 60,
        "j1",
        NOW - 5,
    )
    assert found.info == b'{"name":"Ada","\\u00e9":[1.5]}'
    assert found.channels == ("news", "sport")
    assert dict(found.subs) == {
        "orders": ChannelOptions(info=b'{"a":1}', data=b'{"x":[1]}', presence=False, recover=True),
        "plain": ChannelOptions(),
    }
    assert (found.meta, found.scopes) == (b'{"plan":"gold"}', frozenset({"counters:read"}))


def test_a_subscription_token_says_who_may_subscribe_to_what() -> None:
    text = token(
        sub="42",
        channel="orders",
        exp=NOW + 60,
        jti="j2",
        iat=NOW,
        info="x",
        client="c1",
        override={"join_leave": {"value": True}, "force_positioning": {"value": True}},
    )
    found = taking().subscription(text)
    assert (found.user, found.channel, found.expires) == ("42", "orders", NOW + 60)
    assert (found.jti, found.issued_at, found.client) == ("j2", NOW, "c1")
    assert found.options == ChannelOptions(info=b'"x"', join_leave=True, positioned=True)


def test_neither_kind_is_taken_for_the_other() -> None:
    with pytest.raises(TokenInvalid, match="for a channel, not for a connection"):
        taking().connection(token(sub="42", channel="c"))
    with pytest.raises(TokenInvalid, match="for a connection, not for a channel"):
        taking().subscription(token(sub="42"))


@pytest.mark.parametrize(
    ("claims", "expires"),
    [
        ({}, math.inf),
        ({"exp": NOW + 1}, NOW + 1),
        ({"exp": NOW + 0.5}, NOW + 0.5),
        ({"exp": NOW + 1, "expire_at": NOW + 100}, NOW + 100),
        ({"exp": NOW + 1, "expire_at": 0}, math.inf),
        ({"expire_at": NOW + 100}, NOW + 100),
        ({"exp": None, "expire_at": None}, math.inf),
    ],
)
def test_a_connection_lasts_as_long_as_its_token_or_as_that_says(
    claims: dict[str, Any], expires: float
) -> None:
    assert taking().connection(token(**claims)).expires == expires
    assert taking().subscription(token(channel="c", **claims)).expires == expires


def test_a_token_expires_to_the_instant_and_without_leeway() -> None:
    now = [NOW]
    tokens = taking(now=now)
    text = token(exp=NOW + 10)
    now[0] = NOW + 9.999
    tokens.connection(text)
    now[0] = NOW + 10
    with pytest.raises(TokenExpired, match="has expired"):
        tokens.connection(text)
    with pytest.raises(TokenExpired):
        tokens.subscription(token(channel="c", exp=NOW))


def test_a_token_does_not_hold_before_it_begins() -> None:
    now = [NOW - 0.001]
    tokens = taking(now=now)
    with pytest.raises(TokenInvalid, match="not valid yet"):
        tokens.connection(token(nbf=NOW))
    now[0] = NOW
    tokens.connection(token(nbf=NOW))


@pytest.mark.parametrize(
    ("claims", "taken"),
    [
        ({"aud": "game", "iss": "login"}, True),
        ({"aud": ["shop", "game"], "iss": "login"}, True),
        ({"aud": "games", "iss": "login"}, False),
        ({"aud": ["shop"], "iss": "login"}, False),
        ({"aud": [], "iss": "login"}, False),
        ({"iss": "login"}, False),
        ({"aud": "game"}, False),
        ({"aud": "game", "iss": "Login"}, False),
    ],
)
def test_a_token_is_for_us_and_from_whom_we_expect(claims: dict[str, Any], taken: bool) -> None:
    tokens = taking(expected=Expected("game", "login"))
    if taken:
        tokens.connection(token(**claims))
    else:
        with pytest.raises(TokenInvalid, match=r"another (audience|issuer)"):
            tokens.connection(token(**claims))


def test_whose_token_it_is_is_said_only_of_one_that_is_ours() -> None:
    """Who cannot sign learns nothing from the answer but that."""
    forged = by_hand({"alg": "HS256"}, {"exp": 1, "aud": "elsewhere"})
    with pytest.raises(TokenInvalid, match="not signed by a key"):
        taking(expected=Expected("game")).connection(forged)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": 42},
        {"sub": "a\x00b"},
        {"sub": "u" * 256},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": -1},
        {"exp": 1e300},
        {"jti": "j" * 256},
        {"channels": "news"},
        {"channels": [""]},
        {"channels": ["a\nb"]},
        {"subs": ["news"]},
        {"subs": {"": {}}},
        {"subs": {"news": {"override": {"presence": True}}}},
        {"meta": [1]},
        {"meta": "x"},
        {"b64info": "not base64!"},
        {"b64info": base64.b64encode(b"not JSON").decode()},
        {"b64info": base64.b64encode(b'"\xff"').decode()},
        {"scopes": "counters:read"},
        {"channel": 1},
    ],
)
def test_what_makes_no_sense_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        taking().connection(token(**claims))


@pytest.mark.parametrize("payload", ["[]", "1", "", '{"sub":', '{"info":' + "[" * 3000 + "}"])
def test_a_payload_is_an_object(payload: str) -> None:
    import jwt

    text = jwt.api_jws.encode(payload.encode(), signer("HS256").private, "HS256")
    with pytest.raises(TokenInvalid):
        taking().connection(text)


def test_info_is_one_line_of_text_that_breaks_no_frame() -> None:
    found = taking().connection(token(b64info=PACKED))
    assert found.info == b'{"x":[1]}'
    assert taking().connection(token(info=None)).info is None
    found = taking().connection(token(info="a\nb\u2028"))
    assert found.info is not None
    assert b"\n" not in found.info


def test_what_is_revoked_is_refused() -> None:
    asked: list[tuple[str, str, float]] = []

    def revoked(user: str, jti: str, issued_at: float) -> bool:
        asked.append((user, jti, issued_at))
        return user == "42"

    tokens = taking(revoked=revoked)
    tokens.connection(token(sub="41", jti="j", iat=NOW))
    for claims in ({"sub": "42"}, {"sub": "42", "channel": "c"}):
        with pytest.raises(TokenInvalid, match="was revoked"):
            tokens.claims(token(**claims))
    assert asked == [("41", "j", NOW), ("42", "", 0.0), ("42", "", 0.0)]


@given(st.text(max_size=200) | st.text("abcXYZ019_-.", max_size=200))
def test_no_text_is_more_than_refused(text: str) -> None:
    with pytest.raises(TokenInvalid):
        taking().connection(text)


@given(header=st.binary(max_size=60), payload=st.binary(max_size=60), mark=st.binary(max_size=40))
def test_neither_are_three_texts(header: bytes, payload: bytes, mark: bytes) -> None:
    with pytest.raises(TokenInvalid):
        taking().connection(by_hand(header, payload, mark))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
CLAIM = st.sampled_from(
    ["sub", "exp", "nbf", "iat", "iss", "aud", "jti", "info", "b64info", "channels", "subs", "meta",
     "scopes", "channel", "override", "expire_at", "client"]
)  # fmt: skip


@given(st.dictionaries(CLAIM, json_values, max_size=5))
def test_whatever_is_signed_is_understood_or_refused(claims: dict[str, Any]) -> None:
    text = signer("HS256").sign(claims)
    assert take_apart(text).algorithm == "HS256"
    for read in (taking().connection, taking().subscription):
        try:
            found = read(text)
        except TokenError:
            continue
        assert isinstance(found.user, str)
        assert found.expires >= NOW or claims.get("expire_at") is not None
