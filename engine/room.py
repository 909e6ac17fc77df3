"""Room for those who are limited: how many callers are remembered, and what if there is none.

A caller who is forgotten has everything again, so who can make us forget gets quota for free.
Therefore a state is given up at the moment it means nothing any more, when its bucket is full,
and never earlier. When there are too many, those are dropped whose deadline has passed, the
fullest first, in the order of the keyspace's wheel. If none has, the table is *saturated*: who
is not remembered yet is refused, until the next one is full; those who are go on undisturbed.
"""

from __future__ import annotations

from engine.core import Core
from engine.limits import Saturated
from engine.limits.decision import LimitRule

__all__ = ["Room"]

UNBOUNDED = 2**62

LOOKS = 200
"""Keys looked at to make room: about 0.1 ms."""


class Room:
    """Counts keys with a deadline that begin with a prefix. ``refused`` counts refusals."""

    __slots__ = ("_core", "most", "refused")

    def __init__(self, core: Core) -> None:
        self._core = core
        self.most = UNBOUNDED
        self.refused = 0

    def bound(self, prefix: bytes, most: int) -> None:
        """From now on there are at most so many. O(keys)."""
        self._core.keyspace.count(prefix)
        self.most = most

    @property
    def used(self) -> int:
        return self._core.keyspace.counted

    def make(self, keys: int, now: int) -> bool:
        """Whether there is room for so many more; amortized O(1)."""
        keyspace = self._core.keyspace
        if keyspace.counted + keys <= self.most:
            return True
        keyspace.reap(now, LOOKS)
        if keyspace.counted + keys <= self.most:
            return True
        self.refused += 1
        return False

    def wait(self, now: int) -> int:
        """Microseconds until it is worth asking again."""
        return max(1, self._core.keyspace.next_due() - now)

    def refusal(self, rule: LimitRule, now: int) -> Saturated:
        wait = self.wait(now)
        return Saturated(False, rule.limit, 0, wait, wait)
