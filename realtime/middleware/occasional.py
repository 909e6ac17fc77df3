"""Log lines that a flood of requests cannot turn into a flood of lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

__all__ = ["Occasional"]

INTERVAL = 10.0
"""Seconds between two lines."""


class Occasional:
    """A warning at most every ten seconds; the next one says how many were left out."""

    __slots__ = ("_last", "_log", "_now", "_omitted")

    def __init__(self, log: logging.Logger, now: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now = now
        self._last = -INTERVAL
        self._omitted = 0

    def warn(self, message: str) -> None:
        now = self._now()
        if now - self._last < INTERVAL:
            self._omitted += 1
            return
        also = f" (and {self._omitted} more since the last line)" if self._omitted else ""
        self._last, self._omitted = now, 0
        self._log.warning("%s%s", message, also)
