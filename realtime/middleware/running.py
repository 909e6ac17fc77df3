"""Requests that hold a lease while they run.

A lease is acquired before the app is called and released when it is done, whatever became of
it. The rule's duration is the safety net: the lease of a process that died comes back by then.
What runs longer is renewed at every third of it, by one timer for all requests, so that one
renewal may fail; most requests end before, and cost nothing but an entry.

We choose the id, so that a lease can be given back also if nobody told us that we have it:
if a question is cancelled, or not answered in time. What could not be given back is tried
again until its duration has ended it: that may be hours, and nobody shall be locked out for so
long by an outage of seconds.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from realtime.middleware.fallback import OUTAGES
from realtime.middleware.limiter import Limiter
from realtime.middleware.occasional import Occasional
from realtime.middleware.rules import Rule
from realtime.services.leases import Lease
from realtime.services.limits import Wish

__all__ = ["Held", "Running"]

log = logging.getLogger(__name__)

MAX_ORPHANS = 1_000
"""Leases that are to be given back again; beyond that their duration has to end them."""

AT_ONCE = 64
"""Renewals under way at a time."""

RETRY = 1.0
"""Seconds until orphans are given back; if one cannot be, the others wait as long again."""


class Held(NamedTuple):
    """A lease that a request holds, and who gave it."""

    limiter: Limiter
    rule: str
    key: str
    id: str
    third: float
    """Of its duration, in seconds: when it is renewed."""


class _Orphan(NamedTuple):
    held: Held
    ends_at: float
    """By the loop's clock; from then on it has ended by itself."""


class Running:
    """The leases of one app. Serves one event loop at a time."""

    def __init__(self) -> None:
        # By duration: within one, the first to be renewed comes first.
        self._held: dict[float, dict[str, tuple[Held, float]]] = {}
        self._orphans: deque[_Orphan] = deque(maxlen=MAX_ORPHANS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._lines = Occasional(log)

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    async def acquire(self, limiter: Limiter, rule: Rule, wish: Wish) -> tuple[Lease, Held | None]:
        """The lease, and what has to be released. Raises what is an outage."""
        loop = self._begin()
        held = Held(limiter, wish.rule, wish.key, secrets.token_urlsafe(12), rule.spec.per / 3)
        try:
            lease = await limiter.acquire(wish, held.id)
        except BaseException:
            self._orphaned([held])
            raise
        if lease.id is None:
            return lease, None
        due = loop.time() + held.third
        self._held.setdefault(held.third, {})[held.id] = (held, due)
        self._wake(due)
        return lease, held

    async def release(self, leases: Sequence[Held]) -> None:
        """Never raises but when it is cancelled."""
        for held in leases:
            self._held.get(held.third, {}).pop(held.id, None)
        for at, held in enumerate(leases):
            try:
                await held.limiter.release(held.rule, held.key, held.id)
            except OUTAGES:
                self._orphaned([held])
            except BaseException:
                self._orphaned(leases[at:])
                raise

    async def close(self) -> None:
        """Nothing is renewed any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _begin(self) -> asyncio.AbstractEventLoop:
        """The event loop; in another one than before - of a process that was forked, or of the
        next run - nothing is ours of what is held, and no timer runs."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._timer, self._task = loop, None, None
            self._held.clear()
            self._orphans.clear()
        return loop

    def _orphaned(self, leases: Sequence[Held]) -> None:
        now = asyncio.get_running_loop().time()
        self._orphans.extend([_Orphan(held, now + 3 * held.third) for held in leases])
        self._wake(now + RETRY)

    def _wake(self, at: float) -> None:
        """See that somebody looks then."""
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._tend())
        else:  # it is slow; it must not be started twice
            self._wake(loop.time() + RETRY)

    async def _tend(self) -> None:
        """Renew what is due, give back what is orphaned, and see when to look again."""
        now = asyncio.get_running_loop().time()
        due = [held for leases in self._held.values() for held in _due(leases, now)]
        for at in range(0, len(due), AT_ONCE):
            await asyncio.gather(*map(self._renew, due[at : at + AT_ONCE]))
        await self._give_back()
        for leases in self._held.values():
            if leases:
                self._wake(next(iter(leases.values()))[1])

    async def _renew(self, held: Held) -> None:
        leases = self._held[held.third]
        if leases.pop(held.id, None) is None:
            return  # released while others were renewed
        leases[held.id] = (held, asyncio.get_running_loop().time() + held.third)
        try:
            is_active = await held.limiter.renew(held.rule, held.key, held.id)
        except OUTAGES:
            self._lines.warn(f"a lease of {held.rule} could not be renewed")
            return  # it lasts until after the next attempt
        if not is_active and leases.pop(held.id, None) is not None:
            self._lines.warn(f"a lease of {held.rule} expired while its request was running")

    async def _give_back(self) -> None:
        """The orphans, until one cannot be: the next time it is the last."""
        loop = asyncio.get_running_loop()
        for _ in range(len(self._orphans)):
            orphan = self._orphans.popleft()
            if orphan.ends_at <= loop.time():
                continue
            limiter, rule, key, lease_id, _ = orphan.held
            try:
                await limiter.release(rule, key, lease_id)
            except OUTAGES:
                self._orphans.append(orphan)
                self._wake(loop.time() + RETRY)
                return


def _due(leases: dict[str, tuple[Held, float]], now: float) -> list[Held]:
    due: list[Held] = []
    for held, at in leases.values():
        if at > now:
            break
        due.append(held)
    return due
