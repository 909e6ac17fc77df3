"""When to try again, and how much to try at once.

Two things fail in different ways. A *message* may be one that the receiver cannot stand: it is
tried again after a pause of its own, which doubles. The *receiver* may be away, and then
whatever is sent fares the same: until it is heard of again one message at a time is tried,
after a pause that doubles too, so that a dead receiver costs next to nothing, however much
waits for it. Pauses are drawn at random up to their bound ("full jitter"), so that those of
many nodes and messages do not fall together.
"""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["LONGEST_PAUSE", "Pace", "message_pause", "pause_at_age"]

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 900.0
"""Seconds between two tries of a message: at most, on the way to a day."""

FIRST_SILENCE = 0.5
LONGEST_SILENCE = 30.0
"""Seconds without any try: so soon it is noticed that the receiver is back."""


def message_pause(tries: int, retry_after: float = 0.0) -> float:
    """Seconds until a message is tried again that has failed ``tries`` times, at least once."""
    return max(_drawn(FIRST_PAUSE, tries, LONGEST_PAUSE), min(retry_after, LONGEST_PAUSE))


def pause_at_age(age: float, retry_after: float = 0.0) -> float:
    """The same for a message of which only is known that it was tried first ``age`` seconds ago:
    pauses that double are about as long as all that were before."""
    longest = min(max(age, FIRST_PAUSE), LONGEST_PAUSE)
    return max(random.uniform(0, longest), min(retry_after, LONGEST_PAUSE))


class Pace:
    """How many messages may be under way now."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        """``clock`` answers seconds and never steps back."""
        self._most = most
        self._clock = clock
        self._failures = 0
        self._silent_until = 0.0

    @property
    def silence(self) -> float:
        """Seconds until the next try; 0 if the receiver is not known to be away."""
        return max(0.0, self._silent_until - self._clock())

    def allows(self, flying: int) -> int:
        """How many more, if so many are under way."""
        if self.silence:
            return 0
        return max(0, (1 if self._failures else self._most) - flying)

    def heard(self) -> bool:
        """The receiver has answered; whether that is news."""
        is_news = self._failures > 0
        self._failures = 0
        self._silent_until = 0.0
        return is_news

    def away(self, retry_after: float = 0.0) -> bool:
        """It has not; whether that is news. What was sent before it was known counts once."""
        if self.silence:
            return False
        self._failures += 1
        silence = _drawn(FIRST_SILENCE, self._failures, LONGEST_SILENCE)
        self._silent_until = self._clock() + max(silence, min(retry_after, LONGEST_SILENCE))
        return self._failures == 1


def _drawn(first: float, failures: int, longest: float) -> float:
    return random.uniform(0, min(longest, first * 2.0 ** min(failures - 1, 32)))
