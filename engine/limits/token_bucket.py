"""Token buckets: so many at once, and so many a second.

Source: the Generic Cell Rate Algorithm (ITU-T I.371) in its virtual-scheduling form.
Exact integers on microseconds: no drift, no epsilon. O(1); one integer of memory per caller,
three where a token is no whole number of microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd

from engine.limits.decision import (
    MAX_REFILL,
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

__all__ = ["TokenBucket"]

KIND = 0

_new = tuple.__new__


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """At most ``burst`` tokens, regained at ``quota`` per ``period`` microseconds.

    We never count tokens. We keep one instant, ``full_at``: when the bucket, left alone,
    would be full again. A token is worth ``period / quota`` microseconds. Where that is
    no whole number, time is counted in ticks, ``scale`` to the microsecond, and the state
    is ``(microseconds, ticks, scale)`` instead of one integer; most rules have a scale of 1.

    If the clock steps back, or the rule was made smaller, ``full_at`` may lie further
    ahead than an empty bucket's. It is then taken for an empty bucket's, and stored as
    that, so that neither can lock a caller out.
    """

    quota: int
    period: int
    burst: int
    scale: int = field(init=False)
    interval: int = field(init=False)
    """Ticks per token."""
    capacity: int = field(init=False)
    """Ticks from empty to full."""

    def __post_init__(self) -> None:
        check_rule(self.quota, self.period)
        check_rule(self.burst, self.period)
        if self.burst * self.period > MAX_REFILL * self.quota:
            raise ValueError("a bucket of this burst would take over 100 years to be full again")
        shared = gcd(self.quota, self.period)
        object.__setattr__(self, "scale", self.quota // shared)
        object.__setattr__(self, "interval", self.period // shared)
        object.__setattr__(self, "capacity", self.interval * self.burst)

    @property
    def limit(self) -> int:
        return self.burst

    @property
    def parameters(self) -> Parameters:
        return KIND, self.quota, self.period, self.burst

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        if self.scale == 1 and type(state) is int and cost > 0:  # the common case, no detours
            interval, burst = self.interval, self.burst
            price = cost * interval
            after = (state if state > now else now) + price
            missing = after - now
            left = self.capacity - missing
            if left >= 0:
                return _new(Decision, (True, burst, left // interval, 0, missing)), after, after
            room = left + price
            if room >= 0 and cost <= burst:
                reset = missing - price
                return _new(Decision, (False, burst, room // interval, -left, reset)), None, 0
        return self._take(state, now, cost)

    def _take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        ticks = now * self.scale
        horizon = ticks + self.capacity  # an empty bucket is full by then
        full_at = ticks if state is None else self._ticks(state)
        before = min(max(full_at, ticks), horizon)  # an idle bucket is full, never fuller
        after = before + cost * self.interval
        if cost <= 0 or after > horizon:
            refusal = self._refuse(before, ticks, cost)
            if full_at > horizon and cost:
                return refusal, *self._store(horizon)  # see "steps back" above
            return refusal, None, 0
        stored, deadline = self._store(after)
        left = (horizon - after) // self.interval
        return decide(True, self.burst, left, 0, deadline - now), stored, deadline

    def _store(self, full_at: int) -> tuple[LimitState, int]:
        """What to keep for ``full_at`` ticks, and the microsecond at which it may be forgotten."""
        if self.scale == 1:
            return full_at, full_at
        whole, part = divmod(full_at, self.scale)
        return (whole, part, self.scale), whole + (part > 0)

    def _refuse(self, before: int, ticks: int, cost: int) -> Decision:
        """The answer that spends nothing: a refusal, or a look if ``cost`` is 0."""
        check_cost(cost)
        scale, burst, horizon = self.scale, self.burst, ticks + self.capacity
        after = before + cost * self.interval
        wait = NEVER if cost > burst else max(0, -(-(after - horizon) // scale))
        left = (horizon - before) // self.interval
        return decide(wait == 0, burst, left, wait, -(-(before - ticks) // scale))

    def next_after(self, decision: Decision) -> int:
        missing = self.burst - decision.remaining
        if missing <= 0:
            return 0
        to_next = decision.reset_after * self.scale - (missing - 1) * self.interval
        return to_next if self.scale == 1 else max(1, -(-to_next // self.scale))

    def _ticks(self, state: LimitState) -> int:
        """``full_at`` in this rule's ticks, rounded up: a change of rule gives nothing away."""
        numbers = bare_numbers(state)
        if len(numbers) == 2 or numbers[0] < 0:
            return 0  # another algorithm's: it cannot be converted
        whole, part, scale = numbers if len(numbers) == 3 else (numbers[0], 0, 1)
        return whole * self.scale + -(-(part * self.scale) // max(scale, 1))

    def adjusted(
        self, state: LimitState | None, now: int, by: int, until: int | None = None
    ) -> tuple[LimitState | None, int]:
        ticks = now * self.scale
        horizon = ticks + self.capacity
        before = ticks if state is None else min(max(self._ticks(state), ticks), horizon)
        change = by * self.interval
        if until is not None and by < 0:
            change = max(change, min(0, now - until) * self.scale)
        after = min(max(before + change, ticks), horizon)
        return (None, now) if after <= ticks else self._store(after)

    def left(self, state: LimitState, now: int) -> int:
        ticks = now * self.scale
        missing = max(0, self._ticks(state) - ticks)
        return max(0, self.capacity - missing) // self.interval

    def deadline(self, state: LimitState) -> int:
        return -(-self._ticks(state) // self.scale)

    def spent_at(self, spent: int, now: int) -> LimitState | None:
        return self._store(now * self.scale + spent * self.interval)[0] if spent else None

    def refilled(self, full: int, missing: int, now: int) -> LimitState | None:
        """The state of a caller who has all but ``missing / full`` tokens, rounded in nobody's
        favour by less than a tick. None: full."""
        ticks = -(-missing * self.interval // full)
        return self._store(now * self.scale + ticks)[0] if ticks > 0 else None

    def missing_ticks(self, state: LimitState, now: int) -> int:
        """Never more than an empty bucket's."""
        return min(max(0, self._ticks(state) - now * self.scale), self.capacity)

    def keeps(self, other: LimitRule) -> bool:
        """An instant says how long it takes, by the old rate, and not how many are missing."""
        return False
