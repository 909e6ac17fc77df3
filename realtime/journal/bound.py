"""How much a power cut may cost: an fsync in time, or no more writes.

The first write after an fsync sets the clock: half the bound later the next fsync begins, in a
thread, while the loop goes on writing. If it has not ended when the bound is over, writes are
refused until it has. So what is answered and not yet on disk is never older than the bound,
however slow the disk is; and at a steady load there is one fsync per half of the bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime.journal.durability import SYNC_AT

__all__ = ["Bound"]


class Bound:
    """Watches the oldest write that is not on disk. Used on the loop only."""

    __slots__ = ("_begin", "_bound", "_late", "_next", "_oldest", "_syncing", "_timers")

    def __init__(
        self, bound: float, begin_sync: Callable[[], None], late: Callable[[], None]
    ) -> None:
        """``begin_sync`` is to end in a call of ``synced``. ``bound`` is in seconds."""
        self._bound = bound
        self._begin = begin_sync
        self._late = late
        self._oldest: float | None = None
        self._next: float | None = None
        """The oldest of those that the fsync under way may not cover."""
        self._syncing = False
        self._timers: list[asyncio.TimerHandle] = []

    def age(self) -> float:
        """Seconds since the oldest write that is not on disk; 0 if all are."""
        if self._oldest is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._oldest

    def written(self) -> None:
        """Something was written. O(1)."""
        if self._oldest is None:
            self._oldest = asyncio.get_running_loop().time()
            self._arm()
        elif self._syncing and self._next is None:
            self._next = asyncio.get_running_loop().time()

    def synced(self) -> None:
        """The fsync has ended well: what was written before it began is on disk."""
        self._syncing = False
        self._disarm()
        self._oldest, self._next = self._next, None
        if self._oldest is not None:
            self._arm()

    def all_synced(self) -> None:
        """Everything is on disk, and no fsync of ours is under way."""
        self._next = None
        self.synced()

    def stop(self) -> None:
        """No fsync is begun any more, and nobody is called late."""
        self._disarm()
        self._oldest = self._next = None
        self._syncing = False

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._oldest is not None
        self._timers = [
            loop.call_at(self._oldest + self._bound * SYNC_AT, self._sync),
            loop.call_at(self._oldest + self._bound, self._late),
        ]

    def _disarm(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    def _sync(self) -> None:
        self._syncing = True
        self._begin()
