"""A compaction is seen from the manifest, from its beginning to its end."""

from __future__ import annotations

from loadtest.compare.pauses import compactions


def test_a_compaction_lasts_while_there_is_an_increment_too_many() -> None:
    listings = enumerate([1, 1, 2, 2, 1, 1, 2, 1])
    assert list(compactions((float(now), number) for now, number in listings)) == [
        (2.0, 4.0),
        (6.0, 7.0),
    ]


def test_one_that_has_not_ended_is_not_counted() -> None:
    assert list(compactions([(0.0, 1), (1.0, 2), (2.0, 2)])) == []


def test_a_second_increment_too_many_does_not_begin_it_anew() -> None:
    """An attempt that failed leaves its increment, and the next one adds another."""
    listings = [(0.0, 1), (1.0, 2), (2.0, 3), (3.0, 1)]
    assert list(compactions(listings)) == [(1.0, 3.0)]
