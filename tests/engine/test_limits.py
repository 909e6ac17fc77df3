"""The promises of rate limits, under random traffic and clocks that step back.

The names P1 … P12 run through these modules: P1 the bound, P2 no starvation, P3 a refusal
changes nothing, P4 ``retry_after`` is exact, P5 answers are consistent, P6 all or nothing, P7
expiry cannot be observed, P8 what can never pass changes nothing; P9, all stores answer the
same, is `tests/redis/test_parts_buckets.py`; P10 callers at once get exactly the capacity; P11
a change of rule gives nothing away, `test_limits_amended.py`; P12 leases, `test_leases.py`.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import SECOND, ManualClock
from engine.engine import Engine
from engine.limits import (
    MAX_LIMIT,
    MAX_PERIOD,
    NEVER,
    FixedWindow,
    LimitRule,
    LimitState,
    SlidingLog,
    SlidingWindow,
    TokenBucket,
)

KEY = b"rl:r:{k}"

buckets = st.builds(
    TokenBucket,
    quota=st.integers(1, 50),
    period=st.integers(1, 100) | st.integers(1, 10 * SECOND),
    burst=st.integers(1, 60),
)
fixed = st.builds(FixedWindow, quota=st.integers(1, 50), period=st.integers(1, 10 * SECOND))
sliding = st.builds(SlidingWindow, quota=st.integers(1, 50), period=st.integers(1, 10 * SECOND))
logs = st.builds(SlidingLog, quota=st.integers(1, 50), period=st.integers(1, 10 * SECOND))
rules: st.SearchStrategy[LimitRule] = st.one_of(buckets, fixed, sliding, logs)
traffic = st.lists(
    st.tuples(st.integers(0, 3 * SECOND) | st.integers(0, 50), st.integers(0, 20)), max_size=60
)


@given(buckets, traffic, st.sets(st.integers(0, 59), max_size=4))
def test_p1_no_window_admits_more_than_burst_plus_rate(
    rule: TokenBucket, steps: list[tuple[int, int]], backward: set[int]
) -> None:
    """In real time, also when the wall clock is set back now and then."""
    clock, real = ManualClock(), 0
    engine = Engine(clock)
    admitted: list[tuple[int, int]] = []
    for number, (pause, cost) in enumerate(steps):
        real += pause
        clock.advance(pause - (7 * SECOND if number in backward else 0))
        if engine.buckets.take(KEY, rule, cost).allowed:
            admitted.append((real, cost))
    for first in range(len(admitted)):
        spent = 0
        for at, cost in admitted[first:]:
            spent += cost
            elapsed = at - admitted[first][0]
            assert spent * rule.period <= rule.burst * rule.period + elapsed * rule.quota


@given(logs, traffic, st.sets(st.integers(0, 59), max_size=4))
def test_p1_no_window_whatever_admits_more_than_the_log_says(
    rule: SlidingLog, steps: list[tuple[int, int]], backward: set[int]
) -> None:
    """In real time, also when the wall clock is set back now and then."""
    clock, real = ManualClock(), 0
    engine = Engine(clock)
    admitted: list[tuple[int, int]] = []
    for number, (pause, cost) in enumerate(steps):
        real += pause
        clock.advance(pause - (7 * SECOND if number in backward else 0))
        if engine.buckets.take(KEY, rule, cost).allowed:
            admitted.append((real, cost))
        assert sum(c for at, c in admitted if at > real - rule.period) <= rule.quota


@given(fixed | sliding, traffic, st.sets(st.integers(0, 59), max_size=4))
def test_p1_a_window_admits_twice_its_quota_at_most_whatever_the_clock_does(
    rule: FixedWindow | SlidingWindow, steps: list[tuple[int, int]], backward: set[int]
) -> None:
    clock, real = ManualClock(), 0
    engine = Engine(clock)
    admitted: list[tuple[int, int]] = []
    for number, (pause, cost) in enumerate(steps):
        real += pause
        clock.advance(pause - (rule.period if number in backward else 0))
        if engine.buckets.take(KEY, rule, cost).allowed:
            admitted.append((real, cost))
        assert sum(c for at, c in admitted if at > real - rule.period) <= 2 * rule.quota


@given(logs, st.integers(1, 200))
def test_p2_a_greedy_caller_gets_all_that_a_log_gives(rule: SlidingLog, rounds: int) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    start, got = clock(), 0
    for _ in range(rounds):
        decision = engine.buckets.take(KEY, rule)
        got += decision.allowed
        clock.advance(decision.retry_after)
    assert got >= min(rounds // 2, (clock() - start) // rule.period * rule.quota)


@given(st.integers(1, 50), st.integers(50, 10 * SECOND), st.integers(2, 60), st.integers(1, 200))
def test_p2_a_greedy_caller_gets_the_rate(quota: int, period: int, burst: int, rounds: int) -> None:
    """With room for two, waiting in whole microseconds wastes no part of a token."""
    rule = TokenBucket(quota, period, burst)
    clock = ManualClock()
    engine = Engine(clock)
    start = clock()
    got = 0
    for _ in range(rounds):
        decision = engine.buckets.take(KEY, rule)
        if decision.allowed:
            got += 1
        else:
            clock.advance(decision.retry_after)
    assert got >= min(rounds, (clock() - start) * rule.quota // rule.period)


@given(rules, traffic)
def test_p3_p4_p5_answers_are_exact_and_a_refusal_changes_nothing(
    rule: LimitRule, steps: list[tuple[int, int]]
) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    for pause, cost in steps:
        clock.advance(pause)
        before = engine.strings.get(KEY)
        look = engine.buckets.take(KEY, rule, 0)
        assert engine.strings.get(KEY) == before
        assert look.allowed
        assert 0 <= look.remaining <= rule.limit
        decision = engine.buckets.take(KEY, rule, cost)
        assert decision.allowed == (cost <= look.remaining)
        if decision.allowed:
            assert decision.remaining == look.remaining - cost
            assert decision.retry_after == 0
            continue
        assert engine.strings.get(KEY) == before
        assert decision.remaining == look.remaining
        if cost > rule.limit:
            assert decision.retry_after == NEVER
            continue
        _check_retry(engine, clock, rule, cost, decision.retry_after)


def _check_retry(
    engine: Engine, clock: ManualClock, rule: LimitRule, cost: int, retry_after: int
) -> None:
    """Not a microsecond too early, and not one too late."""
    clock.advance(retry_after - 1)
    assert engine.buckets.take(KEY, rule, 0).remaining < cost
    clock.advance(1)
    assert engine.buckets.take(KEY, rule, 0).remaining >= cost
    clock.advance(-retry_after)


@given(rules, traffic, st.integers(0, 50))
def test_by_next_after_more_is_there(
    rule: LimitRule, steps: list[tuple[int, int]], cost: int
) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    for pause, spent in steps:
        clock.advance(pause)
        engine.buckets.take(KEY, rule, min(spent, rule.limit))
    for asked in (0, cost):
        decision = engine.buckets.take(KEY, rule, asked)
        wait = rule.next_after(decision)
        if decision.remaining == rule.limit:
            assert wait == 0
            continue
        assert 0 < wait <= decision.reset_after
        assert decision.retry_after <= 0 or wait <= decision.retry_after or cost > 1
        clock.advance(wait - 1)
        if isinstance(rule, FixedWindow):  # a decision says all that there is
            assert engine.buckets.take(KEY, rule, 0).remaining == decision.remaining
        clock.advance(1)
        assert engine.buckets.take(KEY, rule, 0).remaining > decision.remaining
        clock.advance(-wait)


def test_one_window_s_worth_that_was_just_spent_stays_until_the_next_one() -> None:
    clock = ManualClock()
    engine, rule = Engine(clock), SlidingWindow(5, 10 * SECOND)
    clock.now = clock.now // rule.period * rule.period
    assert rule.next_after(engine.buckets.take(KEY, rule, 5)) == 12 * SECOND
    assert rule.next_after(engine.buckets.take(KEY, rule)) == 12 * SECOND
    clock.advance(15 * SECOND)
    assert rule.next_after(engine.buckets.take(KEY, rule, 0)) == -(-5 * SECOND // 3)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=6), rules)
def test_p6_all_or_nothing_is_what_each_alone_would_say(
    wishes: list[tuple[int, int]], rule: LimitRule
) -> None:
    together, alone = Engine(ManualClock()), Engine(ManualClock())
    wanted = [(b"k%d" % key, rule, cost) for key, cost in wishes]
    decisions = together.buckets.take_all(wanted)
    expected = [alone.buckets.take(*want) for want in wanted]
    assert decisions == expected
    spent = all(decision.allowed for decision in decisions)
    for key, _ in wishes:
        after = together.buckets.take(b"k%d" % key, rule, 0)
        reference = alone if spent else Engine(ManualClock())
        assert after == reference.buckets.take(b"k%d" % key, rule, 0)


@given(rules, st.integers(1, 40), st.integers(1, 40))
def test_p10_many_in_one_instant_get_exactly_the_capacity(
    rule: LimitRule, callers: int, calls: int
) -> None:
    engine = Engine(ManualClock())
    got = sum(engine.buckets.take(KEY, rule).allowed for _ in range(callers * calls))
    assert got == min(rule.limit, callers * calls)


@given(rules, traffic)
def test_p7_expiry_cannot_be_observed(rule: LimitRule, steps: list[tuple[int, int]]) -> None:
    """An engine that forgets at the deadline answers like a variable that never forgets."""
    clock = ManualClock()
    engine = Engine(clock)
    kept: LimitState | None = None
    for pause, cost in steps:
        clock.advance(pause)
        engine.sweep(SECOND)
        decision, state, _ = rule.take(kept, clock(), cost)
        kept = kept if state is None else state
        assert engine.buckets.take(KEY, rule, cost) == decision


@given(rules)
def test_p8_what_can_never_pass_changes_nothing(rule: LimitRule) -> None:
    engine = Engine(ManualClock())
    assert engine.buckets.take(KEY, rule, rule.limit + 1).retry_after == NEVER
    assert engine.strings.get(KEY) is None


@given(buckets, buckets, st.integers(0, 60), st.integers(0, SECOND))
def test_p11_a_change_of_rule_gives_nothing_away(
    old: TokenBucket, new: TokenBucket, cost: int, pause: int
) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    engine.buckets.take(KEY, old, min(cost, old.burst))
    clock.advance(pause)
    assert engine.buckets.take(KEY, new, 0).remaining <= new.burst
    assert engine.buckets.take(KEY, new, 0).reset_after <= -(-new.capacity // new.scale)


@given(rules, rules, st.integers(0, 60), st.integers(0, SECOND))
def test_a_change_of_algorithm_is_harmless(
    old: LimitRule, new: LimitRule, cost: int, pause: int
) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    engine.buckets.take(KEY, old, min(cost, old.limit))
    clock.advance(pause)
    assert 0 <= engine.buckets.take(KEY, new, 0).remaining <= new.limit
    wait = engine.buckets.take(KEY, new).retry_after
    clock.advance(wait)
    assert engine.buckets.take(KEY, new).allowed or wait == 0


@given(fixed, traffic)
def test_a_fixed_window_admits_its_quota_per_window(
    rule: FixedWindow, steps: list[tuple[int, int]]
) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    spent: dict[int, int] = {}
    for pause, cost in steps:
        clock.advance(pause)
        if engine.buckets.take(KEY, rule, cost).allowed:
            window = clock() // rule.period
            spent[window] = spent.get(window, 0) + cost
            assert spent[window] <= rule.quota


@given(sliding, traffic)
def test_a_sliding_window_weighs_the_last_one(
    rule: SlidingWindow, steps: list[tuple[int, int]]
) -> None:
    """Two neighbouring windows together never see more than twice the quota, and the
    estimate at each admission is within it."""
    clock = ManualClock()
    engine = Engine(clock)
    spent: dict[int, int] = {}
    for pause, cost in steps:
        clock.advance(pause)
        if engine.buckets.take(KEY, rule, cost).allowed:
            window, elapsed = divmod(clock(), rule.period)
            spent[window] = spent.get(window, 0) + cost
            weighed = spent.get(window - 1, 0) * (rule.period - elapsed)
            assert weighed + spent[window] * rule.period <= rule.quota * rule.period


def test_a_clock_that_steps_back_locks_nobody_out() -> None:
    clock = ManualClock()
    for rule in (
        TokenBucket(5, SECOND, 5),
        SlidingWindow(5, SECOND),
        FixedWindow(5, SECOND),
        SlidingLog(5, SECOND),
    ):
        engine = Engine(clock)
        engine.buckets.take(KEY, rule, 5)
        clock.advance(-3600 * SECOND)
        decision = engine.buckets.take(KEY, rule)
        assert decision.retry_after <= 2 * SECOND
        clock.advance(max(decision.retry_after, 0))
        assert engine.buckets.take(KEY, rule).allowed


def test_a_fast_bucket_does_not_forget_its_debt() -> None:
    """100 per second, burst 10: a whole second of state fits no expiry in whole seconds."""
    clock = ManualClock()
    engine, rule = Engine(clock), TokenBucket(100, SECOND, 10)
    admitted = 0
    for _ in range(1000):
        clock.advance(120)
        engine.sweep(SECOND)
        admitted += engine.buckets.take(KEY, rule).allowed
    assert admitted <= 10 + 12


def test_an_uneven_rate_loses_no_fraction() -> None:
    clock = ManualClock()
    engine, rule = Engine(clock), TokenBucket(3, 2 * SECOND, 1)
    admitted = 0
    for _ in range(400 * 20):
        admitted += engine.buckets.take(KEY, rule).allowed
        clock.advance(SECOND // 20)
    # Polling every 50 ms finds a token that comes every 666.67 ms up to 50 ms late.
    assert 400 * 1.5 * 0.93 <= admitted <= 601


@settings(max_examples=30)
@given(rules, st.integers(0, 20))
def test_state_from_a_file_is_read_as_it_was_written(rule: LimitRule, cost: int) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    engine.buckets.take(KEY, rule, min(cost, rule.limit))
    deadline = engine.keyspace.deadline(KEY)
    written = engine.strings.get(KEY)
    before = engine.buckets.take(KEY, rule, 0)
    if written is not None:
        engine.keyspace.put(KEY, written, deadline)
    assert engine.buckets.take(KEY, rule, 0) == before


@pytest.mark.parametrize("make", [FixedWindow, SlidingWindow, lambda q, p: TokenBucket(q, p, 1)])
def test_a_rule_has_bounds(make: object) -> None:
    assert callable(make)
    for quota, period in ((0, 1), (MAX_LIMIT + 1, 1), (1, 0), (1, MAX_PERIOD + 1)):
        with pytest.raises(ValueError, match="within"):
            make(quota, period)


def test_a_bucket_is_full_again_within_a_century() -> None:
    """Else its deadline would leave what a double, and with it Redis, can hold."""
    for quota, period, burst in ((1, MAX_PERIOD, 100), (3, MAX_PERIOD, 300), (7, 1, MAX_LIMIT)):
        engine = Engine(ManualClock())
        decision = engine.buckets.take(KEY, TokenBucket(quota, period, burst), burst)
        assert decision.allowed
        deadline = engine.keyspace.deadline(KEY)
        assert deadline is not None and deadline == float(deadline) < 2**53
    for quota, period, burst in (
        (1, MAX_PERIOD, 101),
        (3, MAX_PERIOD, 301),
        (1, SECOND * 3600, MAX_LIMIT),
    ):
        with pytest.raises(ValueError, match="100 years"):
            TokenBucket(quota, period, burst)


def test_remaining_never_grows_while_time_stands_still() -> None:
    rule = TokenBucket(7, 60 * SECOND, 20)
    engine = Engine(ManualClock())
    left = [engine.buckets.take(KEY, rule).remaining for _ in range(25)]
    assert all(before >= after for before, after in pairwise(left))
