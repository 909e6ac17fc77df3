"""Time enters the engine here, as an integer of microseconds since 1970, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["DAY", "HOUR", "MILLISECOND", "MINUTE", "SECOND", "Clock", "ManualClock"]

MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Clock = Callable[[], int]
"""``() -> microseconds since 1970``. It may step back: each algorithm says what happens then."""


class ManualClock:
    """A clock that only moves when told to, so that no test ever sleeps."""

    __slots__ = ("now",)

    def __init__(self, now: int = 1_700_000_000 * SECOND) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, duration: int) -> None:
        """Move by ``duration`` microseconds; a negative one is a wall clock stepping back."""
        self.now += duration
