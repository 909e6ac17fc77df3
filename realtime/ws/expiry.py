"""When a connection or a subscription ends by itself, unless its token is replaced.

A token says until when (seconds since 1970). A client is told how many seconds that is, and
sends another token then; it has a term of grace to do so. Whoever has no expiry has no object
of these, and costs nothing; the others lie on the hub's timing wheel.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from realtime.ws.wheel import Wheel

__all__ = ["Expiry", "ttl"]

FOREVER = 10 * 366 * 86_400.0
"""Seconds. Beyond this nobody will be here to be told."""


class Expiry:
    """One deadline on the wheel; ``act`` is called once it and the grace have passed."""

    __slots__ = ("_act", "_wheel", "due")

    def __init__(self, wheel: Wheel, act: Callable[[], None]) -> None:
        self.due: int | None = None
        self._wheel = wheel
        self._act = act

    def set(self, expires: float, now: float, grace: float) -> None:
        """Replaces the deadline. All three are seconds, the first two since 1970. O(1)."""
        self._wheel.set(self, max(0.0, min(expires - now, FOREVER) + grace))

    def clear(self) -> None:
        """Nothing ends any more. O(1)."""
        self._wheel.clear(self)

    def on_deadline(self) -> None:
        self._act()


def ttl(expires: float, now: float) -> int:
    """Whole seconds until then, at least 1: a client takes 0 for never. ``expires`` is finite."""
    assert math.isfinite(expires)
    return max(1, int(min(expires - now, FOREVER)))
