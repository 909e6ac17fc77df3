"""Departures of the embedded backend: everybody is connected to this process or not at all.

The engine holds what must outlive the process, and this what dies with it: who is connected
now. Where the two differ, what is stored is of an earlier process, or of a backup that everything
went back to, or could not be written at the time. That is settled at the next claim: whoever
is here is written down as here, and whoever is not has left at that moment. Nobody is known to
have stayed away while nobody could come in, so a debounce passes only while somebody claims.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.engine import Engine
from realtime.backends.base import Claimed, Departure
from realtime.backends.embedded_channels import ALL_ADMITTED, Admission
from realtime.backends.keys import DEPARTURE_SHARDS, departure_keys, departure_shard

__all__ = ["Departures"]

SETTLED_AT_ONCE = 500
"""Users of an earlier process in one claim: some milliseconds of work."""


class _Watch(NamedTuple):
    """Since when claims have come without a gap, and when the last one came (µs)."""

    since: int
    last: int


class Departures:
    """See `realtime.backends.base.Departures`."""

    def __init__(self, engine: Engine, admission: Admission = ALL_ADMITTED) -> None:
        self._engine = engine
        self._departures = engine.departures
        self._admission = admission
        self._here: list[set[bytes]] = [set() for _ in range(DEPARTURE_SHARDS)]
        self._watches: dict[int, _Watch] = {}
        self._settled: set[int] = set()
        """Shards of which what is stored is what is so."""
        engine.replaced.append(self._settled.clear)

    async def arrive(self, user: bytes) -> None:
        """O(log users), and O(1) if the user is here already."""
        shard = departure_shard(user)
        if user in self._here[shard]:
            return
        self._here[shard].add(user)
        if self._may_write(shard):
            self._departures.arrive(departure_keys(shard), user)

    async def leave(self, user: bytes) -> None:
        """O(log users)."""
        shard = departure_shard(user)
        if user not in self._here[shard]:
            return
        self._here[shard].remove(user)
        if self._may_write(shard):
            self._departures.leave(departure_keys(shard), user)

    async def claim(
        self, shard: int, *, debounce: int, gap: int, lease: int, limit: int
    ) -> Claimed:
        self._admission.admit()
        if shard not in self._settled:
            self._settle(shard)
        has_passed = self._watched(shard, gap) >= debounce
        return self._departures.claim(
            departure_keys(shard),
            debounce=debounce if has_passed else None,
            lease=lease,
            limit=limit,
        )

    async def postpone(self, departure: Departure, *, delay: int, tries: int) -> None:
        self._admission.admit()
        keys = departure_keys(departure_shard(departure.user))
        self._departures.postpone(keys, departure, delay, tries)

    async def done(self, departure: Departure) -> None:
        self._admission.admit()
        self._departures.done(departure_keys(departure_shard(departure.user)), departure)

    def _may_write(self, shard: int) -> bool:
        """What cannot be written now is settled once it can be."""
        if self._admission.refusal is None:
            return True
        self._settled.discard(shard)
        return False

    def _settle(self, shard: int) -> None:
        """Make some of what is stored what is so. O(users of the shard, here and stored)."""
        keys, here = departure_keys(shard), self._here[shard]
        differing = here.symmetric_difference(self._departures.here(keys))
        for user in sorted(differing)[:SETTLED_AT_ONCE]:
            if user in here:
                self._departures.arrive(keys, user)
            else:
                self._departures.leave(keys, user)
        if len(differing) <= SETTLED_AT_ONCE:
            self._settled.add(shard)

    def _watched(self, shard: int, gap: int) -> int:
        """For how long claims of the shard have come without a gap; this is one."""
        now = self._engine.clock()
        watch = self._watches.get(shard)
        unbroken = watch is not None and now - watch.last <= gap
        since = watch.since if watch is not None and unbroken else now
        self._watches[shard] = _Watch(since, now)
        return now - since
