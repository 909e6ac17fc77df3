"""Several rules in one step, against a model that keeps states in a dict and decides one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import SECOND, ManualClock
from engine.effects import Effect
from engine.engine import Engine
from engine.errors import WrongType
from engine.keyspace import text
from engine.limits import (
    Decision,
    FixedWindow,
    LimitRule,
    LimitState,
    SlidingLog,
    SlidingWindow,
    TokenBucket,
)

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
    st.one_of(st.lists(wants, min_size=3, max_size=3), st.lists(wants, max_size=5)),
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


def three(engine: Engine, *keys: bytes) -> list[Decision]:
    return engine.buckets.take_all([(key, RULES[b"bucket"], 1) for key in keys])


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
