"""Deadlines for very many connections, without a timer for each.

Time is cut into ticks. A tick that somebody waits for is a set of those who do; once it has
passed, each of them is told. Setting, moving and clearing a deadline are O(1), and so is an
idle tick: a hundred thousand connections that are pinged every 25 s cost their pings and
nothing else. A deadline is never early, and late by a tick at most.

Nothing here waits: somebody calls `turn` now and then (`realtime.ws.hub.Hub.run` does).
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Protocol

__all__ = ["Timed", "Wheel"]


class Timed(Protocol):
    """Somebody with one deadline at a time."""

    due: int | None
    """The tick of the deadline. Only the wheel writes it."""

    def on_deadline(self) -> None: ...


class Wheel:
    """``clock`` answers seconds and never steps back; ``tick`` is how coarse deadlines are."""

    def __init__(self, clock: Callable[[], float], tick: float) -> None:
        self.clock = clock
        self.tick = tick
        self._now = int(clock() / tick)
        self._waiting: dict[int, set[Timed]] = {}

    def set(self, timed: Timed, delay: float) -> None:
        """Tell ``timed`` once, when ``delay`` seconds have passed; replaces its deadline. O(1)."""
        self.clear(timed)
        timed.due = due = max(ceil((self.clock() + delay) / self.tick), self._now + 1)
        self._waiting.setdefault(due, set()).add(timed)

    def clear(self, timed: Timed) -> None:
        """Forget the deadline, if there is one. O(1)."""
        due, timed.due = timed.due, None
        if due is not None and (waiting := self._waiting.get(due)) is not None:
            waiting.discard(timed)
            if not waiting:
                del self._waiting[due]

    def turn(self) -> None:
        """Tell all whose deadline has passed, the earliest tick first. O(ticks passed + told)."""
        now = int(self.clock() / self.tick)
        while self._now < now:
            self._now += 1
            for timed in self._waiting.pop(self._now, ()):
                # Whoever was told before may have moved this one's deadline.
                if timed.due == self._now:
                    timed.due = None
                    timed.on_deadline()
