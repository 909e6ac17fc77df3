"""The penalty box: who keeps violating a rule is refused for a while.

A caller's violations are counted from the first one on, for ``within``. The ``after``-th of
them puts him in the box for ``duration``; what he asks for meanwhile is refused, and counts for
nothing, so that a client that hammers is not locked out for ever.

It is spoken to like a limit: a look (cost 0) asks whether the caller may pass, anything else
reports a violation. The state is ``(mark, until, since, count)``; ``until`` is 0 for a caller
who is not in the box. Exact; O(1), three integers.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.limits.decision import (
    Decision,
    LimitRule,
    LimitState,
    Outcome,
    Parameters,
    check_cost,
    check_rule,
    decide,
    marked,
)

__all__ = ["PENALTY", "PenaltyBox"]

KIND = 5
PENALTY = -4
"""The mark of its states."""


@dataclass(frozen=True, slots=True)
class PenaltyBox:
    """``after`` violations within ``within`` microseconds cost ``duration`` of them."""

    after: int
    within: int
    duration: int

    def __post_init__(self) -> None:
        check_rule(self.after, self.within)
        check_rule(self.after, self.duration)

    @property
    def limit(self) -> int:
        return self.after

    @property
    def period(self) -> int:
        return self.within

    @property
    def quota(self) -> int:
        return self.after

    @property
    def parameters(self) -> Parameters:
        return KIND, self.after, self.within, self.duration

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        """A look is refused while the caller is in the box; a report is always taken."""
        until, since, count = self._read(state, now)
        if cost <= 0 or until > now:
            check_cost(cost)
            return self._answer(until, since, count, now), None, 0
        count += 1
        until = now + self.duration if count >= self.after else 0
        decision = decide(True, self.after, max(0, self.after - count), 0, until and until - now)
        return decision, (PENALTY, until, since, count), until or since + self.within

    def adjusted(
        self, state: LimitState | None, now: int, by: int, until: int | None = None
    ) -> tuple[LimitState | None, int]:
        """Violations are not given back one by one: `Values.delete` forgives all."""
        raise ValueError("a penalty cannot be adjusted")

    def next_after(self, decision: Decision) -> int:
        return decision.reset_after

    def left(self, state: LimitState, now: int) -> int:
        return max(0, self.after - self._read(state, now)[2])

    def deadline(self, state: LimitState) -> int:
        numbers = marked(state, PENALTY, 4)
        return (numbers[1] or numbers[2] + self.within) if numbers else 0

    def spent_at(self, spent: int, now: int) -> LimitState | None:
        return (PENALTY, 0, now, spent) if spent else None

    def keeps(self, other: LimitRule) -> bool:
        return type(other) is PenaltyBox

    def _answer(self, until: int, since: int, count: int, now: int) -> Decision:
        left = max(0, self.after - count)
        if until > now:
            return decide(False, self.after, 0, until - now, until - now)
        return decide(True, self.after, left, 0, since + self.within - now if count else 0)

    def _read(self, state: LimitState | None, now: int) -> tuple[int, int, int]:
        """Until when he is in the box, since when violations count, and how many there were.

        A clock that stepped back keeps nobody longer than the rule says."""
        numbers = None if state is None else marked(state, PENALTY, 4)
        if numbers is None:
            return 0, now, 0
        _, until, since, count = numbers
        if until > now:
            return min(until, now + self.duration), min(since, now), count
        if until or since + self.within <= now:
            return 0, now, 0
        return 0, min(since, now), count
