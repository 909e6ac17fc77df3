"""A rule that was changed, or that is another for some callers, on the state that is there.

What is stored for a caller means something by the parameters it was written under: an instant
says how many tokens are missing only to who knows the rate. So a state that was not written
under the rule's *first* parameters begins with those it was written under:

    (mark, algorithm, quota, period, burst, … the state itself)

and a state without them was written under the first ones. A rule that never changed pays
nothing for this. A state of other parameters is settled by those up to now, and what is left
is converted by the rule's policy:

=============  ====================================================================
as-is          a token bucket keeps its tokens, as far as they fit; what a window has
               counted stays counted
proportional   the part of the capacity that is left stays the same, rounded down
reset          full again
=============  ====================================================================

Never more than the larger of both capacities. Between token buckets parts of a token are kept:
else a caller who comes under two rates by turns would never regain one. What was converted is
stored by the first take after it, also by one that is refused; a state that nobody takes from
goes at the instant at which it meant nothing by the old parameters.

A rule that never changed may meet a tagged state all the same: where its change is not known yet,
or after it was removed and defined anew. `reader_of` answers who reads that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from engine.limits.calendar import KIND as CALENDAR_KIND
from engine.limits.calendar import CalendarWindow
from engine.limits.decision import (
    TAG,
    Decision,
    LimitRule,
    LimitState,
    Outcome,
    OutOfTime,
    Parameters,
    is_tagged,
    numbers_of,
)
from engine.limits.log import KIND as LOG_KIND
from engine.limits.log import SlidingLog
from engine.limits.token_bucket import KIND as BUCKET_KIND
from engine.limits.token_bucket import TokenBucket
from engine.limits.windows import FixedWindow, SlidingWindow

__all__ = ["TAG", "Amended", "Policy", "bare_rule", "reader_of", "rule_of"]

Policy = Literal["as-is", "proportional", "reset"]

ALWAYS = 2**53


@lru_cache(maxsize=1024)
def rule_of(parameters: Parameters) -> LimitRule:
    """The rule of these numbers. Raises ValueError if there is none.

    A service has few of them, and meets them at every take."""
    kind, quota, period, burst = parameters
    match kind:
        case _ if kind == BUCKET_KIND:
            return TokenBucket(quota, period, burst)
        case FixedWindow.KIND:
            return FixedWindow(quota, period)
        case SlidingWindow.KIND:
            return SlidingWindow(quota, period)
        case _ if kind == LOG_KIND:
            return SlidingLog(quota, period)
        case _ if kind == CALENDAR_KIND:
            return CalendarWindow(quota, 0, 1)  # what it stored says until when it counts
    raise ValueError(f"there is no algorithm {kind}")


@dataclass(frozen=True, slots=True)
class Amended:
    """``rule``, on states that may have been written under other parameters."""

    rule: LimitRule
    first: Parameters
    policy: Policy = "as-is"
    until: int = ALWAYS
    """`OutOfTime` is raised from here on."""
    tag: tuple[int, ...] = field(init=False)
    limit: int = field(init=False)
    period: int = field(init=False)
    quota: int = field(init=False)

    def __post_init__(self) -> None:
        own = self.rule.parameters
        object.__setattr__(self, "tag", () if own == self.first else (TAG, *own))
        object.__setattr__(self, "limit", self.rule.limit)
        object.__setattr__(self, "period", self.rule.period)
        object.__setattr__(self, "quota", self.rule.quota)

    @property
    def parameters(self) -> Parameters:
        return self.rule.parameters

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        """Raises OutOfTime from ``until`` on."""
        if now >= self.until:
            raise OutOfTime(now)
        bare = None if state is None else self.settled(state, now)
        decision, after, deadline = self.rule.take(bare, now, cost)
        if after is not None:
            return decision, self._tagged(after), deadline
        if cost and bare is not None and not self._is_own(state):
            return decision, self._tagged(bare), self.rule.deadline(bare)
        return decision, None, 0

    def adjusted(
        self, state: LimitState | None, now: int, by: int, until: int | None = None
    ) -> tuple[LimitState | None, int]:
        if now >= self.until:
            raise OutOfTime(now)
        bare = None if state is None else self.settled(state, now)
        after, deadline = self.rule.adjusted(bare, now, by, until)
        return None if after is None else self._tagged(after), deadline

    def next_after(self, decision: Decision) -> int:
        return self.rule.next_after(decision)

    def left(self, state: LimitState, now: int) -> int:
        bare = self.settled(state, now)
        return self.limit if bare is None else self.rule.left(bare, now)

    def deadline(self, state: LimitState) -> int:
        old, bare = self._origin(state)
        return old.deadline(bare)

    def spent_at(self, spent: int, now: int) -> LimitState | None:
        after = self.rule.spent_at(spent, now)
        return None if after is None else self._tagged(after)

    def keeps(self, other: LimitRule) -> bool:
        return self.rule.keeps(other)

    def settled(self, state: LimitState, now: int) -> LimitState | None:
        """A state as the rule itself reads it: see the table above. None: full."""
        if not self.tag:
            if type(state) is int:
                return state
        elif type(state) is tuple and state[:5] == self.tag:
            return state[5] if len(state) == 6 else state[5:]
        old, bare = self._origin(state)
        if old.parameters == self.rule.parameters:
            return bare
        if self.policy == "reset" or old.deadline(bare) <= now:
            return None
        if self.policy == "as-is" and self.rule.keeps(old):
            return bare
        if isinstance(self.rule, TokenBucket) and isinstance(old, TokenBucket):
            return self._refilled(self.rule, old, old.missing_ticks(bare, now), now)
        left = self._converted(old, old.left(bare, now))
        return self.rule.spent_at(self.limit - left, now)

    def _refilled(
        self, rule: TokenBucket, old: TokenBucket, missing: int, now: int
    ) -> LimitState | None:
        """From one bucket to another, of which ``missing`` ticks are missing."""
        if self.policy == "proportional":
            return rule.refilled(old.capacity, missing * rule.burst, now)
        beyond = (rule.burst - old.burst) * old.interval
        return rule.refilled(old.interval, beyond + missing, now)

    def _converted(self, old: LimitRule, left: int) -> int:
        if self.policy == "proportional":
            return left * self.limit // old.limit
        if type(self.rule) is TokenBucket:
            return min(left, self.limit)
        return min(self.limit, max(0, self.limit - old.limit + left))

    def _origin(self, state: LimitState) -> tuple[LimitRule, LimitState]:
        """By which rule it was written, and the state without that."""
        numbers = numbers_of(state)
        if not is_tagged(numbers):
            return rule_of(self.first), state
        try:
            _, kind, quota, period, burst, *rest = numbers
            old = rule_of((kind, quota, period, burst))
        except ValueError:
            raise TypeError(f"{state!r:.80} is a damaged state of a limit") from None
        return old, rest[0] if len(rest) == 1 else tuple(rest)

    def _is_own(self, state: LimitState | None) -> bool:
        """Whether it was written under the rule's own parameters; as `bare` in Redis decides it."""
        numbers = () if state is None else numbers_of(state)
        return numbers[:5] == self.tag if self.tag else not is_tagged(numbers)

    def _tagged(self, state: LimitState) -> LimitState:
        return (*self.tag, *numbers_of(state)) if self.tag else state


def reader_of(rule: LimitRule, state: LimitState) -> LimitRule:
    """The rule as it reads a tagged state: nothing that was spent is given away.

    Raises TypeError for a state that nobody can read."""
    if isinstance(rule, Amended) or not is_tagged(numbers_of(state)):
        raise TypeError(f"{state!r:.80} is a damaged state of a limit")
    return Amended(rule, rule.parameters)


def bare_rule(rule: LimitRule) -> LimitRule:
    """The algorithm itself."""
    return rule.rule if isinstance(rule, Amended) else rule
