"""Percent-encoding, strictly."""

from __future__ import annotations

import pytest

from realtime.errors import InvalidInput, InvalidRequest
from realtime.http.uri import asks_for_season, parse_query, path_segments, percent_decode


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", ""),
        (b"plain", "plain"),
        (b"%41%4a%4A", "AJJ"),
        (b"a%2Fb", "a/b"),
        (b"%C3%BC", "ü"),
        ("ü".encode(), "ü"),
        (b"%25zz", "%zz"),
        (b"+", "+"),
    ],
)
def test_octets_become_text(raw: bytes, text: str) -> None:
    assert percent_decode(raw) == text


@pytest.mark.parametrize(
    "raw", [b"%", b"%4", b"%zz", b"%%41", b"% 1", b"%+1", b"%ff", b"\xff", b"%C3", b"%ED%A0%80"]
)
def test_what_is_no_text_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        percent_decode(raw)


def test_a_path_is_split_before_it_is_decoded() -> None:
    assert path_segments("/v1/a/b", b"/v1/a%2Fb") == ["", "v1", "a/b"]
    assert path_segments("/v1/ü", "/v1/ü".encode()) == ["", "v1", "ü"]
    assert path_segments("/v1/a", b"/v1/a") == ["", "v1", "a"]
    assert path_segments("/v1/a", None) == ["", "v1", "a"]


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        (b"a=1&b=", {"a": "1", "b": ""}),
        (b"a=1&", {"a": "1"}),
        (b"a", {"a": ""}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a=%26+%2B", {"a": "& +"}),
        (b"%61=1", {"a": "1"}),
        (b"l=a,b%2Cc,", {"l": ["a", "b,c", ""]}),
        (b"a=1,2", {"a": "1,2"}),
    ],
)
def test_a_query_is_read(raw: bytes, values: dict[str, str]) -> None:
    assert parse_query(raw, {"l"}) == values


@pytest.mark.parametrize("raw", [b"a=1&a=1", b"a=1&%61=2", b"l=a&l=b"])
def test_a_parameter_is_given_once(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_query(raw, {"l"})


@pytest.mark.parametrize(
    "query", [b"season=1", b"limit=1&season=previous", b"s%65ason=1", b"%73%65%61%73%6f%6E=2"]
)
def test_a_season_is_asked_for_in_any_spelling(query: bytes) -> None:
    assert asks_for_season(query)
    assert "season" in parse_query(query, ())


@pytest.mark.parametrize("query", [b"", b"limit=1", b"view=daily&members=%73e", b"%"])
def test_whoever_asks_for_none_does_not(query: bytes) -> None:
    assert not asks_for_season(query)
