"""The verbs of rate limits: `engine.limits` applied to what lies in the keyspace.

A state goes at once when its bucket is full. How many there may be, and what becomes of
callers there is no room for, is the business of `engine.room`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from engine.core import Core, milliseconds
from engine.errors import WrongType
from engine.keyspace import text, type_name
from engine.limits import Decision, LimitRule, reader_of
from engine.limits.decision import Outcome
from engine.room import Room
from engine.steps import Step, Take, TakeAll, TakeBound, Wanted, bind, bind_one

__all__ = ["Buckets", "Take", "Wanted", "held_until"]

T = TypeVar("T")

NEVER_BACK = 2**53


def held_until(text: bytes) -> int:
    """What a hold says. An older version of ours, which stored nothing, gave back all."""
    return int(text) if text.isdigit() else NEVER_BACK


class Buckets:
    """One caller's state per key. A caller who has spent nothing has none."""

    __slots__ = ("_core", "room", "take", "take_all")

    def __init__(self, core: Core) -> None:
        self._core = core
        self.room = Room(core)
        self.take: Take = _bind_take(core, self.room)
        self.take_all: TakeAll = _bind_take_all(core, self.room)

    def bind(self, rules: Sequence[LimitRule]) -> Step:
        """``take_all`` under rules that are known beforehand, in two thirds of its time."""
        return bind(self._core, self.take_all, rules)

    def bind_one(self, rule: LimitRule) -> TakeBound:
        """``take`` under a rule that is known beforehand, in four fifths of its time."""
        return bind_one(self._core, self.take, rule)

    def adjust(self, key: bytes, rule: LimitRule, by: int, until: int | None = None) -> Decision:
        """Spend ``by`` more, as far as that is left, or give back ``-by``, never above full.

        ``until``: see `LimitRule.adjusted`. Answers what a look finds after it, or `Saturated`.
        O(1). Raises as `Take` does."""
        core = self._core
        now = core.clock()
        state = core.keyspace.string(key, now)
        try:
            after, deadline = rule.adjusted(state, now, by, until)
        except TypeError:
            after, deadline = _foreign(
                key, rule, state, lambda reader: reader.adjusted(state, now, by, until)
            )
        if after is None or deadline <= now:
            if state is not None:
                core.delete(key)
            return rule.take(None, now, 0)[0]
        if state is None and not self.room.make(1, now):
            return self.room.refusal(rule, now)
        core.put_string(key, after, deadline)
        return rule.take(after, now, 0)[0]

    def hold(self, key: bytes, regained_after: int, ttl: int) -> int:
        """Remember for ``ttl`` what was spent just now, and in how long the clock will have given
        it back.

        0; or if there is no room for it, how long to wait for some. O(1). Durations are
        microseconds."""
        core = self._core
        now = core.clock()
        if core.keyspace.get(key, now) is None and not self.room.make(1, now):
            return self.room.wait(now)
        core.put_string(key, now + regained_after, now + ttl)
        return 0

    def unhold(self, key: bytes) -> int | None:
        """Forget it: at which instant all is given back, or None if nothing is remembered. O(1)."""
        core = self._core
        until = core.keyspace.string(key, core.clock())
        if until is None:
            return None
        core.delete(key)
        return held_until(text(until))

    def now(self) -> int:
        """The instant that decides: microseconds since 1970."""
        return self._core.clock()


def _bind_take(core: Core, room: Room) -> Take:
    """The hottest verb, as a function over its few parts: a tenth faster than a method.

    For a caller who is known, look-up and storing are written out here. Whether the state
    has expired need not be asked, since from its deadline on it means the same as none.
    """
    clock, effects, deadlines = core.clock, core.effects, core.keyspace.deadlines
    values: dict[bytes, Any] = core.keyspace.values  # a rule refuses what is no state

    def take(key: bytes, rule: LimitRule, cost: int = 1) -> Decision:
        now = clock()
        state = values.get(key)
        if state is None:
            return take_first(key, rule, cost, now)
        try:
            decision, after, deadline = rule.take(state, now, cost)
        except TypeError:
            decision, after, deadline = _take_foreign(key, rule, state, now, cost)
        if after is not None:
            if key not in deadlines:
                return take_first(key, rule, cost, now)
            values[key] = after
            deadlines[key] = deadline
            effects.changes += 1
            if effects.listeners:
                effects.emit(b"SET", key, text(after), b"PXAT", milliseconds(deadline))
        return decision

    def take_first(key: bytes, rule: LimitRule, cost: int, now: int) -> Decision:
        state = core.keyspace.string(key, now)
        try:
            decision, after, deadline = rule.take(state, now, cost)
        except TypeError:
            decision, after, deadline = _take_foreign(key, rule, state, now, cost)
        if after is not None:
            if key not in deadlines and not room.make(1, now):
                return room.refusal(rule, now)
            core.put_string(key, after, deadline)
        return decision

    return take


def _bind_take_all(core: Core, room: Room) -> TakeAll:
    """Bound and written out like `_bind_take`."""
    clock, effects, deadlines = core.clock, core.effects, core.keyspace.deadlines
    values: dict[bytes, Any] = core.keyspace.values

    def take_all(wanted: Sequence[Wanted]) -> list[Decision]:
        now = clock()
        pending: dict[bytes, Outcome] = {}
        decisions: list[Decision] = []
        spent = True
        for key, rule, cost in wanted:
            state: Any = pending[key][1] if key in pending else values.get(key)
            try:
                outcome = rule.take(state, now, cost)
            except TypeError:
                outcome = _take_foreign(key, rule, state, now, cost)
            decision = outcome[0]
            decisions.append(decision)
            if outcome[1] is not None:
                pending[key] = outcome
            if not decision[0]:
                spent = False
        if not spent:
            return decisions
        if not pending.keys() <= deadlines.keys():
            new: list[bytes] = []
            # To make room may drop some of these themselves, whose states have expired.
            while len(new) < len(absent := [key for key in pending if key not in deadlines]):
                new = absent
                if not room.make(len(new), now):
                    return _saturated(room, wanted, decisions, new, now)
            for key in new:
                _, after, deadline = pending.pop(key)
                assert after is not None
                core.put_string(key, after, deadline)
        for key, (_, after, deadline) in pending.items():
            values[key] = after
            deadlines[key] = deadline
        effects.changes += len(pending)
        if effects.listeners:
            for key, (_, after, deadline) in pending.items():
                assert after is not None
                effects.emit(b"SET", key, text(after), b"PXAT", milliseconds(deadline))
        return decisions

    return take_all


def _take_foreign(key: bytes, rule: LimitRule, state: Any, now: int, cost: int) -> Outcome:
    return _foreign(key, rule, state, lambda reader: reader.take(state, now, cost))


def _foreign(key: bytes, rule: LimitRule, state: Any, ask: Callable[[LimitRule], T]) -> T:
    """What the one who reads a state answers that the rule itself does not. Raises WrongType."""
    if not isinstance(state, bytes | int | tuple):
        raise WrongType(key, type_name(state), "string")
    try:
        return ask(reader_of(rule, state))
    except TypeError:
        raise WrongType(key, "text", "state of a limit") from None


def _saturated(
    room: Room,
    wanted: Sequence[Wanted],
    decisions: Sequence[Decision],
    new: Sequence[bytes],
    now: int,
) -> list[Decision]:
    return [
        room.refusal(rule, now) if key in new else decision
        for (key, rule, _), decision in zip(wanted, decisions, strict=True)
    ]
