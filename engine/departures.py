"""Departures: who is connected, who is not any more, and of whom that is still to be told.

A user moves through three sorted sets, and each step is one verb:

    here ──leave──> gone ──(a debounce has passed)──> events ──done──> nowhere
      ^───arrive─────┘

``here`` and ``gone`` hold users and since when they are; ``events`` holds departures by the
instant at which they happened, and is the queue of what somebody must be told. A departure is
its user and that instant, so that finding it twice, after a crash, makes no second one.
``next`` says when a departure may be told next: whoever claims it has it for the time of a
lease, and somebody else may take over after that. ``tries`` counts how often that has failed.

All scores are microseconds since 1970. n is the number of members of a set.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from engine.core import Core, number
from engine.hashes import Hashes
from engine.sortedset import SortedSet

__all__ = ["HARVEST", "Claimed", "Departure", "DepartureKeys", "Departures", "Due"]

HARVEST = 100
"""Users who become departures in one claim: a millisecond or two of work."""


class DepartureKeys(NamedTuple):
    """Where the users of one shard are; ``watch`` is for stores that several processes share."""

    here: bytes
    gone: bytes
    events: bytes
    next: bytes
    tries: bytes
    watch: bytes


class Departure(NamedTuple):
    """A user had no connection left at this instant (µs since 1970), and did not come back."""

    user: bytes
    at: int

    @property
    def member(self) -> bytes:
        """As it stands in the sets."""
        return b"%d %b" % (self.at, self.user)

    @classmethod
    def parse(cls, member: bytes) -> Departure:
        at, _, user = member.partition(b" ")
        return cls(user, int(at))


class Due(NamedTuple):
    """A departure that is to be told now."""

    departure: Departure
    tries: int
    """How often that has failed."""
    age: int
    """Microseconds since it happened."""


class Claimed(NamedTuple):
    """What a claim got, and what it looked at."""

    due: list[Due]
    pending: int
    """Departures of the shard that are not done, those claimed included."""
    oldest: int
    """The age of the oldest of them, in microseconds; 0 if there is none."""


class Departures:
    """Users arrive and leave; departures are claimed, postponed and done."""

    __slots__ = ("_core", "_hashes")

    def __init__(self, core: Core, hashes: Hashes) -> None:
        self._core = core
        self._hashes = hashes

    def arrive(self, keys: DepartureKeys, user: bytes) -> None:
        """The user is connected. O(log n)."""
        now = self._core.clock()
        self._put(keys.here, user, now, now)
        self._drop(keys.gone, user, now)

    def leave(self, keys: DepartureKeys, user: bytes) -> None:
        """The user is not connected any more. O(log n)."""
        now = self._core.clock()
        self._drop(keys.here, user, now)
        self._put(keys.gone, user, now, now)

    def here(self, keys: DepartureKeys) -> list[bytes]:
        """Who is connected. O(n)."""
        return [user for user, _ in self._find(keys.here, self._core.clock()) or ()]

    def claim(
        self, keys: DepartureKeys, *, debounce: int | None, lease: int, limit: int
    ) -> Claimed:
        """Turn who has been gone for ``debounce`` into departures, and take up to ``limit`` of
        those that nobody has. None: nobody has been gone for long enough.

        O((HARVEST + limit) log n).
        """
        now = self._core.clock()
        if debounce is not None:
            for user, at in self._upto(keys.gone, now - debounce, HARVEST, now):
                self._drop(keys.gone, user, now)
                departure = Departure(user, int(at)).member
                self._put(keys.events, departure, at, now)
                self._put(keys.next, departure, now, now)
        free = self._upto(keys.next, now, limit, now)
        due = [self._take(keys, member, lease, now) for member, _ in free]
        events = self._find(keys.events, now)
        oldest = events.slice(0, 1) if events else []
        return Claimed(due, len(events or ()), now - int(oldest[0][1]) if oldest else 0)

    def postpone(self, keys: DepartureKeys, departure: Departure, delay: int, tries: int) -> None:
        """Let it be claimed again after ``delay``, unless it is done. O(log n)."""
        now = self._core.clock()
        member = departure.member
        events = self._find(keys.events, now)
        if events is None or member not in events:
            return
        self._put(keys.next, member, now + delay, now)
        if tries:
            self._hashes.update(keys.tries, {member: b"%d" % tries}, now)

    def done(self, keys: DepartureKeys, departure: Departure) -> None:
        """Forget a departure. O(log n)."""
        now = self._core.clock()
        member = departure.member
        self._drop(keys.events, member, now)
        self._drop(keys.next, member, now)
        self._hashes.remove(keys.tries, [member], now)

    def _take(self, keys: DepartureKeys, member: bytes, lease: int, now: int) -> Due:
        self._put(keys.next, member, now + lease, now)
        tries = (self._hashes.live(keys.tries, now) or {}).get(member, b"0")
        departure = Departure.parse(member)
        return Due(departure, int(tries), now - departure.at)

    def _upto(self, key: bytes, score: int, limit: int, now: int) -> list[tuple[bytes, float]]:
        """The first rows of a set, up to a score."""
        found = self._find(key, now)
        if found is None:
            return []
        start, stop = found.by_score(-inf, score)
        return found.slice(start, min(stop, start + limit))

    def _find(self, key: bytes, now: int) -> SortedSet | None:
        return self._core.keyspace.typed(key, now, SortedSet, "zset")

    def _put(self, key: bytes, member: bytes, score: float, now: int) -> None:
        found = self._find(key, now)
        if found is None:
            found = SortedSet()
            self._core.keyspace.put(key, found)
        if found.add(member, score):
            self._core.announce(b"ZADD", key, number(score), member)

    def _drop(self, key: bytes, member: bytes, now: int) -> None:
        found = self._find(key, now)
        if found is not None and found.remove(member):
            self._core.announce(b"ZREM", key, member)
            if not found:
                self._core.keyspace.delete(key)
