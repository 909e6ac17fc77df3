"""The embedded backend: the engine in this process, behind the seam.

Every method is one uninterrupted run of the engine. None ever suspends, so a caller may
drive it without a task (`Backend.immediate`). The methods are coroutines only because the
seam must also fit a store at the other end of a wire.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from engine.clock import Clock
from engine.engine import Engine
from realtime.backends.base import (
    Backend,
    Patched,
    Session,
    SessionKeys,
    WritesRefused,
)
from realtime.backends.embedded_boards import SortedSets
from realtime.backends.embedded_channels import (
    ALL_ADMITTED,
    Admission,
    Channels,
    Presence,
    Watches,
)
from realtime.backends.embedded_departures import Departures
from realtime.backends.embedded_limits import Buckets, Leases
from realtime.backends.keys import user_key

__all__ = ["backend", "system_clock"]


def system_clock() -> Clock:
    """Wall time as read once, carried on by the monotonic clock.

    Deadlines must mean the same after a restart, so they are wall time; but a wall clock
    that is set back would freeze every rate limit, and one set forward would end every
    session. While a machine sleeps, this clock does too, and deadlines wait with it.
    """
    read = time.monotonic_ns
    offset = time.time_ns() - read()

    def clock() -> int:
        return (read() + offset) // 1000

    return clock


def backend(engine: Engine, admission: Admission = ALL_ADMITTED) -> Backend:
    """The engine behind the seam; every write asks for admission first."""
    return Backend(
        values=_Values(engine, admission),
        counters=_Counters(engine, admission),
        hashes=_Hashes(engine, admission),
        sorted_sets=SortedSets(engine, admission),
        buckets=Buckets(engine, admission),
        leases=Leases(engine, admission),
        sessions=_Sessions(engine, admission),
        channels=Channels(engine, admission),
        presence=Presence(),
        departures=Departures(engine, admission),
        watches=Watches(engine),
        immediate=True,
        ping=_ping(admission),
    )


def _ping(admission: Admission) -> Callable[[], Awaitable[None]]:
    async def ping() -> None:
        """This store is never away, but it may not be able to write."""
        if admission.refusal is not None:
            raise WritesRefused(admission.refusal)

    return ping


class _Values:
    def __init__(self, engine: Engine, admission: Admission) -> None:
        self._strings = engine.strings
        self._admit = admission.admit

    async def get(self, key: bytes) -> bytes | None:
        return self._strings.get(key)

    async def get_all(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self._strings.get(key) for key in keys]

    async def set(
        self, key: bytes, value: bytes, *, ttl: int | None = None, only_if_absent: bool = False
    ) -> bool:
        self._admit()
        return self._strings.set(key, value, ttl=ttl, only_if_absent=only_if_absent)

    async def delete(self, *keys: bytes) -> int:
        self._admit()
        return self._strings.delete(*keys)


class _Counters:
    def __init__(self, engine: Engine, admission: Admission) -> None:
        self._counters = engine.counters
        self._admit = admission.admit

    async def add(
        self,
        key: bytes,
        by: int,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        ttl: int | None = None,
    ) -> int:
        self._admit()
        return self._counters.add(key, by, minimum=minimum, maximum=maximum, ttl=ttl)

    async def get(self, keys: Sequence[bytes]) -> list[int | None]:
        return [self._counters.get(key) for key in keys]

    async def set(self, key: bytes, value: int) -> None:
        self._admit()
        self._counters.set(key, value)


class _Hashes:
    def __init__(self, engine: Engine, admission: Admission) -> None:
        self._hashes = engine.hashes
        self._admit = admission.admit

    async def get(self, key: bytes) -> dict[bytes, bytes] | None:
        return self._hashes.get(key)

    async def fields(self, key: bytes, names: Sequence[bytes]) -> list[bytes | None]:
        return self._hashes.fields(key, names)

    async def put(self, key: bytes, fields: Mapping[bytes, bytes]) -> None:
        self._admit()
        self._hashes.put(key, fields)

    async def patch(
        self, key: bytes, changes: Mapping[bytes, bytes], removals: Sequence[bytes] = ()
    ) -> None:
        self._admit()
        self._hashes.patch(key, changes, removals)

    async def commit(
        self,
        key: bytes,
        seen: Mapping[bytes, bytes | None],
        changes: Mapping[bytes, bytes],
        *,
        present: bytes | None = None,
        values: Mapping[bytes, bytes] | None = None,
        gone: Sequence[bytes] = (),
    ) -> bool:
        self._admit()
        return self._hashes.commit(key, seen, changes, present, values or {}, gone)


class _Sessions:
    def __init__(self, engine: Engine, admission: Admission) -> None:
        self._sessions = engine.sessions
        self._admit = admission.admit
        self._admission = admission

    async def create(
        self,
        keys: SessionKeys,
        fields: Mapping[bytes, bytes],
        *,
        user: bytes | None,
        idle_timeout: int,
        absolute_timeout: int,
    ) -> Session | None:
        self._admit()
        return self._sessions.create(
            *keys, fields, user=user, idle_timeout=idle_timeout, absolute_timeout=absolute_timeout
        )

    async def read(self, record: bytes, *, touch: bool) -> Session | None:
        """A session can be read even while its idle deadline cannot be moved."""
        return self._sessions.read(record, touch=touch and self._admission.refusal is None)

    async def patch(
        self,
        record: bytes,
        changes: Mapping[bytes, bytes],
        removals: Sequence[bytes],
        *,
        expected_version: int | None = None,
        max_size: int | None = None,
    ) -> Patched | None:
        self._admit()
        return self._sessions.patch(
            record, changes, removals, expected_version=expected_version, max_size=max_size
        )

    async def delete(self, record: bytes) -> bool:
        self._admit()
        user = self._sessions.user(record)
        return self._sessions.delete(record, None if user is None else user_key(user))

    async def of_user(self, by_user: bytes) -> list[tuple[bytes, Session]]:
        return self._sessions.of_user(by_user)

    async def end_all(self, by_user: bytes) -> int:
        self._admit()
        return self._sessions.end_all(by_user)
