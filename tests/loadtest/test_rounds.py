"""Contenders take turns, and nobody's warm-up counts."""

from __future__ import annotations

from loadtest.compare import inside
from loadtest.compare.rounds import Contender, interleaved


def test_rounds_are_interleaved_and_the_first_is_not_kept() -> None:
    turns: list[str] = []

    def contender(name: str) -> Contender[int]:
        def measure(number: int) -> int:
            turns.append(name)
            return number

        return Contender(name, measure)

    figures = interleaved([contender("a"), contender("b")], 2)
    assert "".join(turns) == "ababab"
    assert figures == [(1, 2), (1, 2)]


def test_without_its_peer_ours_is_measured_and_the_peer_is_named() -> None:
    ours = Contender("ours", lambda number: 1.0)
    (row,) = inside.rows("work", [ours], "theirs: not installed", 4, 2)
    assert [line.name for line in row.lines] == ["ours"]
    assert row.missing == ("theirs: not installed",)


def test_each_of_ours_is_compared_with_the_same_rounds_of_the_peer() -> None:
    ours = [Contender("one", lambda number: 1.0), Contender("two", lambda number: 2.0)]
    rows = inside.rows("work", ours, Contender("theirs", lambda number: 8.0), 4, 1)
    assert [row.ratio(row.lines[1]) for row in rows] == [8.0, 4.0]
    assert [row.verdict(row.lines[1]) for row in rows] == ["met", "met"]
