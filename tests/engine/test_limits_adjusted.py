"""What is given back, and what is settled to another cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import MINUTE, SECOND, ManualClock
from engine.engine import Engine
from engine.limits import (
    CalendarWindow,
    FixedWindow,
    LimitRule,
    SlidingLog,
    SlidingWindow,
    TokenBucket,
)
from tests.engine.test_limits import KEY, rules, traffic

BY_HAND: list[LimitRule] = [
    TokenBucket(5, SECOND, 5),
    FixedWindow(5, SECOND),
    SlidingWindow(5, SECOND),
    SlidingLog(5, SECOND),
]


@given(rules, traffic, st.lists(st.integers(-30, 30), max_size=20))
def test_what_is_given_back_never_makes_more_than_full(
    rule: LimitRule, steps: list[tuple[int, int]], adjustments: list[int]
) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    for (pause, cost), by in zip(steps, adjustments, strict=False):
        clock.advance(pause)
        before = engine.buckets.take(KEY, rule, cost)
        after = engine.buckets.adjust(KEY, rule, by)
        assert 0 <= after.remaining <= rule.limit
        if by >= 0:
            assert after.remaining == max(0, before.remaining - by)
        elif not isinstance(rule, SlidingWindow):  # there, what the last window spent weighs less
            assert after.remaining == min(rule.limit, before.remaining - by)
        if after.remaining == rule.limit and after.reset_after == 0:
            assert engine.strings.get(KEY) is None


@given(rules, st.integers(1, 20), st.integers(0, 20))
def test_an_estimate_that_is_settled_leaves_what_the_real_cost_would_have_left(
    rule: LimitRule, estimate: int, real: int
) -> None:
    estimated, charged = Engine(ManualClock()), Engine(ManualClock())
    estimate, real = min(estimate, rule.limit), min(real, rule.limit)
    estimated.buckets.take(KEY, rule, estimate)
    after = estimated.buckets.adjust(KEY, rule, real - estimate)
    charged.buckets.take(KEY, rule, real)
    assert after == charged.buckets.take(KEY, rule, 0)


@given(rules, st.integers(1, 20), st.integers(0, 20), traffic, st.integers(0, 5 * SECOND))
def test_what_the_clock_has_given_back_is_not_given_back_once_more(
    rule: LimitRule, estimate: int, real: int, steps: list[tuple[int, int]], pause: int
) -> None:
    """Whoever is charged the real cost from the start never has less left."""
    clock = ManualClock()
    estimated, charged = Engine(clock), Engine(clock)
    estimate = min(estimate, rule.limit)
    real = min(real, estimate)
    held = estimated.buckets.take(KEY, rule, estimate)
    until = clock() + held.reset_after
    charged.buckets.take(KEY, rule, real)
    for between, cost in steps[:6]:
        clock.advance(between)
        if estimated.buckets.take(KEY, rule, cost).allowed:
            charged.buckets.take(KEY, rule, cost)
    clock.advance(pause)
    before = estimated.buckets.take(KEY, rule, 0)
    after = estimated.buckets.adjust(KEY, rule, real - estimate, until)
    assert before.remaining <= after.remaining
    assert after.remaining <= charged.buckets.take(KEY, rule, 0).remaining
    if clock() >= until:
        assert after == before


@pytest.mark.parametrize("rule", BY_HAND, ids=str)
def test_what_was_saved_in_one_window_is_not_spent_in_the_next_one(rule: LimitRule) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    clock.now = clock.now // SECOND * SECOND + SECOND // 2
    held = engine.buckets.take(KEY, rule, 5)
    until = clock() + held.reset_after
    clock.advance(held.reset_after)
    assert engine.buckets.take(KEY, rule, 5).allowed
    assert engine.buckets.adjust(KEY, rule, -5, until).remaining == 0


def test_what_another_algorithm_left_is_nothing_to_a_log_even_if_it_lies_ahead() -> None:
    clock = ManualClock()
    engine, rule = Engine(clock), SlidingLog(1, 1)
    engine.buckets.take(KEY, CalendarWindow(5, clock(), clock() + 9))
    assert not engine.buckets.take(KEY, rule, 2).allowed
    assert engine.buckets.take(KEY, rule).allowed


@pytest.mark.parametrize("rule", BY_HAND, ids=str)
def test_what_is_given_back_after_the_clock_stepped_back_is_not_lost(rule: LimitRule) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    engine.buckets.take(KEY, rule, 5)
    clock.advance(-MINUTE)
    assert engine.buckets.take(KEY, rule, 0).remaining == 0
    assert engine.buckets.adjust(KEY, rule, -3).remaining == 3
