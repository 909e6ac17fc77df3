"""What is said of how a submit grows with its board, and how it is drawn."""

from __future__ import annotations

from math import log10
from xml.etree import ElementTree

import pytest

from loadtest.compare import growth
from loadtest.compare.growth import SIZES, Curve
from loadtest.compare.rounds import QUICK
from loadtest.growth import drawing

STRAIGHT = Curve("straight", {size: (2 + log10(size), log10(size)) for size in SIZES})
BENT = Curve("bent", {size: (size**0.5, 1 + size**0.5) for size in SIZES})
OTHER = Curve("other", dict.fromkeys(SIZES[:-1], (20.0, 20.0)))


def test_a_curve_grows_by_its_medians_from_its_smallest_board() -> None:
    curve = Curve("c", {size: (9.0, 2.0 * number, 0.0) for number, size in enumerate(SIZES, 1)})
    assert [curve.growth(size) for size in SIZES] == [1.0, 2.0, 3.0, 4.0, 4.5]


def test_what_grows_as_log_n_is_a_straight_line() -> None:
    assert STRAIGHT.straightness() == pytest.approx((1.0, 1.0))
    assert max(BENT.straightness()) < 0.85


def test_each_board_but_the_smallest_is_held_to_log_n(monkeypatch: pytest.MonkeyPatch) -> None:
    level = Curve("level", {size: (2 + number / 10,) for number, size in enumerate(SIZES)})
    alone = BENT._replace(alone=True)
    monkeypatch.setattr(growth, "curves", lambda _: ([BENT, level, alone], [STRAIGHT, OTHER], ()))
    rows = growth.rows(QUICK)
    assert [len(row.lines) for row in rows] == [1] * 12 + [3, 3, 3, 3, 2, 2]
    verdicts = [row.verdict(row.lines[0]) for row in rows]
    assert verdicts == [
        None,
        *["MISSED"] * 4,
        None,
        None,
        *["met"] * 4,
        None,
        None,
        *["MISSED"] * 4,
        None,
    ]


def test_rows_say_why_redis_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = BENT._replace(alone=True)
    monkeypatch.setattr(growth, "curves", lambda _: ([STRAIGHT, alone], [], ("not installed",)))
    rows = growth.rows(QUICK)
    assert [row.missing for row in rows] == [()] * 6 + [("not installed",)] * 6
    assert [len(row.lines) for row in rows] == [1] * 12


def test_the_drawing_holds_every_curve_and_what_it_is_held_to() -> None:
    root = ElementTree.fromstring(drawing([STRAIGHT, BENT._replace(alone=True)]))
    words = [found.text or "" for found in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"straight: 7.48 µs", "bent: 1.73e+03 µs"} <= set(words)
    lines = list(root.iter("{http://www.w3.org/2000/svg}polyline"))
    assert [line.get("stroke-dasharray") is not None for line in lines] == [True, False, False]


def test_a_store_has_as_many_members_whatever_its_boards_are() -> None:
    assert {size: len(growth._names(size)) * size for size in SIZES} == dict.fromkeys(
        SIZES, 3_000_000
    )
