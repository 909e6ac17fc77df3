"""Who need not be asked about, because he was refused a moment ago and cannot have more yet.

A refusal says after what time the same cost can pass. Until then the answer to the same
question is known, and to a dearer one, where the rule lets us tell how much longer that takes;
a client that hammers costs us a look-up instead of a round trip. What changes meanwhile - a
reset, a refund, a higher limit - is noticed a little later, `AT_MOST` in the worst case.

Refusals under a rule with a penalty box are not kept: each of them counts there, and so has to
be asked. Being in the box is kept, since what is asked in the box counts for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from realtime.backends.base import NEVER, CalendarWindow, FixedWindow, TokenBucket
from realtime.services.limits import Verdict, Wish

__all__ = ["Blocked", "Known"]

SECOND = 1_000_000

AT_MOST = 10.0
"""Seconds that a refusal is believed."""

AT_MOST_FOR_EVER = 1.0
"""Seconds that "never" is believed: he may be taken from the deny list."""

Name = tuple[str, str, str | None]
"""(rule, key, tier)"""


class Known(list[Verdict]):
    """Refusals that nobody was asked about."""


class _Refused(NamedTuple):
    verdict: Verdict
    cost: int
    learned_at: float
    believed_until: float


class Blocked:
    """The last ``capacity`` refusals; 0 keeps none. O(1) per wish."""

    __slots__ = ("_capacity", "_now", "_refused")

    def __init__(self, capacity: int, now: Callable[[], float] = time.monotonic) -> None:
        if capacity < 0:
            raise ValueError(f"0 or more refusals can be kept, not {capacity}")
        self._capacity = capacity
        self._now = now
        self._refused: dict[Name, _Refused] = {}

    def among(self, wishes: Sequence[Wish]) -> Known | None:
        """Those of the wishes that would be refused; None if somebody has to be asked."""
        if not self._refused:
            return None
        now = self._now()
        found = [self._still(wish, now) for wish in wishes]
        known = Known([verdict for verdict in found if verdict is not None])
        return known or None

    def learn(self, wishes: Sequence[Wish], verdicts: Sequence[Verdict], counted: set[str]) -> None:
        """``counted`` are the rules of which every refusal has to be asked for."""
        for wish, verdict in zip(wishes, verdicts, strict=True):
            if not verdict.allowed and self._may_be_kept(verdict, counted):
                self._keep(wish, verdict)

    def clear(self) -> None:
        self._refused.clear()

    def _may_be_kept(self, verdict: Verdict, counted: set[str]) -> bool:
        if verdict.reason == "penalty":
            return True
        is_counted = verdict.rule in counted or verdict.spec.penalty is not None
        return verdict.reason in ("limit", "denied") and not is_counted

    def _keep(self, wish: Wish, verdict: Verdict) -> None:
        if not self._capacity:
            return
        wait, now = verdict.decision.retry_after, self._now()
        seconds = AT_MOST_FOR_EVER if wait == NEVER else min(AT_MOST, wait / SECOND)
        name = (wish.rule, wish.key, wish.tier)
        self._refused.pop(name, None)
        if len(self._refused) >= self._capacity:
            del self._refused[next(iter(self._refused))]
        self._refused[name] = _Refused(verdict, wish.cost, now, now + seconds)

    def _still(self, wish: Wish, now: float) -> Verdict | None:
        name = (wish.rule, wish.key, wish.tier)
        found = self._refused.get(name)
        if found is None:
            return None
        if now >= found.believed_until:
            del self._refused[name]
            return None
        if not wish.cost or wish.cost < found.cost:
            return None
        wait = _wait(found.verdict, found.cost, wish.cost)
        return None if wait is None else _later(found.verdict, wait, now - found.learned_at)


def _wait(verdict: Verdict, refused: int, cost: int) -> int | None:
    """Microseconds from the refusal until as much can pass; None if only the limiter knows."""
    decision, build = verdict.decision, verdict.build
    wait, more = decision.retry_after, cost - refused
    if not more or wait == NEVER or verdict.reason != "limit":
        return wait
    if cost > decision.limit:
        return NEVER
    if isinstance(build, TokenBucket):
        return wait - (-more * build.period // build.quota)
    return wait if isinstance(build, FixedWindow | CalendarWindow) else None


def _later(verdict: Verdict, wait: int, seconds: float) -> Verdict:
    """The same refusal as it is told some seconds later, of a cost with another wait."""
    decision, passed = verdict.decision, round(seconds * SECOND)
    wait = wait if wait == NEVER else max(1, wait - passed)
    reset = max(0, decision.reset_after - passed)
    return verdict._replace(decision=decision._replace(retry_after=wait, reset_after=reset))
