"""Users who come and go, over all their connections and all nodes.

Whoever has a connection with a user says when it begins and when the last one here has ended.
What a user does within the debounce, like loading a page anew, is nobody's business: a departure
is handed out only after it. Where nobody is to be told, nothing of this is called, and nothing
is stored.
"""

from __future__ import annotations

from realtime.backends.base import Backend, Claimed, Departure
from realtime.backends.keys import DEPARTURE_SHARDS

__all__ = ["SHARDS", "Departures"]

SHARDS = range(DEPARTURE_SHARDS)

GAP = 5.0
"""Seconds without a claim after which a debounce begins anew: several of the rounds of whoever
claims, and longer than a machine stalls."""


class Departures:
    """What doors say and what a sender asks; ``debounce`` and ``lease`` are in seconds."""

    def __init__(self, backend: Backend, *, debounce: float, lease: float) -> None:
        self.debounce = debounce
        self._departures = backend.departures
        self._debounce = _microseconds(debounce)
        self._lease = _microseconds(lease)

    async def arrive(self, user: str) -> None:
        """A connection of the user begins; its first answer should wait for this."""
        await self._departures.arrive(user.encode())

    async def leave(self, user: str) -> None:
        """The last connection of the user to this process has ended."""
        await self._departures.leave(user.encode())

    async def claim(self, shard: int, limit: int) -> Claimed:
        """Up to ``limit`` departures of one of SHARDS that are to be told now. Also 0 is worth
        asking for: debounces pass while somebody asks. Raises BackendUnavailable."""
        return await self._departures.claim(
            shard, debounce=self._debounce, gap=_microseconds(GAP), lease=self._lease, limit=limit
        )

    async def postpone(self, departure: Departure, *, delay: float, tries: int) -> None:
        """To be claimed again in ``delay`` seconds. Raises BackendUnavailable."""
        await self._departures.postpone(departure, delay=_microseconds(delay), tries=tries)

    async def done(self, departure: Departure) -> None:
        """Told, or given up. Raises BackendUnavailable."""
        await self._departures.done(departure)


def _microseconds(seconds: float) -> int:
    """Of a setting, or of what was drawn here; 0 is fine."""
    return round(seconds * 1_000_000)
