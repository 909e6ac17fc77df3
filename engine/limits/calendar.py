"""Calendar windows: so many per day, week or month, as people count them.

The engine knows no calendar. A rule is made for one window, ``start <= now < end`` in
microseconds, by somebody who knows the time zone; at any other instant `OutOfTime` says what
time it is, and the rule is made anew. So the store's clock decides which window it is, and
nothing but integers is compared.

The state is ``(mark, end, spent)``: until when that counts, and how much. If the clock steps
back, what was spent moves to the window it stepped to. Exact; O(1), two integers.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.limits.decision import (
    MAX_LIMIT,
    NEVER,
    Decision,
    LimitRule,
    LimitState,
    Outcome,
    OutOfTime,
    Parameters,
    check_cost,
    check_rule,
    decide,
    marked,
)

__all__ = ["CALENDAR", "CalendarWindow"]

KIND = 4
CALENDAR = -3
"""The mark of its states."""


@dataclass(frozen=True, slots=True)
class CalendarWindow:
    """``quota`` from ``start`` until ``end``, both in microseconds since 1970."""

    quota: int
    start: int
    end: int

    def __post_init__(self) -> None:
        check_rule(self.quota, self.end - self.start, MAX_LIMIT)

    @property
    def limit(self) -> int:
        return self.quota

    @property
    def period(self) -> int:
        return self.end - self.start

    @property
    def parameters(self) -> Parameters:
        """Which window it is does not matter: a state says until when it counts."""
        return KIND, self.quota, 0, 0

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        """Raises OutOfTime outside of the window."""
        if not self.start <= now < self.end:
            raise OutOfTime(now)
        until, spent = self._spent(state, now)
        quota, left = self.quota, self.end - now
        after = spent + cost
        if cost > 0 and after <= quota:
            decision = decide(True, quota, quota - after, 0, left)
            return decision, (CALENDAR, self.end, after), self.end
        check_cost(cost)
        room, reset = max(0, quota - spent), left if spent else 0
        wait = 0 if not cost else NEVER if cost > quota else left
        refusal = decide(wait == 0, quota, room, wait, reset)
        if cost and until > self.end:
            return refusal, (CALENDAR, self.end, spent), self.end
        return refusal, None, 0

    def adjusted(
        self, state: LimitState | None, now: int, by: int, until: int | None = None
    ) -> tuple[LimitState | None, int]:
        """Raises OutOfTime outside of the window."""
        if not self.start <= now < self.end:
            raise OutOfTime(now)
        if until is not None and by < 0 and self.end > until:
            by = 0  # it was another window's
        after = min(max(self._spent(state, now)[1] + by, 0), self.quota)
        return ((CALENDAR, self.end, after), self.end) if after else (None, now)

    def next_after(self, decision: Decision) -> int:
        return 0 if decision.remaining >= self.quota else decision.reset_after

    def left(self, state: LimitState, now: int) -> int:
        return max(0, self.quota - self._spent(state, now)[1])

    def deadline(self, state: LimitState) -> int:
        numbers = marked(state, CALENDAR, 3)
        return numbers[1] if numbers else 0

    def spent_at(self, spent: int, now: int) -> LimitState | None:
        return (CALENDAR, self.end, spent) if spent and now >= self.start else None

    def keeps(self, other: LimitRule) -> bool:
        return type(other) is CalendarWindow

    def _spent(self, state: LimitState | None, now: int) -> tuple[int, int]:
        """Until when what was spent counts, and how much that is at ``now``."""
        numbers = None if state is None else marked(state, CALENDAR, 3)
        if numbers is None or numbers[1] <= max(now, self.start):
            return self.end, 0
        return numbers[1], numbers[2]
