"""The table of comparisons says what was measured, and does not flatter."""

from __future__ import annotations

import json

import pytest

from loadtest.compare.report import Better, Line, Row, document, table


def row(ours: float, theirs: float, better: Better, target: float | None = None) -> Row:
    lines = (Line("ours", (ours,)), Line("theirs", (theirs,), target=target))
    return Row("work", "unit", better, lines)


@pytest.mark.parametrize(
    ("ours", "theirs", "better", "ratio"),
    [
        (300, 100, "higher", 3.0),
        (50, 100, "higher", 0.5),
        (2, 8, "lower", 4.0),
        (8, 2, "lower", 0.25),
    ],
)
def test_a_ratio_says_how_many_times_as_good_we_are(
    ours: float, theirs: float, better: Better, ratio: float
) -> None:
    measured = row(ours, theirs, better)
    assert measured.ratio(measured.lines[1]) == ratio
    assert f"{ratio:.2f}x" in table([measured])


def test_the_median_counts_not_the_best_round() -> None:
    assert Line("ours", (1.0, 2.0, 90.0)).median == 2.0


def test_a_missed_target_is_said_aloud() -> None:
    assert ">= 3x MISSED" in table([row(299, 100, "higher", target=3)])
    assert ">= 3x met" in table([row(300, 100, "higher", target=3)])
    most = Row("work", "µs", "lower", (Line("ours", (5.1,)),), at_most=5)
    assert "<= 5 MISSED" in table([most])


def test_who_is_missing_is_named_even_if_nothing_was_measured() -> None:
    text = table([Row("work", "-", "higher", missing=("wrk is not installed",))])
    assert "not measured: wrk is not installed" in text


def test_the_document_holds_every_round_and_is_json() -> None:
    (found,) = json.loads(json.dumps(document([row(300, 100, "higher", target=4)])))
    assert found["lines"][0]["figures"] == [300]
    assert found["lines"][1]["ratio"] == 3.0
    assert found["lines"][1]["verdict"] == "MISSED"
