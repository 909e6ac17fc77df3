"""What limiters are known to get wrong, each once. Others of the kind stand where they belong:
a debt that is forgotten and a rate that loses its fractions in `test_limits.py`, quota for who
makes us forget in `test_room.py`, one bucket for all callers in `tests/conformance`."""

from __future__ import annotations

import pytest

from engine.clock import MINUTE, SECOND, ManualClock
from engine.engine import Engine
from engine.limits import (
    Amended,
    CalendarWindow,
    FixedWindow,
    LimitRule,
    PenaltyBox,
    SlidingLog,
    SlidingWindow,
    TokenBucket,
)
from realtime.backends.keys import bucket_key

KEY = b"rl:r:{k}"
NOW = ManualClock()()
RULES: list[LimitRule] = [
    TokenBucket(10, SECOND, 10),
    TokenBucket(7, SECOND, 10),
    TokenBucket(6_000, SECOND, 1),
    FixedWindow(10, SECOND),
    SlidingWindow(10, SECOND),
    SlidingLog(10, SECOND),
    CalendarWindow(10, NOW, NOW + SECOND),
    Amended(FixedWindow(10, SECOND), SlidingLog(1, 1).parameters),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_refusal_is_not_charged_though_it_costs_more_than_is_left(rule: LimitRule) -> None:
    """Whoever asks for too much may still have less."""
    engine = Engine(ManualClock())
    engine.buckets.take(KEY, rule, max(1, rule.limit - 2))
    before = engine.buckets.take(KEY, rule, 0)
    kept = engine.strings.get(KEY), engine.keyspace.deadline(KEY)
    for _ in range(20):
        assert not engine.buckets.take(KEY, rule, before.remaining + 1).allowed
    assert engine.buckets.take(KEY, rule, 0) == before
    assert (engine.strings.get(KEY), engine.keyspace.deadline(KEY)) == kept
    if before.remaining:
        assert engine.buckets.take(KEY, rule, before.remaining).allowed


@pytest.mark.parametrize("rule", [*RULES, PenaltyBox(3, SECOND, SECOND)], ids=str)
def test_every_state_expires_and_none_before_it_means_nothing(rule: LimitRule) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    decision = engine.buckets.take(KEY, rule)
    deadline = engine.keyspace.deadline(KEY)
    assert deadline is not None
    assert clock() < deadline <= clock() + 2 * SECOND
    assert deadline >= clock() + decision.reset_after


@pytest.mark.parametrize("rule", RULES[:6], ids=str)
def test_callers_who_went_away_leave_nothing_behind(rule: LimitRule) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    for caller in range(5_000):
        engine.buckets.take(b"rl:r:{%d}" % caller, rule)
    clock.advance(5 * SECOND)
    while engine.sweep(SECOND):
        pass
    assert len(engine.keyspace) == 0
    engine.keyspace._check()


def test_a_log_that_is_used_all_the_time_does_not_grow() -> None:
    clock = ManualClock()
    engine, rule = Engine(clock), SlidingLog(5, SECOND)
    for _ in range(1_000):
        engine.buckets.take(KEY, rule)
        clock.advance(SECOND // 50)
    held = engine.strings.get(KEY)
    assert held is not None
    assert len(held.split()) <= 1 + 2 * rule.quota


@pytest.mark.parametrize("rule", [SlidingLog(10, SECOND), TokenBucket(8, SECOND, 2)], ids=str)
def test_around_a_boundary_no_more_passes_than_elsewhere(rule: LimitRule) -> None:
    """Where a window that starts anew admits twice its quota in an instant."""
    for start in range(0, SECOND, SECOND // 20):
        clock = ManualClock()
        engine = Engine(clock)
        clock.advance(start)
        admitted: list[int] = []
        for _ in range(400):
            if engine.buckets.take(KEY, rule).allowed:
                admitted.append(clock())
            clock.advance(SECOND // 100)
        for at in admitted:
            assert sum(at - SECOND < other <= at for other in admitted) <= 10


def test_a_clock_that_is_set_back_gives_no_second_window_and_locks_nobody_out() -> None:
    for rule in RULES[:6]:
        clock = ManualClock()
        engine = Engine(clock)
        while engine.buckets.take(KEY, rule).allowed:
            pass
        clock.advance(-MINUTE)
        refused = engine.buckets.take(KEY, rule)
        assert not refused.allowed, rule
        assert refused.retry_after <= 2 * SECOND, rule


def test_one_caller_name_is_not_two_and_two_are_not_one() -> None:
    """Parts of a key are escaped before they are joined: ("a:b", "c") is not ("a", "b:c")."""
    pairs = [(b"a:{b", b"c"), (b"a", b"{b:c"), (b"a", b"b}:c"), (b"a:%7Bb", b"c"), (b"a:b", b"c")]
    assert len({bucket_key(rule, caller) for rule, caller in pairs}) == len(pairs)
