"""rpc: everything else that the service does, on the connection that is there already.

The method is an operation's method and path, ``POST /v1/counters/visits/add``, and the data is
its body. The reply's data is what HTTP would have answered. What HTTP would have refused is an
error with the number that this protocol has for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from realtime import errors
from realtime.access import Principal
from realtime.errors import RealtimeError
from realtime.ws import codes
from realtime.ws.codes import Refusal, Refused

__all__ = ["Perform", "perform"]

Perform = Callable[[Principal, str, str, bytes], Awaitable[tuple[int, bytes]]]
"""Called with the caller, a method, a path with its query and a body; answers status and body.
From 400 on the body is a problem document. Raises RealtimeError and BackendUnavailable."""


class _Problem(msgspec.Struct):
    """As much of a problem document as this protocol can say."""

    detail: str = ""


_decode = msgspec.json.Decoder(_Problem).decode

_KINDS: dict[int, type[RealtimeError]] = {
    kind.status: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, RealtimeError) and kind is not RealtimeError
}


async def perform(operations: Perform, caller: Principal, method: str, data: bytes) -> bytes:
    """The JSON text that the operation answers; empty if it has nothing to say.

    Raises Refused, and what operations raise.
    """
    verb, _, target = method.partition(" ")
    status, body = await operations(caller, verb, target, data)
    if status < 400:
        return body
    kind = _KINDS.get(status, errors.InternalError)
    detail = _decode(body).detail or kind.title
    if kind is errors.InternalError:
        raise Refused(codes.INTERNAL.because(detail))
    raise Refused(Refusal(kind.ws_error, detail, kind.retry))
