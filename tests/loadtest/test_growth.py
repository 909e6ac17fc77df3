"""What is said of how a submit grows with its board, and how it is drawn."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from loadtest.compare import growth
from loadtest.compare.growth import SIZES, Curve, log_growth
from loadtest.compare.rounds import QUICK
from loadtest.growth import drawing

SLOW = Curve("slow", {size: (9.0, 2.0 * number, 0.0) for number, size in enumerate(SIZES, 1)})
FAST = Curve("fast", dict.fromkeys(SIZES, (2.0, 2.0, 2.0)))
OTHER = Curve("other", dict.fromkeys(SIZES[:-1], (20.0,)))


def test_a_curve_grows_by_its_medians_from_its_smallest_board() -> None:
    assert [SLOW.growth(size) for size in SIZES] == [1.0, 2.0, 3.0, 4.0, 4.5]
    assert log_growth(SIZES[0]) == 1.0
    assert log_growth(1_000_000) == pytest.approx(2.0)


def test_each_board_but_the_smallest_is_held_to_log_n(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "curves", lambda _: ([SLOW, FAST], OTHER))
    rows = growth.rows(QUICK)
    verdicts = [row.verdict(row.lines[0]) for row in rows]
    assert verdicts == [None, *["MISSED"] * 4, None, *["met"] * 4]
    assert [len(row.lines) for row in rows] == [2, 2, 2, 2, 1] * 2


def test_rows_say_why_redis_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "curves", lambda _: ([FAST], "not installed"))
    assert all(row.missing == ("not installed",) for row in growth.rows(QUICK))


def test_the_drawing_holds_every_curve_and_log_n() -> None:
    root = ElementTree.fromstring(drawing([SLOW, FAST, OTHER]))
    words = [found.text or "" for found in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"slow: 9 µs", "fast: 2 µs", "other: 20 µs", "log n"} <= set(words)
    lines = [found.get("points") for found in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert len(set(lines)) == 4
