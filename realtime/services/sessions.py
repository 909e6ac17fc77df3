"""Sessions: who is logged in, where, and until when.

An id is 256 random bits, given to the client once; the store only ever sees its SHA-256,
so a stolen snapshot opens no session, and no look-up can be timed. An id that we did not
issue is simply absent: ids are never adopted. Two deadlines hold at once, idle and absolute.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence

from realtime.backends.base import Backend, OutOfBounds, Session, SessionKeys
from realtime.backends.keys import session_key, user_key
from realtime.errors import InvalidInput, TooLarge, VersionConflict
from realtime.services.durations import microseconds
from realtime.services.names import name_bytes

__all__ = ["MAX_SESSION_BYTES", "Sessions"]

MAX_SESSION_BYTES = 64 * 1024
"""What a session's fields may hold in all: it is read at every request of its user."""


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
        session_id = secrets.token_urlsafe(32)
        session = await self._sessions.create(
            SessionKeys(_key(session_id), None if owner is None else user_key(owner)),
            fields,
            user=owner,
            idle_timeout=microseconds("idle_timeout", idle_timeout),
            absolute_timeout=microseconds("absolute_timeout", absolute_timeout),
        )
        assert session is not None, "256 random bits met twice"
        return session_id, session

    async def read(self, session_id: str, *, touch: bool = True) -> Session | None:
        """The session, or None; touching starts its idle time anew."""
        return await self._sessions.read(_key(session_id), touch=touch)

    async def patch(
        self,
        session_id: str,
        changes: Mapping[str, bytes],
        removals: Sequence[str],
        *,
        expected_version: int | None = None,
    ) -> Session | None:
        """Set and remove fields in one step. Raises VersionConflict and TooLarge."""
        record = _key(session_id)
        try:
            patched = await self._sessions.patch(
                record,
                _fields(changes),
                [_field(name) for name in removals],
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
        return await self._sessions.delete(_key(session_id))

    async def of_user(self, user: str) -> list[Session]:
        """The user's live sessions, oldest first; looking does not keep them alive."""
        found = await self._sessions.of_user(user_key(name_bytes("user", user)))
        return [session for _, session in found]

    async def end_all(self, user: str) -> int:
        """Log the user out everywhere; how many sessions there were."""
        return await self._sessions.end_all(user_key(name_bytes("user", user)))


def _key(session_id: str) -> bytes:
    digest = hashlib.sha256(session_id.encode(errors="surrogatepass")).hexdigest()
    return session_key(digest.encode())


def _fields(data: Mapping[str, bytes]) -> dict[bytes, bytes]:
    return {_field(name): value for name, value in data.items()}


def _field(name: str) -> bytes:
    if name.startswith("_"):
        raise InvalidInput(f"field {name!r}: names that start with _ are the service's own")
    return name_bytes("field", name)
