"""Windows: so many per period, counted per window.

A fixed window starts anew at each boundary. A sliding window weighs the window before by the
part of it that is still in view: source, the sliding-window counter. Exact integers; O(1), two
or three integers of memory per caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.limits.decision import (
    NEVER,
    Decision,
    LimitRule,
    LimitState,
    Outcome,
    Parameters,
    bare_numbers,
    check_cost,
    check_rule,
    decide,
)

__all__ = ["FixedWindow", "SlidingWindow"]

_new = tuple.__new__


def own(state: LimitState, count: int) -> tuple[int, ...] | None:
    """The numbers of a state, or None if it is another algorithm's: that cannot be converted."""
    numbers = bare_numbers(state)
    return numbers if len(numbers) == count and numbers[0] >= 0 else None


@dataclass(frozen=True, slots=True)
class _Window:
    """``quota`` per window of ``period`` microseconds; windows are aligned to 1970."""

    quota: int
    period: int

    KIND: ClassVar[int]

    def __post_init__(self) -> None:
        check_rule(self.quota, self.period)

    @property
    def limit(self) -> int:
        return self.quota

    @property
    def parameters(self) -> Parameters:
        return self.KIND, self.quota, self.period, 0

    def keeps(self, other: LimitRule) -> bool:
        """Counts of windows of the same length are counts still."""
        return other.parameters[0] == self.KIND and other.period == self.period


class FixedWindow(_Window):
    """``quota`` in each window, and nothing carried over.

    The state is ``(window, spent)``: the number of the window since 1970 and how much it
    has spent. If the clock steps back, what was spent moves to the window it stepped to.
    Cheap and coarse: see the module's header for what it admits at a boundary.
    """

    __slots__ = ()
    KIND = 1

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        quota, period = self.quota, self.period
        window = now // period
        ends = (window + 1) * period
        if state is None:
            seen, spent = window, 0
        else:
            try:
                seen, spent = state  # type: ignore[misc]  # a tuple, nearly always
            except (TypeError, ValueError):
                seen, spent = own(state, 2) or (window, 0)
            if seen != window:
                if seen < 0 or type(state) is bytes:  # two of them look like two numbers
                    seen, spent = own(state, 2) or (window, 0)
                if seen < window:
                    spent = 0
        after = spent + cost
        if after <= quota and cost > 0:
            decision = _new(Decision, (True, quota, quota - after, 0, ends - now))
            return decision, (window, after), ends
        left = ends - now
        room = quota - spent if spent < quota else 0
        reset = left if spent else 0
        if cost <= 0:
            check_cost(cost)
            return _new(Decision, (True, quota, room, 0, reset)), None, 0
        refusal = _new(Decision, (False, quota, room, NEVER if cost > quota else left, reset))
        if seen > window:
            return refusal, (window, spent), ends
        return refusal, None, 0

    def next_after(self, decision: Decision) -> int:
        return 0 if decision.remaining >= self.quota else decision.reset_after

    def adjusted(
        self, state: LimitState | None, now: int, by: int, until: int | None = None
    ) -> tuple[LimitState | None, int]:
        window = now // self.period
        seen, spent = (state is not None and own(state, 2)) or (window, 0)
        if until is not None and by < 0 and (window + 1) * self.period > until:
            by = 0  # it was another window's
        after = min(max((spent if seen >= window else 0) + by, 0), self.quota)
        return ((window, after), (window + 1) * self.period) if after else (None, now)

    def left(self, state: LimitState, now: int) -> int:
        window = now // self.period
        seen, spent = own(state, 2) or (window, 0)
        return max(0, self.quota - spent) if seen >= window else self.quota

    def deadline(self, state: LimitState) -> int:
        seen, _ = own(state, 2) or (-1, 0)
        return (seen + 1) * self.period

    def spent_at(self, spent: int, now: int) -> LimitState | None:
        return (now // self.period, spent) if spent else None


class SlidingWindow(_Window):
    """About ``quota`` in any window of ``period``, from two aligned windows' counts.

    The state is ``(window, previous, current)``: the number of the current window since
    1970 and what the two windows have spent. The estimate weighs the previous count by
    the part of its window that is still in view. It is never rounded: both sides of the
    comparison are multiplied by the period. If the clock steps back, both counts move to
    the window it stepped to.
    """

    __slots__ = ()
    KIND = 2

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        quota, period = self.quota, self.period
        window = now // period
        ends = (window + 1) * period
        in_view = ends - now
        if state is None:
            seen, previous, current = window, 0, 0
        else:
            try:
                seen, previous, current = state  # type: ignore[misc]  # a tuple, nearly always
            except (TypeError, ValueError):
                seen, previous, current = own(state, 3) or (window, 0, 0)
            if seen != window:
                if seen < 0 or type(state) is bytes:  # three of them look like numbers
                    seen, previous, current = own(state, 3) or (window, 0, 0)
                if seen < window:
                    previous, current = (current if seen == window - 1 else 0), 0
        left = ((quota - current) * period - previous * in_view) // period
        if 0 < cost <= left:
            decision = _new(Decision, (True, quota, left - cost, 0, in_view + period))
            return decision, (window, previous, current + cost), ends + period
        check_cost(cost)
        reset = self._reset_after(previous, current, in_view)
        wait = self._retry_after(previous, current, in_view, cost) if cost else 0
        refusal = decide(wait == 0, quota, max(0, left), wait, reset)
        if cost and seen > window:
            return refusal, (window, previous, current), ends + period
        return refusal, None, 0

    def next_after(self, decision: Decision) -> int:
        """At the latest by then: how much either window has spent, a decision does not say.

        If this one has spent anything, it may be all of it: that stays until the next one."""
        missing = self.quota - decision.remaining
        if missing <= 0:
            return 0
        in_view, sinking = decision.reset_after - self.period, self.period
        if in_view <= 0:  # it has spent nothing
            in_view, sinking = 0, decision.reset_after
        latest = in_view - (-sinking // missing)
        # What was refused fits no sooner than one more does.
        return min(latest, decision.retry_after) if decision.retry_after > 0 else latest

    def _reset_after(self, previous: int, current: int, in_view: int) -> int:
        if current:
            return in_view + self.period
        return in_view if previous else 0

    def _retry_after(self, previous: int, current: int, in_view: int, cost: int) -> int:
        """The shortest wait after which ``cost`` fits, exactly, rounded up to a microsecond."""
        quota, period = self.quota, self.period
        if cost > quota:
            return NEVER
        free = quota - cost
        if current <= free:  # it fits within this window, once enough of the last has left view
            return in_view - (free - current) * period // previous
        # In the next window, what is current now is the one that leaves view.
        return in_view + period - free * period // current

    def adjusted(
        self, state: LimitState | None, now: int, by: int, until: int | None = None
    ) -> tuple[LimitState | None, int]:
        """What is given back was spent last: it is taken from this window first."""
        window, previous, current = self._counts(state, now)
        spent_in = window if until is None else until // self.period - 2
        if by > 0:
            current += min(by, self._left(previous, current, now))
        elif spent_in >= window - 1:
            from_current = min(-by, current) if spent_in >= window else 0
            current -= from_current
            previous = max(0, previous + by + from_current)
        if not previous and not current:
            return None, now
        return (window, previous, current), (window + 2) * self.period

    def left(self, state: LimitState, now: int) -> int:
        _, previous, current = self._counts(state, now)
        return self._left(previous, current, now)

    def deadline(self, state: LimitState) -> int:
        seen, _, _ = own(state, 3) or (-2, 0, 0)
        return (seen + 2) * self.period

    def spent_at(self, spent: int, now: int) -> LimitState | None:
        return (now // self.period, 0, spent) if spent else None

    def _counts(self, state: LimitState | None, now: int) -> tuple[int, int, int]:
        window = now // self.period
        seen, previous, current = (state is not None and own(state, 3)) or (window, 0, 0)
        if seen < window:
            previous, current = (current if seen == window - 1 else 0), 0
        return window, previous, current

    def _left(self, previous: int, current: int, now: int) -> int:
        in_view = self.period - now % self.period
        room = self.quota * self.period - previous * in_view - current * self.period
        return max(0, room // self.period)
