"""The sliding log: never more than so many in any window of that length, exactly.

Every admission is remembered until it is out of view: the state is ``(mark, instant, cost,
instant, cost, …)``, oldest first, and an admission of several units is one entry. There are
never more entries than the quota, so the quota is bounded: `MAX_LOG`.

If the clock steps back, entries that lie ahead are taken for entries of now. O(entries).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.limits.decision import (
    NEVER,
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

__all__ = ["LOG", "MAX_LOG", "SlidingLog"]

KIND = 3
LOG = -2
"""The mark of its states."""
MAX_LOG = 1_000
"""Each take reads all entries of its caller, and writes them: about 16 KB at this size."""

Entry = tuple[int, int]
"""(instant, cost)"""


@dataclass(frozen=True, slots=True)
class SlidingLog:
    """``quota`` in any ``period`` microseconds, whenever they begin."""

    quota: int
    period: int

    def __post_init__(self) -> None:
        check_rule(self.quota, self.period, MAX_LOG)

    @property
    def limit(self) -> int:
        return self.quota

    @property
    def parameters(self) -> Parameters:
        return KIND, self.quota, self.period, 0

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        """O(entries)."""
        entries = self._in_view(state, now)
        spent = sum(units for _, units in entries)
        left = max(0, self.quota - spent)
        if cost > 0 and cost <= left:
            after, deadline = self._store([*entries, (now, cost)])
            return decide(True, self.quota, left - cost, 0, deadline - now), after, deadline
        check_cost(cost)
        wait = self._retry_after(entries, spent, now, cost) if cost else 0
        reset = entries[-1][0] + self.period - now if entries else 0
        refusal = decide(wait == 0, self.quota, left, wait, reset)
        if cost and state is not None and self.deadline(state) > now + self.period:
            return refusal, *self._store(entries)  # the clock stepped back: anchor it anew
        return refusal, None, 0

    def adjusted(
        self, state: LimitState | None, now: int, by: int, until: int | None = None
    ) -> tuple[LimitState | None, int]:
        """What is given back was spent last: the newest entries go first. O(entries)."""
        entries = self._in_view(state, now)
        if by > 0:
            room = self.quota - sum(units for _, units in entries)
            entries += [(now, min(by, room))] if room > 0 else []
        newest = now if until is None else until - self.period
        later = [entry for entry in entries if entry[0] > newest]
        entries = entries[: len(entries) - len(later)]
        while by < 0 and entries:
            instant, units = entries.pop()
            if units + by > 0:
                entries.append((instant, units + by))
            by = min(0, by + units)
        entries += later
        return self._store(entries) if entries else (None, now)

    def next_after(self, decision: Decision) -> int:
        """At the latest by then: which entry goes first, a decision does not say."""
        if decision.remaining >= self.quota:
            return 0
        # What was refused fits no sooner than one more does.
        wait = decision.retry_after
        return min(decision.reset_after, wait) if wait > 0 else decision.reset_after

    def left(self, state: LimitState, now: int) -> int:
        return max(0, self.quota - sum(units for _, units in self._in_view(state, now)))

    def deadline(self, state: LimitState) -> int:
        numbers = marked(state, LOG)
        return numbers[-2] + self.period if numbers else 0

    def spent_at(self, spent: int, now: int) -> LimitState | None:
        return (LOG, now, spent) if spent else None

    def keeps(self, other: LimitRule) -> bool:
        """Entries are facts, whatever the rule."""
        return type(other) is SlidingLog

    def _in_view(self, state: LimitState | None, now: int) -> list[Entry]:
        numbers = None if state is None else marked(state, LOG)
        if numbers is None:
            return []
        begins = now - self.period
        pairs = zip(numbers[1::2], numbers[2::2], strict=True)
        return [(min(instant, now), units) for instant, units in pairs if instant > begins]

    def _store(self, entries: Sequence[Entry]) -> tuple[LimitState, int]:
        """What came at one instant is one entry."""
        merged: list[int] = [LOG]
        for instant, units in entries:
            if merged[-2:-1] == [instant]:
                merged[-1] += units
            else:
                merged += (instant, units)
        return tuple(merged), merged[-2] + self.period

    def _retry_after(self, entries: Sequence[Entry], spent: int, now: int, cost: int) -> int:
        """Until enough of the oldest entries have left view."""
        if cost > self.quota:
            return NEVER
        wait, excess = 0, spent + cost - self.quota
        for instant, units in entries:
            if excess <= 0:
                break
            wait, excess = instant + self.period - now, excess - units
        return wait
