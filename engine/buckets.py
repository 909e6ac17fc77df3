"""The verbs of rate limits: `engine.limits` applied to what lies in the keyspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.core import Core, milliseconds
from engine.errors import WrongType
from engine.keyspace import text, type_name
from engine.limits import Decision, LimitRule, LimitState

__all__ = ["Buckets", "Wanted"]

Wanted = tuple[bytes, LimitRule, int]
"""(key, rule, cost)"""


class Buckets:
    """One caller's state per key. A caller who has spent nothing has none."""

    __slots__ = ("_clock", "_core", "_deadlines", "_effects", "_values")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._clock = core.clock
        self._effects = core.effects
        self._values: dict[bytes, Any] = core.keyspace.values  # checked by the rule itself
        self._deadlines = core.keyspace.deadlines

    def take(self, key: bytes, rule: LimitRule, cost: int = 1) -> Decision:
        """Spend ``cost`` if the rule allows it; a cost of 0 only looks. O(1). Raises WrongType.

        The hottest verb: for a caller who is known, look-up and storing are written out
        here. Whether the state has expired need not be asked, since from its deadline on
        it means the same as none.
        """
        now = self._clock()
        state = self._values.get(key)
        if state is None:
            return self._take_first(key, rule, cost, now)
        try:
            decision, after, deadline = rule.take(state, now, cost)
        except TypeError:
            raise WrongType(key, type_name(state), "string") from None
        if after is not None:
            if key not in self._deadlines:
                return self._take_first(key, rule, cost, now)
            self._values[key] = after
            self._deadlines[key] = deadline
            effects = self._effects
            effects.changes += 1
            if effects.listeners:
                effects.emit(b"SET", key, text(after), b"PXAT", milliseconds(deadline))
        return decision

    def take_all(self, wanted: Sequence[Wanted]) -> list[Decision]:
        """Spend all, or nothing if any is refused. O(wanted). Raises WrongType.

        Each decision is what its take would meet after the earlier ones of the same call.
        """
        core = self._core
        now = core.clock()
        pending: dict[bytes, tuple[LimitState, int]] = {}
        decisions: list[Decision] = []
        for key, rule, cost in wanted:
            state = pending[key][0] if key in pending else core.keyspace.string(key, now)
            decision, after, deadline = rule.take(state, now, cost)
            decisions.append(decision)
            if after is not None:
                pending[key] = (after, deadline)
        if all(decision.allowed for decision in decisions):
            for key, (after, deadline) in pending.items():
                core.put_string(key, after, deadline)
        return decisions

    def _take_first(self, key: bytes, rule: LimitRule, cost: int, now: int) -> Decision:
        core = self._core
        decision, state, deadline = rule.take(core.keyspace.string(key, now), now, cost)
        if state is not None:
            core.put_string(key, state, deadline)
        return decision
