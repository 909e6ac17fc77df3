"""States that no rule wrote: from a snapshot of somebody else, or damaged.

Nothing is spent from them, for nobody knows what would be forgotten with them; whoever asks is told
under which key they lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.clock import MINUTE, SECOND, ManualClock
from engine.engine import Engine
from engine.errors import WrongType
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

KEY = b"rl:r:{k}"
NOW = ManualClock()()
YEAR = 366 * 24 * 60 * MINUTE
BUCKET = TokenBucket(5, SECOND, 5)
LIMITS: list[LimitRule] = [
    BUCKET,
    TokenBucket(7, SECOND, 5),
    FixedWindow(5, SECOND),
    FixedWindow(5, YEAR),
    SlidingWindow(5, SECOND),
    SlidingLog(5, SECOND),
    CalendarWindow(5, NOW, NOW + MINUTE),
    Amended(BUCKET, BUCKET.parameters),
    Amended(SlidingLog(5, SECOND), BUCKET.parameters),
]
BOX = PenaltyBox(2, SECOND, SECOND)
NONSENSE = [
    b"", (), b"?", b"xy", b"xyz", b"1 2 x", b"1 2 3 4", b"1_0", b"+1", 2**53, b" 1", b"1 ", b"1  2",
    b"1 -2", b"-7 ", b"-7 1  2", b"-7 1 -2", b"9007199254740992", b"1 2147483648", b"9" * 5_000,
    b"-7 12345678901234567",
]  # fmt: skip
TAGGED = [
    b"-1 0", b"-1 0 5 1000000 5", b"-1 9 5 1000000 5 7", b"-1 0 0 0 0 7", b"-1 5 2 9 9 -4 0 7 1",
    b"-1 3 5 1000000 0 -2 7", b"-1 0 5 1000000 5 -1 0 5 1000000 5 7",
]  # fmt: skip
OWN: list[tuple[LimitRule, bytes]] = [
    (LIMITS[5], b"-2 5"),
    (LIMITS[5], b"-2 5 1 7"),
    (LIMITS[6], b"-3 5"),
    (LIMITS[6], b"-3 5 6 7"),
    (BOX, b"-4 0 5"),
    (BOX, b"-4 0 5 1 1"),
]
MARKS = [b"-1", b"-2", b"-3", b"-4"]
"""Of states; alone they are what a counter may be, and no more than that."""
DAMAGED: list[tuple[LimitRule, Any]] = [
    *((rule, state) for rule in [*LIMITS, BOX] for state in NONSENSE),
    *((rule, state) for rule in LIMITS for state in TAGGED),
    *OWN,
]
ASK: dict[str, Callable[[Engine, LimitRule], object]] = {
    "take": lambda engine, rule: engine.buckets.take(KEY, rule),
    "look": lambda engine, rule: engine.buckets.take(KEY, rule, 0),
    "take all": lambda engine, rule: engine.buckets.take_all([(b"a", BUCKET, 1), (KEY, rule, 1)]),
    "step": lambda engine, rule: engine.buckets.bind([BUCKET, rule])([b"a", KEY], [1, 1]),
    "bound": lambda engine, rule: engine.buckets.bind_one(rule)(KEY, 1),
    "adjust": lambda engine, rule: engine.buckets.adjust(KEY, rule, -1),
}


@pytest.mark.parametrize("how", ASK)
@pytest.mark.parametrize("deadline", [None, NOW + SECOND])
def test_nothing_is_spent_from_what_no_rule_wrote(how: str, deadline: int | None) -> None:
    for rule, state in DAMAGED:
        if rule is BOX and how == "adjust":
            continue  # it never is
        engine = Engine(ManualClock())
        engine.buckets.take(b"a", BUCKET)
        engine.keyspace.put(KEY, state, deadline)
        with pytest.raises(WrongType, match="state of a limit") as refused:
            ASK[how](engine, rule)
            raise AssertionError(f"{rule} has read {state!r}")
        assert refused.value.key == KEY
        assert engine.keyspace.get(KEY, NOW) == state
        assert engine.buckets.take(b"a", BUCKET, 0).remaining == 4


@pytest.mark.parametrize("rule", [*LIMITS, BOX], ids=str)
@pytest.mark.parametrize("state", MARKS)
def test_a_mark_alone_is_another_ones_state(rule: LimitRule, state: bytes) -> None:
    engine = Engine(ManualClock())
    engine.keyspace.put(KEY, state)
    fresh = engine.buckets.take(b"a", rule)
    assert engine.buckets.take(KEY, rule) == fresh
    assert type(engine.keyspace.get(KEY, NOW)) is type(engine.keyspace.get(b"a", NOW))


@pytest.mark.parametrize("rule", LIMITS, ids=str)
def test_what_is_damaged_can_be_deleted_and_is_full_then(rule: LimitRule) -> None:
    engine = Engine(ManualClock())
    engine.keyspace.put(KEY, b"?", NOW + SECOND)
    assert engine.strings.delete(KEY) == 1
    assert engine.buckets.take(KEY, rule, 5).allowed


@pytest.mark.parametrize("rule", LIMITS[:7], ids=str)
def test_what_a_rule_of_other_parameters_left_is_spent_also_if_nobody_told_of_the_change(
    rule: LimitRule,
) -> None:
    """Of two processes one hears first that a rule was changed; and a rule may be removed after it
    was, and be defined anew."""
    engine = Engine(ManualClock())
    engine.buckets.take(KEY, Amended(FixedWindow(3, YEAR), BUCKET.parameters), 3)
    left = 0 if isinstance(rule, TokenBucket) else 2
    for _ in range(2):
        assert engine.buckets.take(KEY, rule, 0).remaining == left
        assert engine.buckets.take_all([(KEY, rule, 0)])[0].remaining == left
    assert engine.buckets.adjust(KEY, rule, -1).remaining == left + 1
    assert engine.buckets.take(KEY, rule).remaining == left
