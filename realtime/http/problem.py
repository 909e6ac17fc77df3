"""Problem documents (RFC 9457): how the HTTP door says that something went wrong.

Errors of ours carry their status and code. What the store calls misuse is a conflict or
bad input; an outage is 503 with a time to come back. Anything else is our fault: the
answer holds nothing but a reference, and the log has the traceback under it.
"""

from __future__ import annotations

import logging
import secrets
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from realtime.backends.base import (
    BackendUnavailable,
    EngineError,
    NotAnInteger,
    WritesRefused,
    WrongType,
)
from realtime.errors import (
    Conflict,
    InternalError,
    InvalidInput,
    MethodNotAllowed,
    RealtimeError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from realtime.http.operation import Headers

__all__ = ["PROBLEM", "Problem", "Response", "problem", "told_of", "type_of", "written_down"]

log = logging.getLogger(__name__)

PROBLEM = (b"content-type", b"application/problem+json")


class Response(NamedTuple):
    """Status, headers but for content-length, and body."""

    status: int
    headers: Headers
    body: bytes


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong. `type` is stable and leads to an explanation; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    path: str | UnsetType = UNSET
    """The JSON path of the fault, where it lies in the body."""
    reference: str | UnsetType = UNSET
    """Where our fault is written down, in the log."""


def type_of(error: type[RealtimeError]) -> str:
    """The URI of a kind of problem, which the service itself serves."""
    return f"/docs/errors#{error.code}"


def problem(error: Exception, doing: str = "") -> Response:
    """The answer to whatever was raised while ``doing`` an operation."""
    told = told_of(error)
    reference: str | UnsetType = UNSET
    if told.status == 500:
        reference = written_down(error, doing)
    document = Problem(
        type=type_of(type(told)),
        title=told.title,
        status=told.status,
        detail=told.detail,
        path=UNSET if told.path is None else told.path,
        reference=reference,
    )
    return Response(told.status, (PROBLEM, *_headers(told)), msgspec.json.encode(document))


def written_down(error: Exception, doing: str) -> str:
    """Log a fault of ours; the reference under which the log has it."""
    reference = secrets.token_hex(8)
    log.error("%s failed, reference %s", doing, reference, exc_info=error)
    return reference


def told_of(error: Exception) -> RealtimeError:
    """What a client is told, whatever was raised."""
    match error:
        case RealtimeError():
            return error
        case WrongType() | NotAnInteger():
            return Conflict("what is stored under this name is of another kind")
        case EngineError():
            return InvalidInput(str(error))
        case WritesRefused():
            return Unavailable(str(error))
        case BackendUnavailable():
            return Unavailable("the store does not answer")
        case _:
            return InternalError("this is our fault; the log has the reference")


def _headers(error: RealtimeError) -> Headers:
    match error:
        case MethodNotAllowed():
            return ((b"allow", error.allowed.encode()),)
        case Unavailable() | TooManyRequests():
            return ((b"retry-after", b"%d" % error.retry_after),)
        case Unauthorized():
            return ((b"www-authenticate", b'Bearer realm="realtime"'),)
        case _:
            return ()
