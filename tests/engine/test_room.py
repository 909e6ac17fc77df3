"""Memory is bounded, and whoever fills it gets nothing for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.clock import MINUTE, SECOND, ManualClock
from engine.engine import Engine
from engine.limits import FixedWindow, Saturated, TokenBucket

RULE = TokenBucket(5, 60 * MINUTE, 5)


def bounded(clock: ManualClock, most: int) -> Engine:
    engine = Engine(clock)
    engine.buckets.room.bound(b"rl:", most)
    return engine


def test_a_flood_of_other_keys_gives_nobody_quota_back() -> None:
    """5 an hour, with room for 100 callers, and an attacker who names 1,100 others in between."""
    engine = bounded(ManualClock(), 100)
    admitted = 0
    for round_ in range(50):
        admitted += engine.buckets.take(b"rl:attacker", RULE).allowed
        for junk in range(22):
            engine.buckets.take(b"rl:junk:%d" % (round_ * 22 + junk), RULE)
    assert admitted == 5
    assert engine.buckets.room.used == 100
    assert engine.buckets.room.refused == 50 * 22 - 99
    engine.keyspace._check()


def test_who_is_remembered_goes_on_while_the_table_is_saturated() -> None:
    clock = ManualClock()
    engine = bounded(clock, 2)
    take = engine.buckets.take
    assert take(b"rl:a", RULE).allowed
    assert take(b"rl:b", RULE).allowed
    refused = take(b"rl:c", RULE)
    assert isinstance(refused, Saturated)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.retry_after > 0
    assert take(b"rl:a", RULE).remaining == 3
    assert take(b"rl:c", RULE, 0).allowed, "a look needs no room"
    assert engine.strings.get(b"rl:c") is None


def test_the_first_to_be_full_again_makes_room_at_once() -> None:
    clock = ManualClock()
    engine = bounded(clock, 2)
    engine.buckets.take(b"rl:soon", RULE, 1)
    engine.buckets.take(b"rl:later", RULE, 5)
    clock.advance(12 * MINUTE - 1)
    assert isinstance(engine.buckets.take(b"rl:new", RULE), Saturated)
    clock.advance(1)
    assert engine.buckets.take(b"rl:new", RULE).allowed
    assert engine.strings.get(b"rl:soon") is None
    assert engine.strings.get(b"rl:later") is not None


def test_waiting_as_told_leads_to_an_answer_in_the_end() -> None:
    clock = ManualClock()
    engine = bounded(clock, 1)
    engine.buckets.take(b"rl:a", TokenBucket(1, 3 * SECOND, 1))
    for _ in range(10):
        decision = engine.buckets.take(b"rl:b", TokenBucket(1, SECOND, 1))
        if decision.allowed:
            return
        clock.advance(decision.retry_after)
    raise AssertionError("there never was room")


def test_several_takes_need_room_for_all_of_their_keys() -> None:
    engine = bounded(ManualClock(), 2)
    engine.buckets.take(b"rl:a", RULE)
    decisions = engine.buckets.take_all([(key, RULE, 1) for key in (b"rl:a", b"rl:b", b"rl:c")])
    assert [type(decision) is Saturated for decision in decisions] == [False, True, True]
    assert engine.buckets.take(b"rl:a", RULE, 0).remaining == 4
    decisions = engine.buckets.take_all([(key, RULE, 1) for key in (b"rl:a", b"rl:b", b"rl:b")])
    assert all(decision.allowed for decision in decisions)


def test_a_step_that_makes_room_remembers_its_own_callers_who_were_dropped_for_it() -> None:
    clock = ManualClock()
    engine = bounded(clock, 3)
    keys = [b"rl:a", b"rl:b", b"rl:c", b"rl:d"]
    engine.buckets.take_all([(key, RULE, 1) for key in keys[:3]])
    clock.advance(RULE.period * RULE.burst)
    assert all(one.allowed for one in engine.buckets.take_all([(k, RULE, 1) for k in keys[1:]]))
    engine.keyspace._check()
    clock.advance(RULE.period * RULE.burst)
    decisions = engine.buckets.take_all([(key, RULE, 1) for key in keys])
    assert [type(decision) for decision in decisions] == [Saturated] * 4
    engine.keyspace._check()


def test_leases_and_charges_need_room_too() -> None:
    engine = bounded(ManualClock(), 1)
    engine.buckets.take(b"rl:a", RULE)
    lease = engine.leases.acquire(b"rl:b:leases", 1, b"x", SECOND)
    assert (lease.granted, lease.is_saturated) == (False, True)
    assert isinstance(engine.buckets.adjust(b"rl:b", RULE, 1), Saturated)
    assert engine.buckets.adjust(b"rl:b", RULE, -1).remaining == 5


def test_a_lease_may_have_the_last_room() -> None:
    engine = bounded(ManualClock(), 2)
    engine.buckets.take(b"rl:a", RULE)
    assert engine.leases.acquire(b"rl:b:leases", 2, b"x", SECOND).granted
    assert engine.leases.acquire(b"rl:b:leases", 2, b"y", SECOND).granted, "one key for both"
    assert engine.buckets.room.used == 2


@given(
    st.integers(1, 5),
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 2 * SECOND)), max_size=60
    ),
)
def test_p7_giving_up_what_is_full_cannot_be_observed(
    most: int, steps: list[tuple[int, int, int]]
) -> None:
    """A bounded engine says no more than one without bounds would, and the same to who is known."""
    clock = ManualClock()
    small, large = bounded(clock, most), Engine(clock)
    rule = FixedWindow(3, SECOND)
    for caller, cost, pause in steps:
        clock.advance(pause)
        key = b"rl:%d" % caller
        decision = small.buckets.take(key, rule, cost)
        if isinstance(decision, Saturated):
            continue
        assert decision == large.buckets.take(key, rule, cost)
        assert small.buckets.room.used <= most
        small.keyspace._check()


def test_a_state_goes_at_once_when_all_is_given_back() -> None:
    engine = bounded(ManualClock(), 1)
    engine.buckets.take(b"rl:a", RULE, 2)
    engine.buckets.adjust(b"rl:a", RULE, -2)
    assert engine.buckets.room.used == 0
    assert engine.buckets.take(b"rl:b", RULE).allowed


def test_what_is_loaded_counts() -> None:
    clock = ManualClock()
    engine, other = bounded(clock, 5), Engine(clock)
    for number in range(3):
        other.buckets.take(b"rl:%d" % number, RULE)
    other.strings.set(b"elsewhere", b"", ttl=SECOND)
    engine.replace(other)
    assert engine.buckets.room.used == 3
    engine.strings.delete(b"rl:0")
    engine.strings.set(b"rl:1", b"for good")
    assert engine.buckets.room.used == 1
