"""Who is connected to any node, and who has left: see `engine.departures` for the steps.

Each node answers for its own users: it says that they are here until a deadline, and moves
that as long as it lives. When it dies they have left at the deadline, whoever looks. A user
may be at home on several nodes, so what a node says is a *stay* of its own, from the first
connection of a user there to the end of the last one. Whatever of an ended stay arrives late,
after an outage, speaks of that stay only, and ends nobody else's.

    left:{s}:here          sorted set, user -> until when, of the longest stay (µs)
    left:{s}:here:user     sorted set, stay -> until when (µs)
    left:{s}:watch         string, since when somebody has been claiming without a gap (µs)

While nobody could reach the store nobody could come back, either. So a user is taken for gone
only after claims have come without a gap for as long as that takes: a debounce, and for those
whose node fell silent, the time within which every node that lives has spoken again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from realtime.backends.base import (
    HARVEST,
    BackendUnavailable,
    Claimed,
    Departure,
    DepartureKeys,
    Due,
)
from realtime.backends.keys import DEPARTURE_SHARDS, departure_keys, departure_shard
from realtime.backends.redis.calls import Calls
from realtime.backends.redis.scripts import load

__all__ = ["Departures"]

STAY = load("departure_stay", writes=True)
LEAVE = load("departure_leave", writes=True)
CLAIM = load("departure_claim", writes=True)
POSTPONE = load("departure_postpone", writes=True)
DONE = load("departure_done", writes=True)

AT_ONCE = 500
"""Users in one command of a refresh."""


class Departures:
    """See `realtime.backends.base.Departures`."""

    def __init__(self, calls: Calls, node: bytes, ttl: float) -> None:
        """``node`` names this process; ``ttl`` is in seconds."""
        self._calls = calls
        self._node = node
        self._interval = ttl / 3
        self._ttl = b"%d" % round(ttl * 1_000_000)
        self._stays: list[dict[bytes, bytes]] = [{} for _ in range(DEPARTURE_SHARDS)]
        """By shard, user -> the name of the stay here."""
        self._count = 0
        self._wake = asyncio.Event()

    async def arrive(self, user: bytes) -> None:
        shard = departure_shard(user)
        stay = self._stays[shard].get(user)
        if stay is None:
            self._count += 1
            stay = self._stays[shard][user] = b"%b.%d" % (self._node, self._count)
        try:
            await self._say(shard, [(user, stay)])
        except BackendUnavailable:
            self._wake.set()

    async def leave(self, user: bytes) -> None:
        shard = departure_shard(user)
        stay = self._stays[shard].pop(user, None)
        if stay is None:
            return
        try:
            await self._calls.run(LEAVE, departure_keys(shard)[:2], user, stay)
        except BackendUnavailable:
            return  # nobody moves the deadline any more: at the latest, that ends the stay

    async def claim(
        self, shard: int, *, debounce: int, gap: int, lease: int, limit: int
    ) -> Claimed:
        numbers = (debounce, gap, HARVEST, lease, limit)
        arguments = [self._ttl, *(b"%d" % number for number in numbers)]
        now, pending, oldest, *flat = await self._calls.run(
            CLAIM, departure_keys(shard), *arguments
        )
        rows = zip(flat[::2], flat[1::2], strict=True)
        due = [_due(member, int(tries), now) for member, tries in rows]
        return Claimed(due, pending, now - oldest)

    async def postpone(self, departure: Departure, *, delay: int, tries: int) -> None:
        keys, member = _keys(departure), departure.member
        await self._calls.run(POSTPONE, keys[2:5], member, b"%d" % delay, b"%d" % tries)

    async def done(self, departure: Departure) -> None:
        await self._calls.run(DONE, _keys(departure)[2:5], departure.member)

    def renew(self) -> None:
        """Say anew who is here, soon: the store may have lost it."""
        self._wake.set()

    async def run(self) -> None:
        """Keep those who are here from being taken for gone, until cancelled."""
        while True:
            try:
                await self._refresh()
            except BackendUnavailable:
                self._wake.clear()  # whoever notices that it is back wakes us
            try:
                # Not wait_for: it may lose a cancellation that comes with what it waits for.
                async with asyncio.timeout(self._interval):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def _refresh(self) -> None:
        for shard, stays in enumerate(self._stays):
            users = list(stays)
            for start in range(0, len(users), AT_ONCE):
                some = users[start : start + AT_ONCE]
                # Of those who are here now: who has left meanwhile must not be said to be here.
                await self._say(shard, [(user, stays[user]) for user in some if user in stays])

    async def _say(self, shard: int, stays: Sequence[tuple[bytes, bytes]]) -> None:
        words = [word for stay in stays for word in stay]
        await self._calls.run(STAY, departure_keys(shard)[:2], self._ttl, *words)


def _keys(departure: Departure) -> DepartureKeys:
    return departure_keys(departure_shard(departure.user))


def _due(member: bytes, tries: int, now: int) -> Due:
    departure = Departure.parse(member)
    return Due(departure, tries, now - departure.at)
