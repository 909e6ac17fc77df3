"""Idempotency-Key: a write that is sent twice happens once.

The first request under a key leaves a mark, does its work, and leaves its answer; a second
one with the same content is given that answer, with another content it is refused. A key
belongs to its caller, the operation, the names in the path and the session; the rest is
content. Answers that say "our fault" or "try again" (5xx) are not kept, so trying again helps.

The mark of a request under way lasts `IN_FLIGHT`: should the process die in between, the
key is free again after that. Nobody can say then whether the work was done.

What is stored is sealed with the client's own key, of which the store only has a hash: an
answer may hold a session id, and a stolen snapshot must not open that session. The seal is
as strong as the key is hard to guess; clients are told to use random ones.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from realtime.backends.base import BackendUnavailable, Values
from realtime.backends.keys import idempotency_key
from realtime.errors import Conflict, InvalidInput, InvalidRequest
from realtime.http.inputs import Call
from realtime.http.operation import Headers
from realtime.http.problem import Response

__all__ = ["HEADER", "MAX_KEY", "Once"]

HEADER = b"idempotency-key"
MAX_KEY = 255
IN_FLIGHT = 60 * 1_000_000
"""Microseconds; longer than any request takes."""
NONCE = 16

REPLAYED = (b"idempotency-replayed", b"true")


class _Record(msgspec.Struct, array_like=True, frozen=True):
    """What lies under a key: the content's hash and the answer; status 0 while under way."""

    content: bytes
    status: int = 0
    headers: Headers = ()
    body: bytes = b""


_decode = msgspec.msgpack.Decoder(_Record).decode


class Once:
    """Runs a call unless it was run before."""

    __slots__ = ("_ttl", "_values")

    def __init__(self, values: Values, ttl: int) -> None:
        """Answers are kept for ``ttl`` microseconds."""
        self._values = values
        self._ttl = ttl

    async def respond(
        self, operation: str, call: Call, run: Callable[[Call], Awaitable[Response]]
    ) -> Response:
        """The first answer to this call. Raises InvalidRequest, InvalidInput and Conflict."""
        secret = _identity(operation, call)
        place = idempotency_key(hashlib.sha256(secret).hexdigest().encode())
        content = _content(call)
        mark = _seal(secret, _Record(content))
        if await self._values.set(place, mark, ttl=IN_FLIGHT, only_if_absent=True):
            return await self._run(secret, place, content, call, run)
        stored = await self._values.get(place)
        if stored is None:
            raise Conflict("a request with this Idempotency-Key has just failed; try again")
        return _replay(_open(secret, stored), content)

    async def _run(
        self,
        secret: bytes,
        place: bytes,
        content: bytes,
        call: Call,
        run: Callable[[Call], Awaitable[Response]],
    ) -> Response:
        response = await run(call)
        # The work is done: if the store went away since, the answer must still be told.
        with suppress(BackendUnavailable):
            if response.status >= 500:
                await self._values.delete(place)
            else:
                record = _Record(content, *response)
                await self._values.set(place, _seal(secret, record), ttl=self._ttl)
        return response


def _identity(operation: str, call: Call) -> bytes:
    key = call.headers[HEADER]
    if not 1 <= len(key) <= MAX_KEY or not all(0x21 <= octet <= 0x7E for octet in key):
        raise InvalidRequest(f"an Idempotency-Key is 1 to {MAX_KEY} visible ASCII characters")
    session = call.headers.get(b"session-id", b"")
    caller = call.caller
    # A user may be named like a key.
    who = (caller.name, "user") if caller.is_user else caller.name
    return msgspec.msgpack.encode((who, operation, call.names, session, key))


def _content(call: Call) -> bytes:
    parts = (call.query, call.headers.get(b"if-match", b""), call.body)
    return hashlib.sha256(msgspec.msgpack.encode(parts)).digest()


def _replay(record: _Record, content: bytes) -> Response:
    if record.content != content:
        raise InvalidInput("this Idempotency-Key was used with another request")
    if not record.status:
        raise Conflict("a request with this Idempotency-Key is under way")
    return Response(record.status, (*record.headers, REPLAYED), record.body)


def _seal(secret: bytes, record: _Record) -> bytes:
    nonce = secrets.token_bytes(NONCE)
    return nonce + _masked(secret, nonce, msgspec.msgpack.encode(record))


def _open(secret: bytes, sealed: bytes) -> _Record:
    return _decode(_masked(secret, sealed[:NONCE], sealed[NONCE:]))


def _masked(secret: bytes, nonce: bytes, text: bytes) -> bytes:
    """The text XOR a stream that only the secret yields; its own inverse."""
    size = len(text)
    stream = hashlib.shake_256(nonce + secret).digest(size)
    mixed = int.from_bytes(text, "big") ^ int.from_bytes(stream, "big")
    return mixed.to_bytes(size, "big")
