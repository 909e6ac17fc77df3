"""When Python looks for cyclic garbage, so that nobody waits for it.

Left alone, Python looks through *everything* whenever the number of objects has grown by a
quarter. With a million members that takes tens of milliseconds, during which nothing is
answered, and finds nothing: what the engine holds is freed by reference counts alone.
So we decide ourselves:

* young objects are looked through as always, only less often; that is short and bounded.
* the full collection never runs by itself.
* what stands after loading is *frozen*: no collection visits it again. It is still freed
  the moment its last reference goes.
* now and then, the full collection is run over what is not frozen. If the engine has grown
  much since, its new part is frozen first instead, unseen: a long look would be noticed.

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

__all__ = ["Collections", "Collector", "paused"]

YOUNG = 5_000
"""Containers made and not freed before the young are looked through: about 0.2 ms of work."""

MIDDLE = 20
"""Rounds of the young before their survivors are looked through as well."""

NEVER = 2**31 - 1
"""Rounds of the middle before everything is: Python's counter does not get that far."""

EVERY = 60
"""Ticks, of a second each, between two full collections of what is not frozen."""

GROWTH = 100_000
"""Memory blocks: a collection visits so many in a few milliseconds. More are frozen instead."""


@dataclass(frozen=True, slots=True)
class Collections:
    """What has been done so far. Seconds are those in which nothing was answered."""

    full: int = 0
    frozen: int = 0
    last_seconds: float = 0.0
    longest_seconds: float = 0.0


class Collector:
    """Owns the settings of the garbage collector from ``loaded`` on, until ``close``."""

    __slots__ = ("_before", "_blocks", "_highest", "_ticks", "stats")

    def __init__(self, blocks: Callable[[], int] = sys.getallocatedblocks) -> None:
        """``blocks`` tells how many memory blocks are in use: O(memory / 16 KiB), some 50 µs."""
        self._before = gc.get_threshold()
        self._blocks = blocks
        self._highest = 0
        self._ticks = 0
        self.stats = Collections()

    def loaded(self) -> None:
        """Everything that was to be loaded is: collect once, freeze, and set the thresholds."""
        gc.collect()
        self._freeze()
        gc.set_threshold(YOUNG, MIDDLE, NEVER)

    def tick(self) -> None:
        """A second has passed. Mostly nothing; once a minute a collection, or a freeze."""
        self._ticks += 1
        if self._ticks % EVERY:
            return
        if self._blocks() - self._highest > GROWTH:
            gc.collect(1)  # the young die young, and must not be frozen
            self._freeze()
        else:
            self._collect()

    def close(self) -> None:
        """Give the process its settings back; for tests, and for who outlives the service."""
        gc.unfreeze()
        gc.set_threshold(*self._before)

    def _freeze(self) -> None:
        gc.freeze()
        self._highest = max(self._highest, self._blocks())
        self.stats = replace(self.stats, frozen=self.stats.frozen + 1)

    def _collect(self) -> None:
        started = time.perf_counter()
        gc.collect()
        took = time.perf_counter() - started
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
