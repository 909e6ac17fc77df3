"""Sessions in Redis: a hash each, and a sorted set per user, laid out as `engine.sessions` says.

A user's sessions and their index lie in one slot, so that each step is one script. Deadlines are
whole milliseconds on both sides, and Redis' own expiry is the only place where they are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from realtime.backends.base import OutOfBounds, Patched, Session, SessionKeys
from realtime.backends.redis.calls import Calls
from realtime.backends.redis.scripts import load
from realtime.backends.redis.typed import TypedCalls

__all__ = ["Sessions"]

USER, VERSION, CREATED, IDLE, ABSOLUTE = b"_user", b"_version", b"_created", b"_idle", b"_absolute"

CREATE = load("session_create", "_chunks", writes=True)
READ = load("session_read", writes=False)
TOUCH = load("session_touch", "_session", writes=True)
PATCH = load("session_patch", "_chunks", "_session", writes=True)
DELETE = load("session_delete", writes=True)
OF_USER = load("sessions_of_user", "_chunks", writes=True)
END_ALL = load("sessions_end_all", writes=True)


class Sessions:
    """See `realtime.backends.base.Sessions`."""

    def __init__(self, calls: Calls) -> None:
        self._records = TypedCalls(calls, "hash")
        self._indices = TypedCalls(calls, "zset")

    async def create(
        self,
        keys: SessionKeys,
        fields: Mapping[bytes, bytes],
        *,
        user: bytes | None,
        idle_timeout: int,
        absolute_timeout: int,
    ) -> Session | None:
        stored = dict(fields) if user is None else {**fields, USER: user}
        answer = await self._records.run(
            CREATE,
            [key for key in keys if key is not None],
            b"%d" % idle_timeout,
            b"%d" % absolute_timeout,
            *_flat(stored),
        )
        if answer is None:
            return None
        created, expires, absolute = answer
        return Session(_own(stored), user, 1, created, expires, absolute, idle_timeout)

    async def read(self, record: bytes, *, touch: bool) -> Session | None:
        answer = await self._records.run(TOUCH if touch else READ, [record])
        return None if answer is None else _session(answer[0], _mapping(answer[1]))

    async def patch(
        self,
        record: bytes,
        changes: Mapping[bytes, bytes],
        removals: Sequence[bytes],
        *,
        expected_version: int | None = None,
        max_size: int | None = None,
    ) -> Patched | None:
        removed = [name for name in removals if name not in changes]
        answer = await self._records.run(
            PATCH,
            [record],
            *(b"" if number is None else b"%d" % number for number in (expected_version, max_size)),
            b"%d" % len(removed),
            *removed,
            *_flat(changes),
        )
        if answer is None:
            return None
        if len(answer) == 1:
            size = answer[0]
            raise OutOfBounds(f"a session holds at most {max_size} bytes, not {size}", size)
        expires, flat, applied = answer
        stored = _mapping(flat)
        if applied:
            for name in removed:
                stored.pop(name, None)
            stored.update(changes)
            stored[VERSION] = b"%d" % (int(stored[VERSION]) + 1)
        return Patched(_session(expires, stored), applied == 1)

    async def delete(self, record: bytes) -> bool:
        deleted: int = await self._records.run(DELETE, [record])
        return deleted > 0

    async def of_user(self, by_user: bytes) -> list[tuple[bytes, Session]]:
        answer = await self._indices.run(OF_USER, [by_user])
        rows = zip(answer[::3], answer[1::3], answer[2::3], strict=True)
        found = [(record, _session(expires, _mapping(flat))) for record, expires, flat in rows]
        return sorted(found, key=lambda pair: pair[1].created_at)

    async def end_all(self, by_user: bytes) -> int:
        ended: int = await self._indices.run(END_ALL, [by_user])
        return ended


def _session(expires: int, stored: Mapping[bytes, bytes]) -> Session:
    """``expires`` in milliseconds, as Redis keeps it."""
    return Session(
        _own(stored),
        stored.get(USER),
        int(stored[VERSION]),
        int(stored[CREATED]),
        expires * 1000,
        int(stored[ABSOLUTE]),
        int(stored[IDLE]),
    )


def _own(stored: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The fields of whoever uses the session, without the bookkeeping."""
    return {name: value for name, value in stored.items() if name[:1] != b"_"}


def _flat(fields: Mapping[bytes, bytes]) -> list[bytes]:
    return [part for pair in fields.items() for part in pair]


def _mapping(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
