"""Which entry stands at a percentile, whatever doubles make of per cents."""

from __future__ import annotations

from fractions import Fraction

import pytest

from engine.standings import index_at, no_better


@pytest.mark.parametrize("total", [*range(1, 200), 9_999, 10**6 + 3])
def test_what_an_entry_is_told_leads_to_it_again(total: int) -> None:
    step = max(1, total // 200)
    for better in range(0, total, step):
        assert index_at(total, no_better(total, better)) == better


@pytest.mark.parametrize("total", [1, 2, 3, 7, 10, 100, 1_000, 12_345, 3_000_000])
def test_per_cents_that_people_write_are_exact(total: int) -> None:
    for thousandths in range(0, 100_001, 50):
        exact = Fraction(total * (100_000 - thousandths), 100_000)
        assert index_at(total, thousandths / 1_000) == max(0, min(total - 1, int(exact)))


def test_of_nobody_it_is_the_first() -> None:
    assert index_at(0, 50) == 0
