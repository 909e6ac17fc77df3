"""Rate limits on Redis, held against the engine's own arithmetic.

The scripts decide with doubles what the engine decides with integers of any size. Whatever the
rule, the cost, the state before and the jumps of the clock: answers and stored states agree.
"""

from __future__ import annotations

import contextlib
from math import gcd
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.clock import SECOND, ManualClock
from engine.keyspace import String, text
from engine.limits import MAX_LIMIT, MAX_LOG, MAX_PERIOD, MAX_REFILL, numbers_of
from realtime.backends.base import (
    Amended,
    CalendarWindow,
    Decision,
    EngineError,
    FixedWindow,
    LimitRule,
    OutOfTime,
    PenaltyBox,
    SlidingLog,
    SlidingWindow,
    Take,
    TokenBucket,
    WrongType,
)
from tests.engine.test_limits_damaged import BUCKET, DAMAGED, LIMITS, MARKS
from tests.redis.pair import Pair

KEY = b"rl:r:{k}"
LIFETIME = MAX_REFILL
"""Of a state that is put there by hand."""

on_one_server = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def sizes(most: int) -> st.SearchStrategy[int]:
    """From 1 to ``most``: of all magnitudes, with few and with many factors, and the ends."""
    bits = st.integers(0, most.bit_length() - 1)
    any_of_size = bits.flatmap(lambda n: st.integers(1 << n, min(most, (2 << n) - 1)))
    return st.one_of(any_of_size, bits.map(lambda n: 1 << n), st.sampled_from([1, most]))


buckets = (
    st.tuples(sizes(MAX_LIMIT), sizes(MAX_PERIOD), sizes(MAX_LIMIT))
    .filter(lambda rule: rule[1] * rule[2] <= MAX_REFILL * rule[0])
    .map(lambda rule: TokenBucket(*rule))
)
fixed = st.builds(FixedWindow, sizes(MAX_LIMIT), sizes(MAX_PERIOD))
sliding = st.builds(SlidingWindow, sizes(MAX_LIMIT), sizes(MAX_PERIOD))
logs = st.builds(SlidingLog, sizes(MAX_LOG), sizes(MAX_PERIOD))
START = ManualClock()()
calendars = st.tuples(sizes(MAX_LIMIT), st.integers(-SECOND, SECOND), sizes(MAX_PERIOD)).map(
    lambda window: CalendarWindow(window[0], START + window[1], START + window[1] + window[2])
)
plain: st.SearchStrategy[LimitRule] = st.one_of(buckets, fixed, sliding, logs, calendars)
amended = st.builds(
    Amended,
    plain,
    plain.map(lambda rule: rule.parameters),
    st.sampled_from(["as-is", "proportional", "reset"]),
    st.just(2**53) | st.integers(START, START + SECOND),
)
boxes = st.builds(PenaltyBox, st.integers(1, 3), sizes(MAX_PERIOD), sizes(MAX_PERIOD))
rules: st.SearchStrategy[LimitRule] = st.one_of(plain, plain, amended, boxes)

jumps = st.tuples(st.sampled_from([1, 1, -1]), sizes(2 * MAX_PERIOD)).map(lambda j: j[0] * j[1])


@st.composite
def states(draw: st.DrawFn, rule: LimitRule, now: int) -> String | None:
    """What any rule may have left: near now, or near what this rule takes for a boundary."""
    near = now + draw(st.sampled_from([-1, 1])) * draw(sizes(10**15))
    # Windows of a few microseconds have numbers that another rule may take for an instant.
    period = draw(st.just(rule.period) | st.integers(1, 3))
    window = max(0, now // period + draw(st.integers(-2, 2)))
    spent = st.just(0) | st.integers(0, rule.quota) | sizes(MAX_LIMIT)
    kind = draw(st.integers(0, 9))
    if kind == 6:
        instants = sorted(draw(st.sets(st.integers(now - period, now + 3), max_size=4)))
        entries = [number for at in instants for number in (max(0, at), draw(st.integers(1, 9)))]
        return (-2, *entries) if entries else None
    if kind == 7:
        return (-3, max(0, now + draw(st.integers(-3, SECOND))), draw(spent))
    if kind == 8:
        out = draw(st.just(0) | st.integers(now - 3, now + SECOND))
        return (-4, max(0, out), max(0, now - draw(sizes(MAX_PERIOD))), draw(st.integers(0, 3)))
    if kind == 9:
        old = draw(plain)
        inner = old.spent_at(draw(st.integers(1, old.limit)), now) or now
        return (-1, *old.parameters, *numbers_of(inner))
    if kind == 0:
        return near
    if kind == 1:
        scale = draw(sizes(MAX_LIMIT))
        return (near, draw(st.integers(0, scale - 1)), scale)
    if kind == 2:
        return (window, draw(spent))
    if kind == 3:
        return (window, draw(spent), draw(spent))
    if kind == 4 and isinstance(rule, TokenBucket):
        ticks = now * rule.scale + draw(st.integers(-3, 3) | st.integers(0, rule.capacity))
        whole, part = divmod(ticks, rule.scale)
        return whole if rule.scale == 1 else (whole, part, rule.scale)
    return None


def put(pair: Pair, key: bytes, state: String | None) -> None:
    """A state that does not expire before it is looked at."""
    if state is None:
        return
    deadline = pair.clock() + LIFETIME
    pair.engine.keyspace.put(key, state, deadline)
    pair.client.set(key, text(state), pxat=-(-deadline // 1000))


def costs(draw: Any, pair: Pair, rule: LimitRule) -> int:
    """Any, and often one that passes just so, or just not."""
    try:
        left = pair.engine.buckets.take(KEY, rule, 0).remaining
    except OutOfTime:
        left = 1
    edge = draw(st.integers(-1, 1)) + left
    cost: int = draw(st.just(max(0, edge)) | sizes(rule.limit) | st.just(rule.limit + 1))
    return cost


def ask(call: Any) -> None:
    """What both refuse for the same reason is an answer, too."""
    with contextlib.suppress(EngineError):
        call()


@on_one_server
@given(st.data(), plain | amended, st.integers(0, SECOND))
def test_what_is_given_back_or_charged_later_is_what_the_engine_says(
    pair: Pair, data: st.DataObject, rule: LimitRule, start: int
) -> None:
    pair.reset()
    pair.clock.now += start
    put(pair, KEY, data.draw(states(rule, pair.clock())))
    for _ in range(data.draw(st.integers(1, 4))):
        by = data.draw(st.sampled_from([1, -1])) * data.draw(sizes(2 * rule.limit))
        ask(lambda by=by: pair.buckets.adjust(KEY, rule, by))
        pair.check_contents()
        ask(lambda: pair.buckets.take(KEY, rule, data.draw(sizes(rule.limit))))
        pair.check_contents()
        pair.advance(max(data.draw(jumps | st.integers(0, 3)), -pair.clock()))


@on_one_server
@given(st.data(), rules, st.just(0) | st.integers(0, 2**50))
def test_a_take_is_what_the_engine_says(
    pair: Pair, data: st.DataObject, rule: LimitRule, start: int
) -> None:
    pair.reset()
    pair.clock.now += start
    put(pair, KEY, data.draw(states(rule, pair.clock())))
    for _ in range(data.draw(st.integers(1, 6))):
        cost = costs(data.draw, pair, rule)
        ask(lambda cost=cost: pair.buckets.take(KEY, rule, cost))
        pair.check_contents()
        pair.advance(max(data.draw(jumps | st.integers(0, 3)), -pair.clock()))


@pytest.mark.parametrize(
    "rule",
    [
        TokenBucket(1, 5, 3),
        TokenBucket(2, 3, 5),
        TokenBucket(7, 1000, 2),
        FixedWindow(3, 1),
        SlidingWindow(3, 1),
    ],
    ids=str,
)
def test_what_another_rule_left_is_read_as_the_engine_reads_it(pair: Pair, rule: LimitRule) -> None:
    """Windows of a microsecond have numbers like instants, and spent counts like parts of one."""
    heads = [pair.clock() + ahead for ahead in (-2, 0, 1, SECOND)]
    counts = (0, 1, 2, 7, 1001)
    tails = [(), *((n,) for n in counts), *((n, m) for n in counts for m in counts)]
    for head in heads:
        for tail in tails:
            pair.reset()
            put(pair, KEY, (head, *tail))
            pair.buckets.take(KEY, rule, 2)
            pair.check_contents()


@on_one_server
@given(st.data(), st.lists(rules, min_size=1, max_size=3), st.integers(0, 2**50))
def test_several_takes_are_one_step(
    pair: Pair, data: st.DataObject, chosen: list[LimitRule], start: int
) -> None:
    """Also where two of them spend from one bucket, by different rules."""
    pair.reset()
    pair.clock.now += start
    keys = [b"a", b"b"]
    for key in keys:
        put(pair, key, data.draw(states(chosen[0], pair.clock())))
    for _ in range(data.draw(st.integers(1, 4))):
        picks = st.tuples(st.sampled_from(keys), st.sampled_from(chosen))
        takes = [
            Take(key, rule, data.draw(st.integers(0, 2) | sizes(rule.limit)))
            for key, rule in data.draw(st.lists(picks, max_size=5))
        ]
        ask(lambda takes=takes: pair.buckets.take_all(takes))
        pair.check_contents()
        pair.advance(max(data.draw(jumps), -pair.clock()))


coprime = (
    st.tuples(sizes(MAX_LIMIT), sizes(MAX_PERIOD))
    .map(lambda pair: (pair[0] | 1, pair[1]))
    .filter(lambda pair: pair[1] > 1 and gcd(*pair) == 1)
)
"""A count and a divisor: for every remainder there is a factor that leads to it."""


@on_one_server
@given(coprime, st.integers(-2, 2), st.integers(-1, 1))
def test_a_product_beyond_53_bits_is_compared_to_the_last_one(
    pair: Pair, numbers: tuple[int, int], remainder: int, edge: int
) -> None:
    """What weighs on a sliding window is a count times a duration: here a hair off a whole."""
    previous, period = numbers
    in_view = pow(previous, -1, period) * remainder % period or period
    weight = previous * in_view // period
    rule = SlidingWindow(min(MAX_LIMIT, weight + 1 + edge) or 1, period)
    pair.reset()
    window = pair.clock() // period + 1
    pair.clock.now = (window + 1) * period - in_view
    put(pair, KEY, (window, previous, 0))
    pair.buckets.take(KEY, rule)
    pair.check_contents()


@on_one_server
@given(sizes(MAX_LIMIT), sizes(MAX_LIMIT), st.integers(-2, 2), st.integers(-1, 1))
def test_a_part_of_a_microsecond_is_converted_to_the_last_tick(
    pair: Pair, old: int, scale: int, remainder: int, edge: int
) -> None:
    """As one rule left it, and in the ticks of another: here a hair off a whole one."""
    assume(gcd(old, scale) == 1 and old > 1)
    part = pow(scale, -1, old) * remainder % old
    rule = TokenBucket(scale, max(1, SECOND // scale) * scale + 1, 1)
    pair.reset()
    put(pair, KEY, (pair.clock() + rule.capacity // rule.scale + edge, part, old))
    for cost in (1, 0):
        pair.buckets.take(KEY, rule, cost)
    pair.check_contents()


ASK: dict[str, Any] = {
    "take": lambda buckets, rule: buckets.take(KEY, rule),
    "look": lambda buckets, rule: buckets.take(KEY, rule, 0),
    "take all": lambda buckets, rule: buckets.take_all([Take(b"a", BUCKET), Take(KEY, rule)]),
    "adjust": lambda buckets, rule: buckets.adjust(KEY, rule, -1),
}


@pytest.mark.parametrize("how", ASK)
def test_what_no_rule_wrote_is_refused_and_left_alone(pair: Pair, how: str) -> None:
    """Nothing may be spent from it: a decision that is not stored would let everything pass."""
    for rule, state in DAMAGED:
        if isinstance(rule, PenaltyBox) and how == "adjust":
            continue  # it never is
        written = text(state)
        pair.client.set(KEY, written)
        with pytest.raises(WrongType) as refused:
            pair.run(ASK[how](pair.redis.buckets, rule))
            raise AssertionError(f"{rule} has read {state!r}")
        assert refused.value.key == KEY
        assert pair.client.get(KEY) == written
        assert pair.client.exists(b"a") == 0


def test_what_is_damaged_to_one_is_another_ones_to_others_in_both_stores(pair: Pair) -> None:
    states = {text(state) for _, state in DAMAGED if text(state)[:1] == b"-"} | set(MARKS)
    for rule in dict.fromkeys(rule for rule, _ in DAMAGED):
        for state in sorted(states):
            for call in ASK.values():
                pair.reset()
                put(pair, KEY, state)
                if not isinstance(rule, PenaltyBox):
                    ask(lambda rule=rule, call=call: call(pair.buckets, rule))
                pair.check_contents()


@pytest.mark.parametrize("rule", LIMITS, ids=str)
def test_a_rule_that_does_not_know_of_its_change_gives_nothing_away(
    pair: Pair, rule: LimitRule
) -> None:
    changed = Amended(FixedWindow(7, MAX_PERIOD), SlidingLog(1, 1).parameters)
    for call in ASK.values():
        pair.reset()
        pair.buckets.take(KEY, changed, 7)
        call(pair.buckets, rule)
        for reader in (changed, rule, changed):
            pair.buckets.take(KEY, reader)
            pair.check_contents()


def test_another_type_is_refused(pair: Pair) -> None:
    pair.client.hset(KEY, "f", "v")
    for cost in (0, 1):
        with pytest.raises(WrongType) as refused:
            pair.run(pair.redis.buckets.take(KEY, FixedWindow(5, SECOND), cost))
        assert refused.value.key == KEY


def test_a_negative_cost_is_refused_before_anything_is_sent(pair: Pair) -> None:
    pair.client.config_resetstat()
    takes = [Take(b"a", FixedWindow(5, SECOND)), Take(b"b", FixedWindow(5, SECOND), -1)]
    for call in (pair.redis.buckets.take_all(takes), pair.redis.buckets.take(*takes[1])):
        with pytest.raises(ValueError, match="cost must not be negative, got -1"):
            pair.run(call)
    assert "cmdstat_evalsha" not in pair.client.info("commandstats")


def test_a_take_asks_for_three_things_and_a_refusal_for_two(pair: Pair) -> None:
    """The instant, the state, and that the new one be kept."""
    rule = FixedWindow(1, SECOND)
    for expected in ({"time", "get", "set"}, {"time", "get"}):
        pair.client.config_resetstat()
        decision: Decision = pair.run(pair.redis.buckets.take(KEY, rule))
        assert decision.allowed is ("set" in expected)
        stats = pair.client.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}
        asked = {name: n for name, n in calls.items() if name in ("time", "get", "set", "pexpire")}
        assert asked == dict.fromkeys(expected, 1)
