"""Concurrency: how many at once, instead of how many a second.

Who begins something acquires a *lease*, and releases it at the end; who dies in between is
taken for done when the lease expires. The leases of a caller are a sorted set, lease -> the
instant at which it expires, in microseconds; the key expires with the last of them.

Never more than the limit are active at an instant, and each comes back exactly once: by its
release or at its expiry, whichever is first. If the clock steps back, leases last longer.
All costs are O(log leases), and the time to drop those that have expired.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from engine.core import Core, number
from engine.room import Room
from engine.sortedset import SortedSet

__all__ = ["LeaseDecision", "Leases"]


class LeaseDecision(NamedTuple):
    """The answer to an acquisition. Durations are microseconds."""

    granted: bool
    limit: int
    active: int
    """Leases that are active now, this one included."""
    retry_after: int
    """How long until one can be had if none is released; 0 if this one was granted."""
    expires: int
    """The instant at which it ends; 0 if it was refused."""
    is_saturated: bool = False
    """Refused because there is no room to remember the caller."""


class Leases:
    """The active leases of a caller per key."""

    __slots__ = ("_core", "_room")

    def __init__(self, core: Core, room: Room) -> None:
        self._core = core
        self._room = room

    def acquire(self, key: bytes, limit: int, lease: bytes, ttl: int) -> LeaseDecision:
        """Take a lease for ``ttl`` microseconds; one that is held is renewed.

        Raises WrongType, and ValueError for a limit or a ttl below 1."""
        if limit < 1 or ttl < 1:
            raise ValueError(f"limit and ttl must be at least 1, got {limit} and {ttl}")
        now = self._core.clock()
        active = self._current(key, now)
        held = active is not None and lease in active
        if active is not None and not held and len(active) >= limit:
            ((_, earliest),) = active.slice(len(active) - limit, len(active) - limit + 1)
            return LeaseDecision(False, limit, len(active), int(earliest) - now, 0)
        if active is None:
            if not self._room.make(1, now):
                return LeaseDecision(False, limit, 0, self._room.wait(now), 0, True)
            active = SortedSet()
            self._core.keyspace.put(key, active)
        self._keep(key, active, lease, now + ttl)
        return LeaseDecision(True, limit, len(active), 0, now + ttl)

    def renew(self, key: bytes, lease: bytes, ttl: int) -> int | None:
        """Let a lease end ``ttl`` from now; the instant, or None if it is not active."""
        if ttl < 1:
            raise ValueError(f"ttl must be at least 1, got {ttl}")
        now = self._core.clock()
        active = self._current(key, now)
        if active is None or lease not in active:
            return None
        self._keep(key, active, lease, now + ttl)
        return now + ttl

    def release(self, key: bytes, lease: bytes) -> bool:
        """Whether it was active until now."""
        active = self._current(key, self._core.clock())
        if active is None or not active.remove(lease):
            return False
        self._core.announce(b"ZREM", key, lease)
        if not active:
            self._core.keyspace.delete(key)
        return True

    def active(self, key: bytes, limit: int = 1_000) -> list[tuple[bytes, int]]:
        """Active leases and when they expire, the first to expire first. O(log n + limit)."""
        now = self._core.clock()
        leases = self._core.keyspace.typed(key, now, SortedSet, "zset") or SortedSet()
        start = leases.below(now, inclusive=True)
        return [(lease, int(ends)) for lease, ends in leases.slice(start, start + limit)]

    def count(self, key: bytes) -> int:
        """How many are active."""
        now = self._core.clock()
        leases = self._core.keyspace.typed(key, now, SortedSet, "zset")
        return 0 if leases is None else len(leases) - leases.below(now, inclusive=True)

    def _keep(self, key: bytes, active: SortedSet, lease: bytes, ends: int) -> None:
        core = self._core
        active.add(lease, ends)
        core.announce(b"ZADD", key, number(ends), lease)
        if ends > (core.keyspace.deadline(key) or 0):
            core.move_deadline(key, ends)

    def _current(self, key: bytes, now: int) -> SortedSet | None:
        """What is under the key, after what has expired was dropped; None if nothing is left."""
        core = self._core
        leases = core.keyspace.typed(key, now, SortedSet, "zset")
        if leases is None:
            return None
        start, stop = leases.by_score(-inf, now)
        gone = [lease for lease, _ in leases.slice(start, stop)]
        for lease in gone:
            leases.remove(lease)
        if gone:
            core.announce(b"ZREM", key, *gone)
        if not leases:
            core.keyspace.delete(key)
            return None
        return leases
