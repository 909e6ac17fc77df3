"""Sessions: records with two deadlines, found by key or by user.

A session is a hash. Its own fields start with ``_``: the user, the version, when it was
created, the idle timeout and the absolute deadline. The key expires at the nearer of the
two deadlines: the idle one, which every touch moves, and the absolute one, which nothing
moves. Both are whole milliseconds, rounded up, since Redis keeps no finer ones; and so is
the instant of creation, rounded down. A user's sessions are a sorted set of their keys, by
absolute deadline; the set itself expires with the last of them, and what ended is dropped
whenever it is read or written, so the index cannot leak.

f is the number of fields, s the number of a user's sessions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

from engine.clock import MILLISECOND
from engine.core import Core, number
from engine.errors import OutOfBounds
from engine.hashes import Hashes
from engine.keyspace import Hash
from engine.sortedset import SortedSet

__all__ = ["Patched", "Sessions", "StoredSession"]

USER, VERSION, CREATED, IDLE, ABSOLUTE = b"_user", b"_version", b"_created", b"_idle", b"_absolute"


class StoredSession(NamedTuple):
    """A session of one instant. Instants and durations are microseconds."""

    fields: Hash
    user: bytes | None
    version: int
    created_at: int
    expires_at: int
    absolute_deadline: int
    idle_timeout: int


class Patched(NamedTuple):
    """A session after a patch, or as it was if its version was not the expected one."""

    session: StoredSession
    applied: bool


class Sessions:
    """Create, read, change and end sessions."""

    __slots__ = ("_core", "_hashes")

    def __init__(self, core: Core, hashes: Hashes) -> None:
        self._core = core
        self._hashes = hashes

    def create(
        self,
        record: bytes,
        by_user: bytes | None,
        fields: Mapping[bytes, bytes],
        *,
        user: bytes | None,
        idle_timeout: int,
        absolute_timeout: int,
    ) -> StoredSession | None:
        """None if the key is taken. O(f + log s)."""
        core = self._core
        now = core.clock()
        if core.keyspace.get(record, now) is not None:
            return None
        absolute = _deadline(now + absolute_timeout)
        stored = {
            **fields,
            VERSION: b"1",
            CREATED: b"%d" % (now - now % MILLISECOND),
            IDLE: b"%d" % idle_timeout,
            ABSOLUTE: b"%d" % absolute,
        }
        if user is not None:
            stored[USER] = user
        self._hashes.delete_then_set(record, stored, min(_deadline(now + idle_timeout), absolute))
        if by_user is not None:
            self._index(by_user, record, absolute, now)
        return self._session(record, stored)

    def read(self, record: bytes, *, touch: bool) -> StoredSession | None:
        """The session; touching moves its idle deadline. O(f)."""
        now = self._core.clock()
        stored = self._hashes.live(record, now)
        if stored is None:
            return None
        if touch:
            self._touch(record, stored, now)
        return self._session(record, stored)

    def patch(
        self,
        record: bytes,
        changes: Mapping[bytes, bytes],
        removals: Sequence[bytes],
        *,
        expected_version: int | None = None,
        max_size: int | None = None,
    ) -> Patched | None:
        """Set and remove fields, and touch. O(f). None if there is no such session.

        Raises OutOfBounds, changing nothing, if the fields would grow over ``max_size`` bytes.
        """
        now = self._core.clock()
        stored = self._hashes.live(record, now)
        if stored is None:
            return None
        version = int(stored[VERSION])
        if expected_version is not None and version != expected_version:
            return Patched(self._session(record, stored), False)
        kept = {name: value for name, value in stored.items() if name not in removals}
        after = {**kept, **changes}
        size = sum(len(name) + len(value) for name, value in after.items() if name[:1] != b"_")
        if max_size is not None and size > max_size:
            raise OutOfBounds(f"a session holds at most {max_size} bytes, not {size}", size)
        self._hashes.remove(record, [name for name in removals if name not in changes], now)
        self._hashes.update(record, {**changes, VERSION: b"%d" % (version + 1)}, now)
        self._touch(record, stored, now)
        return Patched(self._session(record, stored), True)

    def delete(self, record: bytes, by_user: bytes | None = None) -> bool:
        """End a session, and take it from its user's index. O(log s)."""
        now = self._core.clock()
        if self._hashes.live(record, now) is None:
            return False
        self._core.delete(record)
        if by_user is not None:
            self._forget(by_user, [record], now)
        return True

    def user(self, record: bytes) -> bytes | None:
        """Whose session it is. O(1)."""
        return (self._hashes.live(record, self._core.clock()) or {}).get(USER)

    def of_user(self, by_user: bytes) -> list[tuple[bytes, StoredSession]]:
        """The user's live sessions, oldest first; those of one millisecond in the index's order.

        Touches none. O(s (f + log s)).
        """
        now = self._core.clock()
        found, ended = [], []
        for record, _ in self._find(by_user, now) or ():
            stored = self._hashes.live(record, now)
            if stored is None:
                ended.append(record)
            else:
                found.append((record, self._session(record, stored)))
        self._forget(by_user, ended, now)
        return sorted(found, key=lambda pair: pair[1].created_at)

    def end_all(self, by_user: bytes) -> int:
        """End every session of the user; how many there were. O(s)."""
        sessions = self.of_user(by_user)
        for record, _ in sessions:
            self._core.delete(record)
        self._core.delete(by_user)
        return len(sessions)

    def _find(self, by_user: bytes, now: int) -> SortedSet | None:
        return self._core.keyspace.typed(by_user, now, SortedSet, "zset")

    def _touch(self, record: bytes, stored: Hash, now: int) -> None:
        deadline = min(_deadline(now + int(stored[IDLE])), int(stored[ABSOLUTE]))
        if deadline != self._core.keyspace.deadline(record):
            self._core.move_deadline(record, deadline)

    def _session(self, record: bytes, stored: Hash) -> StoredSession:
        expires_at = self._core.keyspace.deadline(record)
        assert expires_at is not None
        return StoredSession(
            {name: value for name, value in stored.items() if name[:1] != b"_"},
            stored.get(USER),
            int(stored[VERSION]),
            int(stored[CREATED]),
            expires_at,
            int(stored[ABSOLUTE]),
            int(stored[IDLE]),
        )

    def _index(self, by_user: bytes, record: bytes, absolute: int, now: int) -> None:
        core = self._core
        index = self._find(by_user, now)
        if index is None:
            index = SortedSet()
            core.keyspace.put(by_user, index)
        index.add(record, absolute)
        core.announce(b"ZADD", by_user, number(absolute), record)
        start, stop = index.by_score(-inf, now)
        self._forget(by_user, [ended for ended, _ in index.slice(start, stop)], now)
        core.move_deadline(by_user, max(absolute, core.keyspace.deadline(by_user) or 0))

    def _forget(self, by_user: bytes, records: list[bytes], now: int) -> None:
        index = self._find(by_user, now)
        gone = [record for record in records if index is not None and index.remove(record)]
        if gone:
            self._core.announce(b"ZREM", by_user, *gone)
        if index is not None and not index:
            self._core.keyspace.delete(by_user)


def _deadline(instant: int) -> int:
    """The first whole millisecond that is not before the instant."""
    return -(-instant // MILLISECOND) * MILLISECOND
