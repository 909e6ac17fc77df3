"""The seam's part of rate limits: buckets and leases; the rules are the `base` seam's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from engine.leases import LeaseDecision
from engine.limits import (
    MAX_LIMIT,
    MAX_LOG,
    MAX_PERIOD,
    NEVER,
    Amended,
    CalendarWindow,
    Decision,
    FixedWindow,
    LimitRule,
    OutOfTime,
    Parameters,
    PenaltyBox,
    Policy,
    Saturated,
    SlidingLog,
    SlidingWindow,
    TokenBucket,
)

__all__ = [
    "MAX_LIMIT",
    "MAX_LOG",
    "MAX_PERIOD",
    "NEVER",
    "Amended",
    "Buckets",
    "CalendarWindow",
    "Decision",
    "FixedWindow",
    "LeaseDecision",
    "Leases",
    "LimitRule",
    "OutOfTime",
    "Parameters",
    "PenaltyBox",
    "Policy",
    "Saturated",
    "SlidingLog",
    "SlidingWindow",
    "Take",
    "TokenBucket",
    "Wanted",
]


class Take(NamedTuple):
    """A wish to spend ``cost`` from the bucket under ``key``."""

    key: bytes
    rule: LimitRule
    cost: int = 1


Wanted = tuple[bytes, LimitRule, int]
"""A `Take`, or the same as a plain tuple, which is made in less time."""


class Buckets(Protocol):
    """Rate limits; the state under a key belongs to one rule.

    Each method raises OutOfTime, and changes nothing, if a rule does not hold now."""

    async def take(self, key: bytes, rule: LimitRule, cost: int = 1) -> Decision:
        """Spend if allowed; a cost of 0 only looks."""

    async def take_all(self, takes: Sequence[Wanted]) -> list[Decision]:
        """Spend all, or nothing if any is refused; one decision per take, as if it were alone
        after the earlier ones of the same call."""

    async def adjust(
        self, key: bytes, rule: LimitRule, by: int, until: int | None = None
    ) -> Decision:
        """Spend ``by`` more, as far as that is left; or give ``-by`` back, never above full, and of
        what the clock gives back by ``until`` only what it has not by now.

        Answers what a look finds after it."""

    async def hold(self, key: bytes, regained_after: int, ttl: int) -> int:
        """Remember for ``ttl`` what was spent just now, which the clock gives back in
        ``regained_after``.

        0; or how long to wait until there may be room for it. Durations are microseconds."""

    async def unhold(self, key: bytes) -> int | None:
        """Forget it: the instant at which the clock has given it back; None if it was not held."""

    async def now(self) -> int:
        """The instant by which it decides, in microseconds since 1970."""


class Leases(Protocol):
    """Concurrency: see `engine.leases`. A lease is bytes; durations are microseconds."""

    async def acquire(self, key: bytes, limit: int, lease: bytes, ttl: int) -> LeaseDecision:
        """Take a lease unless ``limit`` are active; one that is held is renewed."""

    async def renew(self, key: bytes, lease: bytes, ttl: int) -> int | None:
        """The instant until which it lasts now; None if it is not active."""

    async def release(self, key: bytes, lease: bytes) -> bool:
        """Whether it was active until now."""

    async def active(self, key: bytes, limit: int) -> list[tuple[bytes, int]]:
        """Up to ``limit`` active leases and when they expire, the first to expire first."""

    async def count(self, key: bytes) -> int:
        """How many are active."""
