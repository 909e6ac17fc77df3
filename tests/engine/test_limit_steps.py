"""Several rules in one step, against a model that keeps states in a dict and decides one by one."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import SECOND, ManualClock
from engine.effects import Effect
from engine.engine import Engine
from engine.errors import EngineError, WrongType
from engine.keyspace import Value, text
from engine.limits import (
    Amended,
    Decision,
    FixedWindow,
    LimitRule,
    LimitState,
    PenaltyBox,
    SlidingLog,
    SlidingWindow,
    TokenBucket,
)
from engine.sortedset import SortedSet
from engine.steps import Step, TakeBound, Wanted
from engine.stream import Stream

RULES: dict[bytes, LimitRule] = {
    b"bucket": TokenBucket(5, 10 * SECOND, 8),
    b"uneven": TokenBucket(7, 10 * SECOND, 7),
    b"fixed": FixedWindow(6, 3 * SECOND),
    b"sliding": SlidingWindow(9, 4 * SECOND),
    b"log": SlidingLog(6, 2 * SECOND),
}

wants = st.tuples(st.sampled_from(sorted(RULES)), st.integers(0, 4))
steps = st.tuples(
    st.integers(-3 * SECOND, 5 * SECOND),
    st.lists(wants, max_size=5),
)


class Model:
    """States, and until when they count, by key."""

    def __init__(self) -> None:
        self.states: dict[bytes, tuple[LimitState, int]] = {}

    def take_all(self, now: int, wanted: list[tuple[bytes, int]]) -> list[Decision]:
        states, decisions = dict(self.states), []
        for key, cost in wanted:
            before = states[key][0] if key in states else None
            decision, after, deadline = RULES[key].take(before, now, cost)
            decisions.append(decision)
            if after is not None:
                states[key] = after, deadline
        if all(decision.allowed for decision in decisions):
            self.states = states
        return decisions


@given(st.lists(steps, max_size=30))
def test_a_step_is_all_or_nothing_whatever_it_is_made_of(
    script: list[tuple[int, list[tuple[bytes, int]]]],
) -> None:
    clock, model = ManualClock(), Model()
    engine = Engine(clock)
    for pause, wanted in script:
        clock.advance(pause)
        told: list[Effect] = []
        unlisten = engine.effects.listen(told.append)
        before, changes = dict(model.states), engine.effects.changes
        expected = model.take_all(clock.now, wanted)
        assert engine.buckets.take_all([(key, RULES[key], cost) for key, cost in wanted]) == (
            expected
        )
        unlisten()
        assert len(told) == engine.effects.changes - changes
        stored = {effect[1]: effect[2] for effect in told if effect[0] == b"SET"}
        changed = {k: v for k, v in model.states.items() if before.get(k) != v}
        assert {key: text(state) for key, (state, _) in changed.items()}.items() <= stored.items()
        for key, (state, deadline) in model.states.items():
            if deadline > clock.now:
                assert engine.keyspace.get(key, clock.now) == state
                assert engine.keyspace.deadline(key) == deadline
        engine.keyspace._check()


# Bound to its rules


class Twins:
    """Two engines with the same clock: one takes all, the other in steps that are bound."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.told: tuple[list[Effect], list[Effect]] = [], []
        self.one, self.other = Engine(self.clock), Engine(self.clock)

    def listen(self) -> None:
        for engine, told in zip((self.one, self.other), self.told, strict=True):
            engine.effects.listen(told.append)

    def take(self, step: Step, wanted: list[Wanted]) -> list[Decision] | str:
        keys, costs = [key for key, _, _ in wanted], [cost for _, _, cost in wanted]
        expected = answer_of(lambda: self.one.buckets.take_all(wanted))
        assert answer_of(lambda: step(keys, costs)) == expected
        self.check()
        return expected

    def take_one(self, bound: TakeBound, key: bytes, rule: LimitRule, cost: int) -> None:
        expected = answer_of(lambda: [self.one.buckets.take(key, rule, cost)])
        assert answer_of(lambda: [bound(key, cost)]) == expected
        self.check()

    def put(self, draw: Random) -> None:
        """Something foreign, under any key."""
        key, value = draw.choice(KEYS), draw.choice(FOREIGN)
        deadline = draw.choice([None, self.clock.now + 4 * SECOND])
        for engine in (self.one, self.other):
            engine.keyspace.put(key, value, deadline)

    def check(self) -> None:
        one, other = self.one.keyspace, self.other.keyspace
        assert (one.values, one.deadlines) == (other.values, other.deadlines)
        assert self.one.effects.changes == self.other.effects.changes
        assert self.told[0] == self.told[1]
        other._check()


def answer_of(take: Callable[[], list[Decision]]) -> list[Decision] | str:
    """What it answers, down to the type of the decisions; or what it raises."""
    try:
        return [type(decision)(*decision) for decision in take()]
    except (EngineError, ValueError) as error:
        return repr(error)


KINDS: list[LimitRule] = [
    *RULES.values(),
    Amended(TokenBucket(3, 2 * SECOND, 3), RULES[b"bucket"].parameters),
    PenaltyBox(2, 5 * SECOND, 3 * SECOND),
]

FOREIGN: list[Value] = [
    7, b"7", b"17 3", b"1 2 3", b"x y", b"xyz", b"12", (1, 2), (-1, 0, 5, 5, 0, 9), (-2, 5, 1),
    {b"field": b"value"}, {b"a": b"b", b"c": b"d"}, SortedSet([(b"m", 1.0), (b"n", 2.0)]), Stream(),
]  # fmt: skip
"""What may lie under a key that is none of the rule's own states."""

KEYS = [b"a", b"b", b"c", b"d", b"e"]
USUAL_COSTS = [1, 1, 2, 3]
COSTS = [1, 2, 3, 6, 8, 9, 0, -1]
PAUSES = [0, 0, 0, 1, SECOND // 3, SECOND, 2 * SECOND, 5 * SECOND, -1, -SECOND, -9 * SECOND]


@given(
    st.lists(st.sampled_from(KINDS), max_size=5),
    st.sampled_from([3, 9]),
    st.integers(0, 10**9).map(Random),
)
def test_a_step_that_is_bound_answers_and_does_what_take_all_does(
    rules: list[LimitRule], room: int, draw: Random
) -> None:
    """Most of the time in the common case, which hypothesis would not draw for long."""
    twins = Twins()
    step = twins.other.buckets.bind(rules)
    for engine in (twins.one, twins.other):
        engine.buckets.room.bound(b"", room)
    for number in range(100):
        twins.clock.advance(draw.choice(PAUSES))
        if number == 50:
            twins.listen()
        if draw.random() < 0.05:
            twins.put(draw)
        is_usual = draw.random() < 0.8
        keys = KEYS if is_usual else draw.choices(KEYS, k=len(rules))
        costs = draw.choices(USUAL_COSTS if is_usual else COSTS, k=len(rules))
        twins.take(step, list(zip(keys, rules, costs, strict=False)))


@given(st.sampled_from(KINDS), st.sampled_from([1, 3]), st.integers(0, 10**9).map(Random))
def test_a_take_that_is_bound_answers_and_does_what_take_does(
    rule: LimitRule, room: int, draw: Random
) -> None:
    twins = Twins()
    bound = twins.other.buckets.bind_one(rule)
    for engine in (twins.one, twins.other):
        engine.buckets.room.bound(b"", room)
    for number in range(100):
        twins.clock.advance(draw.choice(PAUSES))
        if number == 50:
            twins.listen()
        if draw.random() < 0.05:
            twins.put(draw)
        key = draw.choice(KEYS[:2])
        twins.take_one(bound, key, rule, draw.choice(USUAL_COSTS * 3 + COSTS))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_one_caller_in_all_places_of_a_step_pays_for_each(number: int) -> None:
    twins = Twins()
    rule: LimitRule = TokenBucket(10, 10 * SECOND, 10)
    step = twins.other.buckets.bind([rule] * number)
    for _ in range(3):
        twins.take(step, [(b"a", rule, 1)] * number)
    for key in KEYS:
        twins.take(step, [(b"a", rule, 1)] * (number - 1) + [(key, rule, 1)])


def test_a_step_wants_a_key_and_a_cost_for_each_rule() -> None:
    for number in (3, 9):
        step = Engine(ManualClock()).buckets.bind([RULES[b"bucket"]] * number)
        with pytest.raises(ValueError):
            step([b"a", b"b"], [1] * number)
        with pytest.raises(ValueError):
            step([b"%d" % key for key in range(number)], [1, 1])


def three(engine: Engine, *keys: bytes) -> list[Decision]:
    return engine.buckets.bind([RULES[b"bucket"]] * 3)(keys, (1, 1, 1))


@pytest.mark.parametrize("place", range(3))
def test_a_step_that_meets_another_type_changes_nothing_and_says_where(place: int) -> None:
    engine = Engine(ManualClock())
    keys = [b"a", b"b", b"c"]
    three(engine, *keys)
    engine.keyspace.put(keys[place], {b"field": b"value"}, engine.clock() + SECOND)
    held, changes = dict(engine.keyspace.values), engine.effects.changes
    with pytest.raises(WrongType, match=keys[place].decode()):
        three(engine, *keys)
    assert (engine.keyspace.values, engine.effects.changes) == (held, changes)


def test_a_state_that_never_expired_has_a_deadline_after_a_step() -> None:
    engine = Engine(ManualClock())
    three(engine, b"a", b"b", b"c")
    engine.keyspace.put(b"held", engine.clock())
    assert [decision.remaining for decision in three(engine, b"a", b"held", b"c")] == [6, 7, 6]
    assert engine.keyspace.deadline(b"held") is not None
    engine.keyspace._check()
