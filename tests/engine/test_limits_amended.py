"""P11: a rule that is changed gives nothing away, on the state that is there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import MINUTE, SECOND, ManualClock
from engine.engine import Engine
from engine.limits import (
    Amended,
    CalendarWindow,
    FixedWindow,
    LimitRule,
    OutOfTime,
    Policy,
    SlidingLog,
    SlidingWindow,
    TokenBucket,
)

KEY = b"rl:r:{k}"
POLICIES: list[Policy] = ["as-is", "proportional", "reset"]
NOW = ManualClock()()

counts, periods = st.integers(1, 50), st.integers(1, 10 * SECOND)
rules: st.SearchStrategy[LimitRule] = st.one_of(
    st.builds(TokenBucket, counts, periods, counts),
    st.builds(FixedWindow, counts, periods),
    st.builds(SlidingWindow, counts, periods),
    st.builds(SlidingLog, counts, periods),
    st.builds(CalendarWindow, counts, st.just(NOW - SECOND), st.just(NOW + MINUTE)),
)


def changed(old: LimitRule, new: LimitRule, policy: Policy) -> Amended:
    return Amended(new, old.parameters, policy)


@given(rules, rules, st.sampled_from(POLICIES), st.integers(1, 60), st.integers(0, 20 * SECOND))
def test_p11_a_change_yields_never_more_than_the_larger_capacity(
    old: LimitRule, new: LimitRule, policy: Policy, cost: int, pause: int
) -> None:
    """Who has spent nothing has no state, and is full under any rule."""
    clock = ManualClock()
    engine = Engine(clock)
    before = engine.buckets.take(KEY, old, min(cost, old.limit))
    left = before.remaining
    found = engine.buckets.take(KEY, changed(old, new, policy), 0)
    assert 0 <= found.remaining <= new.limit
    if policy == "as-is" and isinstance(new, TokenBucket) and old != new:
        assert found.remaining == min(left, new.limit)
    if policy == "proportional" and old.parameters != new.parameters:
        assert found.remaining == left * new.limit // old.limit
    if policy == "reset" and old.parameters != new.parameters:
        assert found.remaining == new.limit
    clock.advance(pause)
    assert engine.buckets.take(KEY, changed(old, new, policy), 0).remaining <= new.limit


@given(
    rules,
    rules,
    st.sampled_from(POLICIES),
    st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.integers(0, SECOND)), max_size=20),
)
def test_a_change_back_and_forth_is_never_worth_it(
    one: LimitRule, other: LimitRule, policy: Policy, steps: list[tuple[bool, int, int]]
) -> None:
    """Whatever a caller is told to be left at one instant is all he gets at that instant."""
    clock = ManualClock()
    engine = Engine(clock)
    for is_one, cost, pause in steps:
        rule = Amended(one if is_one else other, one.parameters, policy)
        clock.advance(pause)
        look = engine.buckets.take(KEY, rule, 0)
        decision = engine.buckets.take(KEY, rule, cost)
        assert decision.allowed == (cost <= look.remaining)
        after = engine.buckets.take(KEY, rule, 0)
        assert after.remaining == look.remaining - (cost if decision.allowed else 0)
        engine.keyspace._check()


@given(rules, st.lists(st.tuples(st.integers(0, 9), st.integers(0, SECOND)), max_size=20))
def test_a_rule_that_was_changed_long_ago_decides_as_if_it_never_was(
    rule: LimitRule, steps: list[tuple[int, int]]
) -> None:
    clock = ManualClock()
    plain, tagged = Engine(clock), Engine(clock)
    amended = Amended(rule, TokenBucket(51, 1, 1).parameters)
    for cost, pause in steps:
        clock.advance(pause)
        assert tagged.buckets.take(KEY, amended, cost) == plain.buckets.take(KEY, rule, cost)
        assert tagged.buckets.adjust(KEY, amended, -1) == plain.buckets.adjust(KEY, rule, -1)


def test_a_slower_rate_does_not_turn_a_debt_into_tokens() -> None:
    """An instant of being full says by the old rate how many are missing, and by no other."""
    engine = Engine(ManualClock())
    fast, slow = TokenBucket(10, SECOND, 10), TokenBucket(1, SECOND, 10)
    engine.buckets.take(KEY, fast, 5)
    assert engine.buckets.take(KEY, changed(fast, slow, "as-is"), 0).remaining == 5


def test_a_window_that_is_raised_gives_the_difference_and_one_that_is_lowered_takes_it() -> None:
    clock = ManualClock()
    engine = Engine(clock)
    old = FixedWindow(10, MINUTE)
    engine.buckets.take(KEY, old, 8)
    raised = changed(old, FixedWindow(100, 60 * MINUTE), "as-is")
    lowered = changed(old, FixedWindow(5, 60 * MINUTE), "as-is")
    assert engine.buckets.take(KEY, raised, 0).remaining == 92
    assert engine.buckets.take(KEY, lowered, 0).remaining == 0


def test_what_a_change_made_of_a_state_is_kept_by_a_refusal_too() -> None:
    """Else it would go on being refilled at the old rate, as long as it is refused."""
    clock = ManualClock()
    engine = Engine(clock)
    old, new = TokenBucket(10, SECOND, 10), TokenBucket(1, 60 * SECOND, 10)
    engine.buckets.take(KEY, old, 10)
    rule = changed(old, new, "as-is")
    assert not engine.buckets.take(KEY, rule).allowed
    clock.advance(SECOND)
    assert engine.buckets.take(KEY, rule, 0).remaining == 0


def test_a_rule_for_a_time_says_when_it_is_over() -> None:
    clock = ManualClock()
    engine = Engine(clock)
    rule = TokenBucket(5, SECOND, 5)
    timed = Amended(rule, rule.parameters, until=clock() + SECOND)
    assert engine.buckets.take(KEY, timed).allowed
    clock.advance(SECOND)
    for call in (
        lambda: engine.buckets.take(KEY, timed),
        lambda: engine.buckets.adjust(KEY, timed, -1),
        lambda: engine.buckets.take_all([(b"other", rule, 1), (KEY, timed, 1)]),
    ):
        with pytest.raises(OutOfTime) as over:
            call()
        assert over.value.now == clock()
    assert engine.strings.get(b"other") is None


def test_a_calendar_window_counts_until_its_end_and_says_when_it_is_another() -> None:
    clock = ManualClock()
    engine = Engine(clock)
    today = CalendarWindow(3, clock(), clock() + MINUTE)
    tomorrow = CalendarWindow(3, today.end, today.end + MINUTE)
    decisions = [engine.buckets.take(KEY, today) for _ in range(4)]
    assert [decision.remaining for decision in decisions] == [2, 1, 0, 0]
    assert decisions[-1].retry_after == decisions[-1].reset_after == MINUTE
    clock.advance(MINUTE - 1)
    assert not engine.buckets.take(KEY, today).allowed
    clock.advance(1)
    with pytest.raises(OutOfTime):
        engine.buckets.take(KEY, today)
    assert engine.buckets.take(KEY, tomorrow).remaining == 2
    clock.advance(-1)  # the clock steps back: what was spent is spent
    assert engine.buckets.take(KEY, today, 3).allowed is False
    assert engine.buckets.take(KEY, today, 0).remaining == 2


@pytest.mark.parametrize("policy", ["as-is", "proportional"])
@pytest.mark.parametrize(
    "rates", [((1, SECOND, 5), (2, SECOND, 5)), ((3, 2 * SECOND, 4), (7, 3 * SECOND, 9))]
)
def test_who_comes_under_two_rates_by_turns_regains_at_the_slower_one_at_least(
    policy: Policy, rates: tuple[tuple[int, int, int], tuple[int, int, int]]
) -> None:
    """P2: parts of a token are kept, however often it is asked which rate holds."""
    clock = ManualClock()
    engine = Engine(clock)
    one, other = (TokenBucket(*rate) for rate in rates)
    start, got = clock(), 0
    for turn in range(2_000):
        rule = Amended((one, other)[turn % 2], one.parameters, policy)
        got += engine.buckets.take(KEY, rule).allowed
        clock.advance(SECOND // 10)
    elapsed = clock() - start
    slow, fast = sorted(elapsed * rule.quota // rule.period for rule in (one, other))
    # In proportion, what the smaller one regains counts for more in the larger one.
    most = max(one.burst, other.burst) / min(one.burst, other.burst) if policy != "as-is" else 1
    assert slow - 1 <= got <= fast * most + max(one.burst, other.burst)


@given(
    st.builds(TokenBucket, counts, periods, counts),
    st.builds(TokenBucket, counts, periods, counts),
    st.integers(1, 60),
    st.integers(0, SECOND),
)
def test_there_and_back_again_gives_nothing(
    one: TokenBucket, other: TokenBucket, cost: int, pause: int
) -> None:
    clock = ManualClock()
    engine = Engine(clock)
    engine.buckets.take(KEY, one, min(cost, one.burst))
    clock.advance(pause)
    before = engine.buckets.take(KEY, one, 0)
    for rule in (other, one):  # what is refused spends nothing, and stores what it has become
        engine.buckets.take(KEY, Amended(rule, one.parameters), rule.burst + 1)
    after = engine.buckets.take(KEY, Amended(one, one.parameters), 0)
    assert after.remaining <= before.remaining
    if other.burst >= one.burst:
        # Twice rounded up by less than a tick of theirs.
        ticks = 2 + one.interval / other.interval
        assert 0 <= after.reset_after - before.reset_after <= 2 + ticks / one.scale
