"""Seasons that have ended, for whoever wants to be told of each of them, at least once.

Who is told is another matter, and may be nobody. The keeper of seasons asks, as often as it
takes; what has been heard is noted beside the archive of the season.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from realtime.backends.base import Entry

__all__ = ["TOP", "Answer", "Reset", "Resets"]

TOP = 10
"""Entries that are told: who has won, and not the whole board."""


class Reset(NamedTuple):
    """A season that has ended. Instants are in microseconds since 1970."""

    board: str
    season: int
    began: int
    ended: int
    size: int
    top: Sequence[Entry]


class Answer(NamedTuple):
    """What came of telling."""

    done: bool
    """Heard, or given up: not to be told again."""
    tried: bool = True
    """False: nothing was sent, since whoever is to be told is known to be away, or is busy."""
    pause: float = 0.0
    """Seconds until it is worth trying again."""


class Resets(Protocol):
    """Whoever is told."""

    async def tell(self, reset: Reset, age: float) -> Answer:
        """Try once. ``age``: seconds since the first try that failed; 0 if none has."""
