"""Departures on their way to whoever wants to be told: at least once each.

The queue lies in the store, and what is here is only what is being sent now. Each round looks
at all shards and claims as much as may be sent at once; a claim is a lease, so that what a node
that dies was sending is sent by another one. Only an answer of 2xx, or too high an age, takes
a departure out of the queue.

    store ──claim──> under way ──2xx──> done
      ^                  │
      └────postpone──────┘  anything else; see `realtime.webhooks.pace`

A task exists only for what is being sent. Nobody who publishes, connects or asks ever waits
for any of this.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from realtime.backends.base import BackendUnavailable, Due
from realtime.services.departures import SHARDS, Departures
from realtime.webhooks.delivery import Delivery
from realtime.webhooks.endpoint import Undelivered
from realtime.webhooks.event import user_left
from realtime.webhooks.pace import message_pause

__all__ = ["AT_ONCE", "Sender"]

log = logging.getLogger("realtime.webhooks")

AT_ONCE: Final = 16
"""Departures under way at the same time."""

LONGEST_ROUND = 1.0
SHORTEST_ROUND = 0.05
"""Seconds between two looks at the shards: a quarter of a debounce, if that lies between. While
more waits than may be sent at once it is the shortest, so that some 300 a second are sent."""

LAST_WORDS = 2.0
"""Seconds at the end for what is under way to be answered."""


class Sender:
    """One per process; ``run`` until cancelled, then ``close``."""

    def __init__(self, departures: Departures, delivery: Delivery, *, max_age: float) -> None:
        """What is older than ``max_age`` seconds is given up."""
        self.figures = delivery.figures
        self._departures = departures
        self._delivery = delivery
        self._max_age = round(max_age * 1_000_000)
        self._round = min(LONGEST_ROUND, max(SHORTEST_ROUND, departures.debounce / 4))
        self._flying: dict[asyncio.Task[None], Due] = {}
        self._first = 0
        """The shard that the next round begins with, so that each has its turn."""
        self._is_short = False
        """There was more to claim than could be sent."""
        self._landed = asyncio.Event()
        self._ends = False

    def wind_down(self) -> None:
        """Claim no more: those who are sent away now cannot come back to this process, and a
        debounce must not pass meanwhile. What is under way goes on."""
        self._ends = True

    async def run(self) -> None:
        """Claim and send, until cancelled, or wound down."""
        while not self._ends:
            try:
                await self._look()
            except BackendUnavailable as fault:
                log.debug("departures cannot be claimed: %s", fault)
            await self._pause()

    async def close(self) -> None:
        """Let what is under way come to its end, soon, and give the rest back."""
        if self._flying:
            await asyncio.wait(list(self._flying), timeout=LAST_WORDS)
        left = dict(self._flying)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        try:
            for due in left.values():
                await self._departures.postpone(due.departure, delay=0, tries=due.tries)
        except BackendUnavailable as fault:
            log.info("what was being sent is sent again when its lease ends: %s", fault)

    async def _pause(self) -> None:
        """Until the next round is worth it; never so short that sending crowds out all else."""
        await asyncio.sleep(SHORTEST_ROUND)
        if not self._is_short:
            await asyncio.sleep(self._round - SHORTEST_ROUND)
            return
        silence = self._delivery.silence
        try:
            # Not wait_for: it may lose a cancellation that comes with what it waits for.
            async with asyncio.timeout(min(self._round, silence or self._round)):
                await self._landed.wait()
        except TimeoutError:
            return

    async def _look(self) -> None:
        """One round over all shards."""
        self._landed.clear()
        pending, oldest, self._is_short = 0, 0, False
        first, self._first = self._first, (self._first + 1) % len(SHARDS)
        for step in SHARDS:
            in_shard, age = await self._claim((first + step) % len(SHARDS))
            pending += in_shard
            oldest = max(oldest, age)
        self.figures.pending = pending
        self.figures.oldest = oldest / 1_000_000

    async def _claim(self, shard: int) -> tuple[int, int]:
        """Start what may be sent; how many departures the shard has, and the age of the oldest."""
        while True:
            free = min(AT_ONCE - len(self._flying), self._delivery.room)
            due, pending, oldest = await self._departures.claim(shard, free)
            young = [one for one in due if one.age <= self._max_age]
            for one in young:
                self._start(one)
            for one in due:
                if one.age > self._max_age:
                    await self._drop(one)
            await asyncio.sleep(0)  # a store of this process never gives way
            if len(young) == len(due):
                self._is_short = self._is_short or (pending > 0 and len(due) == free)
                return pending, oldest

    async def _drop(self, due: Due) -> None:
        self._delivery.give_up(user_left(due.departure), f"after {due.tries} tries")
        await self._departures.done(due.departure)

    def _start(self, due: Due) -> None:
        task = asyncio.get_running_loop().create_task(self._send(due))
        self._flying[task] = due
        self._delivery.under_way += 1
        task.add_done_callback(self._land)

    def _land(self, task: asyncio.Task[None]) -> None:
        del self._flying[task]
        self._delivery.under_way -= 1
        self._landed.set()
        if not task.cancelled() and (fault := task.exception()) is not None:
            # Its lease ends, and somebody tries again.
            log.error("a webhook could not be sent", exc_info=fault)

    async def _send(self, due: Due) -> None:
        """One try, and what came of it."""
        event = user_left(due.departure)
        try:
            await self._delivery.post(event)
        except Undelivered as fault:
            await self._postpone(due, fault)
            return
        try:
            await self._departures.done(due.departure)
        except BackendUnavailable as fault:
            log.info("%s was heard, and will be sent again: %s", event.id, fault)

    async def _postpone(self, due: Due, fault: Undelivered) -> None:
        tries = due.tries + 1
        delay = message_pause(tries, fault.retry_after)
        try:
            await self._departures.postpone(due.departure, delay=delay, tries=tries)
        except BackendUnavailable as gone:
            log.debug("a try was not counted: %s", gone)
