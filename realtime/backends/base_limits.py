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

    async def adjust(self, key: bytes, rule: LimitRule, by: int) -> Decision:
        """Spend ``by`` more, as far as that is left; or give ``-by`` back, never above full.

        Answers what a look finds after it."""

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
