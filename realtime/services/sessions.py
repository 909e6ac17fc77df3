"""Sessions: who is logged in, where, and until when.

An id is 256 random bits, given to the client once; the store only ever sees its SHA-256,
so a stolen snapshot opens no session, and no look-up can be timed. An id that we did not
issue is simply absent: ids are never adopted. Two deadlines hold at once, idle and absolute.

An id ends in the digits of its user's shard: who looks a session up knows the id and not the
user, and has to know where in a cluster it lies. They are no part of the 256 bits.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence

from realtime.backends.base import Backend, OutOfBounds, Session, SessionKeys
from realtime.backends.keys import SHARD_DIGITS, session_key, shard_of, user_key
from realtime.errors import InvalidInput, TooLarge, VersionConflict
from realtime.services.durations import microseconds
from realtime.services.names import name_bytes

__all__ = ["MAX_SESSION_BYTES", "Sessions"]

MAX_SESSION_BYTES = 64 * 1024
"""What a session's fields may hold in all: it is read at every request of its user."""

_SHARD = re.compile(b"[0-9a-f]{%d}" % SHARD_DIGITS)


class Sessions:
    """Field values are JSON text. Every method may raise BackendUnavailable."""

    def __init__(self, backend: Backend) -> None:
        self._sessions = backend.sessions

    async def create(
        self,
        user: str | None,
        data: Mapping[str, bytes],
        *,
        idle_timeout: float,
        absolute_timeout: float,
    ) -> tuple[str, Session]:
        """A new id, to be shown to nobody but the client, and the session."""
        owner = None if user is None else name_bytes("user", user)
        fields = _fields(data)
        size = sum(len(name) + len(value) for name, value in fields.items())
        if size > MAX_SESSION_BYTES:
            raise TooLarge(f"a session holds at most {MAX_SESSION_BYTES} bytes, not {size}")
        shard = secrets.token_hex(SHARD_DIGITS // 2).encode() if owner is None else shard_of(owner)
        session_id = secrets.token_urlsafe(32) + shard.decode()
        session = await self._sessions.create(
            SessionKeys(
                session_key(shard, _hash(session_id)), None if owner is None else user_key(owner)
            ),
            fields,
            user=owner,
            idle_timeout=microseconds("idle_timeout", idle_timeout),
            absolute_timeout=microseconds("absolute_timeout", absolute_timeout),
        )
        assert session is not None, "256 random bits met twice"
        return session_id, session

    async def read(self, session_id: str, *, touch: bool = True) -> Session | None:
        """The session, or None; touching starts its idle time anew."""
        record = _key(session_id)
        return None if record is None else await self._sessions.read(record, touch=touch)

    async def patch(
        self,
        session_id: str,
        changes: Mapping[str, bytes],
        removals: Sequence[str],
        *,
        expected_version: int | None = None,
    ) -> Session | None:
        """Set and remove fields in one step. Raises VersionConflict and TooLarge."""
        fields = _fields(changes)
        unwanted = [_field(name) for name in removals]
        record = _key(session_id)
        if record is None:
            return None
        try:
            patched = await self._sessions.patch(
                record,
                fields,
                unwanted,
                expected_version=expected_version,
                max_size=MAX_SESSION_BYTES,
            )
        except OutOfBounds as error:
            raise TooLarge(str(error)) from None
        if patched is None:
            return None
        if not patched.applied:
            found = patched.session.version
            raise VersionConflict(f"the session is at version {found}, not {expected_version}")
        return patched.session

    async def delete(self, session_id: str) -> bool:
        record = _key(session_id)
        return record is not None and await self._sessions.delete(record)

    async def of_user(self, user: str) -> list[Session]:
        """The user's live sessions, oldest first; looking does not keep them alive."""
        found = await self._sessions.of_user(user_key(name_bytes("user", user)))
        return [session for _, session in found]

    async def end_all(self, user: str) -> int:
        """Log the user out everywhere; how many sessions there were."""
        return await self._sessions.end_all(user_key(name_bytes("user", user)))


def _key(session_id: str) -> bytes | None:
    """Where the session lies, if there is one; None: we never issued such an id."""
    shard = session_id[-SHARD_DIGITS:].encode(errors="surrogatepass")
    return session_key(shard, _hash(session_id)) if _SHARD.fullmatch(shard) else None


def _hash(session_id: str) -> bytes:
    """In base64, since with its prefix a key must stay below 64 bytes: Redis keeps the list of a
    user's sessions in a tenth of the memory then."""
    digest = hashlib.sha256(session_id.encode(errors="surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=")


def _fields(data: Mapping[str, bytes]) -> dict[bytes, bytes]:
    return {_field(name): value for name, value in data.items()}


def _field(name: str) -> bytes:
    if name.startswith("_"):
        raise InvalidInput(f"field {name!r}: names that start with _ are the service's own")
    return name_bytes("field", name)
