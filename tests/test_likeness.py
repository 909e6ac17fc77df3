"""What is taken for a request like another one, held against the parser."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.likeness import likeness_of

LINES = st.sampled_from(
    [
        b"Host: a",
        b"Content: 3",
        b"Length: 4",
        b"Accept: */*",
        b"Content-Type: application/json",
    ]
)
NAMES = st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"])
SPACES = st.sampled_from([b"", b" ", b"  ", b"\t"])


class Read:
    """What the parser makes of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.body = b""
        self.wholes = 0
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.wholes += 1


@st.composite
def heads(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """A head in three pieces: the one in the middle are the digits of the length."""
    before = draw(st.lists(LINES, unique=True))
    behind = draw(st.lists(LINES, unique=True))
    said = draw(NAMES) + b":" + draw(SPACES)
    start = b"\r\n".join([b"POST /x HTTP/1.1", *before, said])
    return start, b"0", b"\r\n" + b"".join([line + b"\r\n" for line in behind]) + b"\r\n"


@given(heads(), st.binary(max_size=300), st.integers(0, 300))
def test_a_body_is_what_the_parser_says_it_is(
    pieces: tuple[bytes, bytes, bytes], body: bytes, said: int
) -> None:
    before, digits, behind = pieces
    likeness = likeness_of(before + digits + behind)
    assert likeness is not None
    assert likeness == (before, behind)
    found = likeness.body(before + b"%d" % said + behind + body)
    if said == len(body):
        read = Read(before + b"%d" % said + behind + body)
        assert (found, read.wholes) == (read.body, 1)
    else:
        assert found is None


@given(st.lists(LINES, unique=True), st.binary(max_size=3))
def test_without_a_length_there_is_no_body(lines: list[bytes], rest: bytes) -> None:
    head = b"\r\n".join([b"GET /x HTTP/1.1", *lines, b"", b""])
    likeness = likeness_of(head)
    assert likeness is not None
    assert likeness.body(head) == b""
    assert likeness.body(head + rest) == (None if rest else b"")
    assert likeness.body(head[:-1]) is None


@given(heads(), st.data())
def test_what_differs_anywhere_is_not_like_it(
    pieces: tuple[bytes, bytes, bytes], data: st.DataObject
) -> None:
    before, digits, behind = pieces
    likeness = likeness_of(before + digits + behind)
    assert likeness is not None
    at = data.draw(st.integers(0, len(before + behind) - 1))
    changed = bytearray(before + behind)
    changed[at] ^= data.draw(st.integers(1, 255))
    start, end = bytes(changed[: len(before)]), bytes(changed[len(before) :])
    assert likeness.body(start + digits + end) is None


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length: 3 ",
        b"X-Content-Length: 3",
        b"x: content-length: 4",
        b"Content-Length: 3\t",
    ],
)
def test_what_is_odd_is_like_nothing(line: bytes) -> None:
    """Rather parsed each time than taken for what it is not."""
    assert likeness_of(b"POST /x HTTP/1.1\r\n" + line + b"\r\n\r\n") is None
