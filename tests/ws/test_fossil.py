"""Deltas, as the stock clients apply them."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from centrifuge.fossil import apply_delta
from hypothesis import given
from hypothesis import strategies as st

from realtime.ws import fossil

scalars = st.one_of(st.integers(), st.text(max_size=30), st.booleans(), st.none())
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=8), st.dictionaries(st.text(max_size=8), inner, max_size=8)
    ),
    max_leaves=60,
)


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def check(source: bytes, target: bytes) -> bytes:
    """Both appliers, theirs and ours, get the target back; and it can travel as text."""
    difference = fossil.delta(source, target)
    assert difference is not None
    difference.decode()
    assert bytes(apply_delta(source, difference)) == target
    assert fossil.apply(source, difference) == target
    return difference


@given(documents, documents)
def test_any_document_can_become_any_other(source: Any, target: Any) -> None:
    check(encoded(source), encoded(target))


@given(st.text(), st.text(), st.text(), st.text(), st.integers(1, 40))
def test_versions_of_one_text(head: str, old: str, new: str, tail: str, times: int) -> None:
    check(
        (head * times + old + tail * times).encode(), (head * times + new + tail * times).encode()
    )


@given(st.lists(st.text("aé漢🎈", min_size=1), min_size=1, max_size=20), st.randoms())
def test_what_is_moved_about_is_cut_at_characters(parts: list[str], dice: random.Random) -> None:
    """The four characters have one to four bytes, and share some of them."""
    moved = dice.sample(parts, len(parts))
    check("".join(parts * 4).encode(), "".join(moved * 4).encode())


def test_a_small_change_makes_a_small_difference() -> None:
    rows = [{"rank": n, "member": f"player {n * 7919 % 1000}", "score": n * 31} for n in range(100)]
    before = encoded(rows)
    rows[40]["score"] = 7
    assert len(check(before, encoded(rows))) < 40
    rows.insert(0, rows.pop(70))
    assert len(check(before, encoded(rows))) < 200, "what has moved is found"


def test_the_same_is_next_to_nothing() -> None:
    text = encoded(list(range(1000)))
    assert len(check(text, text)) < 20


@pytest.mark.parametrize("size", [0, 1, 63, 64, 4095, 4096, 16 * 1024])
def test_any_length(size: int) -> None:
    check(b"", b"a" * size)
    check(b"b" * size, b"a" * size)
    check(b"a" * size, b"")


def test_what_is_too_long_is_not_compared() -> None:
    long = b"x" * (fossil.MAX_BYTES + 1)
    assert fossil.delta(long, b"x") is None
    assert fossil.delta(b"x", long) is None


def test_the_worst_is_bounded() -> None:
    """Nothing alike, or very much of it in small pieces: neither holds up the others for long."""
    dice = random.Random(1)
    noise = "".join(dice.choices("0123456789", k=fossil.MAX_BYTES)).encode()
    blocks = [noise[at : at + fossil.BLOCK] for at in range(0, len(noise), fossil.BLOCK)]
    dice.shuffle(blocks)
    for target in (noise[::-1], b"".join(blocks), b"ab" * (fossil.MAX_BYTES // 2)):
        started = time.process_time()
        check(noise, target)
        assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "difference",
    [
        b"",
        b"3",
        b"3\n",
        b"3\n3:abc",
        b"3\n3:ab",
        b"3\n3:abc0;",
        b"4\n3:abcMZ8V0;",
        b"3\n9@0,0;",
        b"3\n3@9,0;",
        b"!\n0;",
        b"\n3:abc1;",
    ],
)
def test_what_is_no_delta_of_this_source_is_refused(difference: bytes) -> None:
    with pytest.raises(fossil.BadDelta):
        fossil.apply(b"source", difference)
