"""Who looks after seasons that are over, and when: one task per process.

Scores need nothing of this: whoever submits first after the end of a season closes it. But
somebody has to close the seasons of boards to which nobody comes, and to look after what was
closed. The keeper sleeps until the earliest board of the season index needs attention:

    claim it ── close, tell, delete, pack (`season_care`) ── when next? ──> the index

The index says that a board is due until all of it is done: if this process dies, or the store
goes away, the *lease* of the claim passes, and it is begun anew, here or on another node. What
somebody says to the index meanwhile is not lost: a claim that is not found as it was left means
that the board is to be looked at again.

Boards are looked after side by side, a bounded number of them, so that one whose end nobody
hears, or that takes long to pack, holds up no other one. An end that is not heard is tried again
at an instant that stands in the index like any other.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from itertools import islice

from realtime.backends.base import Backend, BackendUnavailable, EngineError
from realtime.errors import RealtimeError
from realtime.services.rolling import SeasonalBoards
from realtime.services.season_care import SeasonCare
from realtime.services.season_index import NEVER

__all__ = ["AT_ONCE", "LEASE", "SeasonKeeper"]

log = logging.getLogger("realtime.seasons")

AT_ONCE = 8
"""Boards looked after at the same time: more than are told at once, so that while a receiver does
not answer others are packed."""

LEASE = 15_000_000
"""Microseconds for which a board belongs to who claimed it, unless it is made longer."""

RENEWAL = 5.0
"""Seconds after which it is."""

NAP = 1.0
"""Seconds between two looks at an index that others may have changed, at most."""

LONGEST_SLEEP = 60.0
"""Seconds, where nobody else changes it: a wall clock may be set, and that wakes nobody."""

EXPECTED_AT_ONCE = 500
"""Boards looked up in the index in one step: about a millisecond."""

AFTER_FAULT = 60_000_000
"""Microseconds until a board is looked at again that cannot be read."""


class SeasonKeeper:
    """One per process; ``run`` until cancelled, then ``close``."""

    def __init__(
        self,
        backend: Backend,
        boards: SeasonalBoards,
        care: SeasonCare,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` answers seconds, and never steps back."""
        self.figures = care.figures
        self._alone = backend.immediate
        self._boards = boards
        self._index = boards.season_index
        self._care = care
        self._clock = clock
        self._renewed = clock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, int] = {}
        """Boards that are being looked after, and what their claims were last set to."""
        self._again: set[str] = set()
        """Those of which something was said while they were looked after."""
        self._closed: set[str] = set()
        """Boards of which a season was closed here, and that must be in the index therefore."""
        self._wake = asyncio.Event()
        self._index.on_change(self._wake.set)
        boards.on_closed(self._note_closed)
        backend.watches.listen(self._note_change)

    async def run(self) -> None:
        """Look after boards, until cancelled."""
        while True:
            self._wake.clear()
            try:
                pause = await self._look()
            except BackendUnavailable as fault:
                log.debug("the index of seasons cannot be read: %s", fault)
                pause = NAP
            await self._sleep(pause)

    async def close(self) -> None:
        """Break off what is under way, and give it back. The store is still open."""
        left, tasks = dict(self._held), list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            now = await self._index.now() if left else 0
            for board, lease in left.items():
                await self._index.move(board, lease, now)
        except BackendUnavailable as fault:
            log.info("boards with seasons are looked after when their leases end: %s", fault)

    # When

    def _note_closed(self, board: str) -> None:
        self.figures.closed += 1
        self._closed.add(board)
        self._wake.set()

    def _note_change(self, key: bytes | None) -> None:
        if key is None:  # all that is stored has been replaced
            self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        """Until then, or until something is said to the index here, or a board is done with."""
        if self._held:
            seconds = min(seconds, RENEWAL)
        if not self._alone:
            seconds = min(seconds, NAP * random.uniform(0.5, 1.0))
        try:
            # Not wait_for: it may lose a cancellation that comes with what it waits for.
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _look(self) -> float:
        """Begin with what is due and ours; seconds until it is worth looking again."""
        now = await self._index.now()
        await self._renew(now)
        await self._expect()
        free = AT_ONCE - len(self._held)
        listed = await self._index.earliest(free + 1)
        self.figures.late = max(0, now - listed[0].at) / 1_000_000 if listed else 0.0
        for due in listed[:free]:
            if due.at <= now and await self._index.claim(due, now + LEASE):
                self._start(due.board, now + LEASE)
        if len(listed) > free and listed[free].at <= now:
            return LONGEST_SLEEP if len(self._held) >= AT_ONCE else 0.0
        soonest = min((due.at for due in listed if due.at > now), default=NEVER)
        return min((soonest - now) / 1_000_000, LONGEST_SLEEP)

    async def _expect(self) -> None:
        """Put back into the index what it has lost of the boards that were closed here."""
        while some := list(islice(self._closed, EXPECTED_AT_ONCE)):
            await self._index.expect(some)
            self._closed.difference_update(some)

    async def _renew(self, now: int) -> None:
        """Let what takes long stay ours."""
        if self._clock() < self._renewed + RENEWAL:
            return
        self._renewed = self._clock()
        for board, lease in list(self._held.items()):
            if not await self._index.move(board, lease, now + LEASE):
                self._again.add(board)
            if board in self._held:
                self._held[board] = now + LEASE

    # What

    def _start(self, board: str, lease: int) -> None:
        is_new = board not in self._held
        self._held[board] = lease
        if not is_new:  # it was said to be due while it is looked after
            self._again.add(board)
            return
        task = asyncio.get_running_loop().create_task(self._attend(board))
        self._tasks.add(task)
        task.add_done_callback(self._land)

    def _land(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            # Its lease ends, and somebody tries again.
            log.error("a board could not be looked after", exc_info=fault)

    async def _attend(self, board: str) -> None:
        try:
            if await self._hold(board):
                await self._index.put_now(board)
        except BackendUnavailable as fault:
            self.figures.failures += 1
            log.info("the board %r is looked after when its lease ends: %s", board, fault)

    async def _hold(self, board: str) -> bool:
        """Look after a board that is ours; whether it is to be done again at once."""
        try:
            return await self._settle(board, await self._next(board))
        finally:
            # Without a pause after that answer: what is claimed from now on begins anew.
            del self._held[board]
            self._again.discard(board)
            self._wake.set()

    async def _next(self, board: str) -> int | None:
        """Look after it, and when to do so again; None: never."""
        try:
            return await self._care.attend(board)
        except (EngineError, RealtimeError) as fault:
            self.figures.failures += 1
            log.warning("the seasons of the board %r cannot be looked after: %s", board, fault)
            return await self._index.now() + AFTER_FAULT

    async def _settle(self, board: str, at: int | None) -> bool:
        """Give the board back until then, or for good; whether somebody wants it to be looked at
        again."""
        if at is None:
            return await self._forget(board) or board in self._again
        is_as_left = await self._index.move(board, self._held[board], at)
        return not is_as_left or board in self._again

    async def _forget(self, board: str) -> bool:
        """Whether it has seasons by now. Whoever sets such rules says so to the index when all
        have heard of them."""
        await self._index.remove(board)
        return (await self._boards.seasons(board)).seasonal
