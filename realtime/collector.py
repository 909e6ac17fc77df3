"""When Python looks for cyclic garbage, so that nobody waits for it.

Left alone, Python looks through *everything* whenever the number of objects has grown by a
quarter. With a million members that takes tens of milliseconds, during which nothing is
answered, and finds nothing: what the engine holds is freed by reference counts alone.
So we decide ourselves:

* the young are looked through as always: that is short, and finds nearly everything.
* the full collection never runs by itself.
* what stands after loading is *frozen*: no collection visits it again. It is still freed
  the moment its last reference goes.
* now and then, the full collection is run over what is not frozen, so rarely that it takes
  one ten-thousandth of the time at most. If the engine has grown much since, its new part
  is frozen instead, unseen: a look would be long.

What is given up: an object that was frozen alive, and becomes part of an unreachable cycle
later, stays for ever. It takes growth to a new height to freeze anything, so that does not add up.

The settings are the process's, so only an application may use this, never a library.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

__all__ = ["Collections", "Collector", "hide", "paused"]

NEVER = 2**31 - 1
"""Rounds of the middle before everything is: Python's counter does not get that far."""

EVERY = 60
"""Ticks, of a second each, between two looks at what is not frozen; or more, see SHARE."""

SHARE = 10_000
"""A collection of one second would be due again after so many."""

GROWTH = 100_000
"""Memory blocks: some 50,000 members more. A collection visits them in a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Collections:
    """What has been done so far. Seconds are those in which nothing was answered."""

    full: int = 0
    frozen: int = 0
    last_seconds: float = 0.0
    longest_seconds: float = 0.0


class Collector:
    """Owns the settings of the garbage collector from ``loaded`` on, until ``close``."""

    __slots__ = ("_before", "_blocks", "_highest", "_timer", "_wait", "stats")

    def __init__(
        self,
        blocks: Callable[[], int] = sys.getallocatedblocks,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``blocks`` tells how many memory blocks are in use: O(memory / 16 KiB), under 1 ms."""
        self._before = gc.get_threshold()
        self._blocks = blocks
        self._timer = timer
        self._highest = 0
        self._wait = EVERY
        self.stats = Collections()

    def loaded(self) -> None:
        """Everything that was to be loaded is: collect once, freeze, and set the thresholds."""
        gc.collect()
        self._freeze()
        young, middle, _ = self._before
        gc.set_threshold(young, middle, NEVER)

    def tick(self) -> None:
        """A second has passed. Mostly nothing; once a minute at most, a collection or a freeze."""
        self._wait -= 1
        if self._wait > 0:
            return
        self._wait = EVERY
        if self._blocks() - self._highest > GROWTH:
            gc.collect(1)  # the young die young, and must not be frozen
            self._freeze()
        else:
            self._collect()
            self._wait = max(EVERY, round(SHARE * self.stats.last_seconds))

    def close(self) -> None:
        """Give the process its settings back; for tests, and for who outlives the service."""
        gc.unfreeze()
        gc.set_threshold(*self._before)

    def _freeze(self) -> None:
        gc.freeze()
        self._highest = max(self._highest, self._blocks())
        self.stats = replace(self.stats, frozen=self.stats.frozen + 1)

    def _collect(self) -> None:
        started = self._timer()
        gc.collect()
        took = self._timer() - started
        longest = max(self.stats.longest_seconds, took)
        self.stats = replace(
            self.stats, full=self.stats.full + 1, last_seconds=took, longest_seconds=longest
        )


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """No collection meanwhile; for loading, where everything that is made stays."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def hide() -> None:
    """Freeze all that there is, unseen. O(1).

    For what was loaded beside a running service, while collections are ``paused``: the next one
    would look through all of it at once.
    """
    gc.freeze()
