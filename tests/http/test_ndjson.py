"""Lines of JSON are the same however the body was cut, and a long one costs no memory."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from realtime.http.ndjson import Lines

BOUND = 8


def read(parts: list[bytes], first: int = 1) -> list[tuple[int, bytes | None]]:
    lines = Lines(BOUND, first)
    return [*(found for part in parts for found in lines.feed(part)), *lines.end()]


def expected(text: bytes) -> list[tuple[int, bytes | None]]:
    found = text.split(b"\n")
    if not found[-1]:
        found.pop()
    return [(n, line if len(line) <= BOUND else None) for n, line in enumerate(found, 1)]


@given(st.lists(st.text("ab\n", max_size=12).map(str.encode), max_size=12))
def test_lines_do_not_depend_on_how_the_body_was_cut(parts: list[bytes]) -> None:
    assert read(parts) == expected(b"".join(parts))


@given(st.text("ab\n", max_size=60).map(str.encode))
def test_lines_come_byte_by_byte(text: bytes) -> None:
    assert read([bytes([byte]) for byte in text]) == expected(text)


def test_the_first_line_may_have_any_number() -> None:
    assert read([b"a\nb"], first=7) == [(7, b"a"), (8, b"b")]


def test_a_line_without_an_end_is_not_kept() -> None:
    lines = Lines(BOUND)
    for _ in range(1_000):
        assert list(lines.feed(b"x" * 100)) == []
    assert sum(map(sys.getsizeof, lines._rest)) == 0
    assert [*lines.feed(b"\nok\n"), *lines.end()] == [(1, None), (2, b"ok")]
