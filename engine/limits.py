"""Rate limits: may this caller proceed now, and if not, when?

Three rules, one interface: ``take(state, now, cost)`` answers a `Decision` and what to
store. Everything is exact integer arithmetic on microseconds: no drift, no epsilon. A
refusal spends nothing: if it did, a client hammering a closed door would keep pushing
back the moment it opens. (It stores something only after the clock stepped back.) A
``cost`` of 0 only looks. A ``cost`` above the rule's capacity can never pass; it is
refused with ``retry_after`` of ``NEVER``.

What each promises, for a capacity N per period W: a fixed window may admit 2N around a
boundary; a sliding window about N in any aligned period and at most 2N in the worst; a
token bucket N at once plus N/W a second. Choose a small ``burst`` when no window of length
W may see more than N.

State is absent (``None``) for a caller who has spent nothing, and it may expire at the
deadline that ``take`` answers: from then on, absent and stored mean the same.

Pure: no clock, no I/O. O(1) time; one to three integers of memory per caller.

Sources: the Generic Cell Rate Algorithm (ITU-T I.371) in its virtual-scheduling form;
the sliding-window counter weighs the previous window by the part of it still in view.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd
from typing import NamedTuple, Protocol

__all__ = [
    "NEVER",
    "Decision",
    "FixedWindow",
    "LimitRule",
    "LimitState",
    "SlidingWindow",
    "TokenBucket",
]

NEVER = -1
"""The ``retry_after`` of a cost that no wait will ever make affordable."""

LimitState = int | tuple[int, ...] | bytes
"""What is stored per caller: integers, or their decimal text when it comes from a file.

``take`` raises TypeError for anything else.
"""

MAX_LIMIT = 2**31 - 1
MAX_PERIOD = 366 * 86_400 * 1_000_000
"""A year and a day: beyond it the integers would outgrow what Redis' Lua can count exactly."""

MAX_REFILL = 100 * MAX_PERIOD
"""A century from empty to full: the instant of being full must stay one that a double holds to
the microsecond (until 2255), and that Redis takes for a deadline."""


class Decision(NamedTuple):
    """The answer to one take. Durations are microseconds."""

    allowed: bool
    limit: int
    """The rule's capacity."""
    remaining: int
    """What could still be taken right now."""
    retry_after: int
    """How long until the same cost passes if nobody else takes; 0 if allowed, or NEVER."""
    reset_after: int
    """How long until the caller, left alone, has the full capacity again."""


Outcome = tuple[Decision, LimitState | None, int]
"""A decision, what to store (None: nothing), and the deadline at which it may be forgotten.

A plain tuple, and decisions are built by ``_decide``: a named tuple's own constructor would
cost a fifth of a take.
"""

_new = tuple.__new__


def _decide(
    allowed: bool, limit: int, remaining: int, retry_after: int, reset_after: int
) -> Decision:
    return _new(Decision, (allowed, limit, remaining, retry_after, reset_after))


class LimitRule(Protocol):
    """What the three rules have in common."""

    @property
    def limit(self) -> int:
        """The most that can be had at once."""

    @property
    def period(self) -> int:
        """Microseconds in which ``quota`` is given."""

    @property
    def quota(self) -> int:
        """How much is given per period."""

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        """Spend ``cost`` if that is allowed; the state is None where nothing is to be stored."""

    def next_after(self, decision: Decision) -> int:
        """Microseconds after which ``remaining`` will have grown; 0 if it is full."""


def _numbers(state: LimitState) -> tuple[int, ...]:
    if isinstance(state, tuple):
        return state
    if isinstance(state, int):
        return (state,)
    if not isinstance(state, bytes):
        raise TypeError(f"a {type(state).__name__} is no state of a limit")
    return tuple(int(part) for part in state.split())


def _numbers_of(state: LimitState, count: int) -> tuple[int, ...] | None:
    """The numbers of a state, or None if it is another algorithm's: that cannot be converted."""
    numbers = _numbers(state)
    return numbers if len(numbers) == count else None


def _check_rule(limit: int, period: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit must be within 1..{MAX_LIMIT}, got {limit}")
    if not 1 <= period <= MAX_PERIOD:
        raise ValueError(f"period must be within 1..{MAX_PERIOD} microseconds, got {period}")


def _check_cost(cost: int) -> None:
    if cost < 0:
        raise ValueError(f"cost must not be negative, got {cost}")


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
        _check_rule(self.quota, self.period)
        _check_rule(self.burst, self.period)
        if self.burst * self.period > MAX_REFILL * self.quota:
            raise ValueError("a bucket of this burst would take over 100 years to be full again")
        shared = gcd(self.quota, self.period)
        object.__setattr__(self, "scale", self.quota // shared)
        object.__setattr__(self, "interval", self.period // shared)
        object.__setattr__(self, "capacity", self.interval * self.burst)

    @property
    def limit(self) -> int:
        return self.burst

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        if self.scale == 1 and type(state) is int and cost > 0:  # the common case, no detours
            interval, burst = self.interval, self.burst
            missing = state - now if state > now else 0
            price = cost * interval
            left = self.capacity - missing - price
            if left >= 0:
                missing += price
                after = now + missing
                return _new(Decision, (True, burst, left // interval, 0, missing)), after, after
            room = left + price
            if room >= 0 and cost <= burst:
                refusal = _new(Decision, (False, burst, room // interval, -left, missing))
                return refusal, None, 0
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
        return _decide(True, self.burst, left, 0, deadline - now), stored, deadline

    def _store(self, full_at: int) -> tuple[LimitState, int]:
        """What to keep for ``full_at`` ticks, and the microsecond at which it may be forgotten."""
        if self.scale == 1:
            return full_at, full_at
        whole, part = divmod(full_at, self.scale)
        return (whole, part, self.scale), whole + (part > 0)

    def _refuse(self, before: int, ticks: int, cost: int) -> Decision:
        """The answer that spends nothing: a refusal, or a look if ``cost`` is 0."""
        _check_cost(cost)
        scale, burst, horizon = self.scale, self.burst, ticks + self.capacity
        after = before + cost * self.interval
        wait = NEVER if cost > burst else max(0, -(-(after - horizon) // scale))
        left = (horizon - before) // self.interval
        return _decide(wait == 0, burst, left, wait, -(-(before - ticks) // scale))

    def next_after(self, decision: Decision) -> int:
        missing = self.burst - decision.remaining
        if missing <= 0:
            return 0
        to_next = decision.reset_after * self.scale - (missing - 1) * self.interval
        return to_next if self.scale == 1 else max(1, -(-to_next // self.scale))

    def _ticks(self, state: LimitState) -> int:
        """``full_at`` in this rule's ticks, rounded up: a change of rule gives nothing away."""
        numbers = _numbers(state)
        if len(numbers) == 2:
            return 0  # another algorithm's: it cannot be converted
        whole, part, scale = numbers if len(numbers) == 3 else (numbers[0], 0, 1)
        return whole * self.scale + -(-(part * self.scale) // max(scale, 1))


@dataclass(frozen=True, slots=True)
class _Window:
    """``quota`` per window of ``period`` microseconds; windows are aligned to 1970."""

    quota: int
    period: int

    def __post_init__(self) -> None:
        _check_rule(self.quota, self.period)

    @property
    def limit(self) -> int:
        return self.quota


class FixedWindow(_Window):
    """``quota`` in each window, and nothing carried over.

    The state is ``(window, spent)``: the number of the window since 1970 and how much it
    has spent. If the clock steps back, what was spent moves to the window it stepped to.
    Cheap and coarse: see the module's header for what it admits at a boundary.
    """

    __slots__ = ()

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        quota, period = self.quota, self.period
        window, elapsed = divmod(now, period)
        left = period - elapsed
        seen, spent = window, 0
        if state is not None:
            try:
                seen, spent = state  # type: ignore[misc]  # a tuple, nearly always
            except (TypeError, ValueError):
                seen, spent = _numbers_of(state, 2) or (window, 0)
            if seen < window:
                spent = 0
        after = spent + cost
        if after <= quota and cost > 0:
            decision = _new(Decision, (True, quota, quota - after, 0, left))
            return decision, (window, after), now + left
        room = quota - spent if spent < quota else 0
        reset = left if spent else 0
        if cost <= 0:
            _check_cost(cost)
            return _new(Decision, (True, quota, room, 0, reset)), None, 0
        refusal = _new(Decision, (False, quota, room, NEVER if cost > quota else left, reset))
        if seen > window:
            return refusal, (window, spent), now + left
        return refusal, None, 0

    def next_after(self, decision: Decision) -> int:
        return 0 if decision.remaining >= self.quota else decision.reset_after


class SlidingWindow(_Window):
    """About ``quota`` in any window of ``period``, from two aligned windows' counts.

    The state is ``(window, previous, current)``: the number of the current window since
    1970 and what the two windows have spent. The estimate weighs the previous count by
    the part of its window that is still in view. It is never rounded: both sides of the
    comparison are multiplied by the period. If the clock steps back, both counts move to
    the window it stepped to.
    """

    __slots__ = ()

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        quota, period = self.quota, self.period
        window, elapsed = divmod(now, period)
        in_view = period - elapsed
        seen, previous, current = window, 0, 0
        if state is not None:
            try:
                seen, previous, current = state  # type: ignore[misc]  # a tuple, nearly always
            except (TypeError, ValueError):
                seen, previous, current = _numbers_of(state, 3) or (window, 0, 0)
            if seen < window:
                previous, current = (current if seen == window - 1 else 0), 0
        room = quota * period - previous * in_view - current * period
        left = max(0, room // period)
        if cost <= 0 or cost * period > room:
            _check_cost(cost)
            reset = self._reset_after(previous, current, in_view)
            wait = self._retry_after(previous, current, in_view, cost) if cost else 0
            refusal = _decide(wait == 0, quota, left, wait, reset)
            if cost and seen > window:
                return refusal, (window, previous, current), now + in_view + period
            return refusal, None, 0
        in_view += period
        decision = _new(Decision, (True, quota, left - cost, 0, in_view))
        return decision, (window, previous, current + cost), now + in_view

    def next_after(self, decision: Decision) -> int:
        # The estimate sinks all the time; by then it has sunk by one at the slowest.
        return (
            0
            if decision.remaining >= self.quota
            else min(decision.reset_after, max(1, -(-self.period // self.quota)))
        )

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
