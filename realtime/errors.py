"""One table of what can go wrong, and how each door says it.

    RealtimeError                  has a code (stable, in problem types and logs) and a title
    ├── InvalidRequest     400     not HTTP, not JSON, not UTF-8
    ├── Unauthorized       401     no key, or not one of ours
    ├── Forbidden          403     the key does not cover this
    ├── NotFound           404     no such thing, or no such route
    ├── MethodNotAllowed   405
    ├── Conflict           409     the state of things forbids it: a counter at its bound, …
    ├── Gone               410     it began anew since
    ├── VersionConflict    412     If-Match did not match
    ├── TooLarge           413     a body, a batch or a record over its bound
    ├── UnsupportedMedia   415     a body that is not JSON
    ├── InvalidInput       422     understood, and wrong: type, unknown field, bound, name
    ├── TooManyRequests    429     more often than a rate of ours allows; wait
    ├── Unavailable        503     loading, shutting down, or the store is away; try again
    └── InternalError      500     our fault; the log has the reference that the answer names

`ws_error` is the error code of the Centrifuge protocol; `retry` says whether the same
request may succeed later.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "Conflict",
    "Forbidden",
    "Gone",
    "InternalError",
    "InvalidInput",
    "InvalidRequest",
    "MethodNotAllowed",
    "NotFound",
    "RealtimeError",
    "TooLarge",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "UnsupportedMedia",
    "VersionConflict",
]


class RealtimeError(Exception):
    """Something a client is told. ``path`` is the JSON path of the fault, if it is in a body."""

    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500
    ws_error: ClassVar[int] = 100
    retry: ClassVar[bool] = False

    def __init__(self, detail: str, *, path: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.path = path


class InternalError(RealtimeError):
    """Our fault."""


class InvalidRequest(RealtimeError):
    code, title, status, ws_error = "invalid-request", "Invalid request", 400, 107


class Unauthorized(RealtimeError):
    code, title, status, ws_error = "unauthorized", "Unauthorized", 401, 101


class Forbidden(RealtimeError):
    code, title, status, ws_error = "forbidden", "Forbidden", 403, 103


class NotFound(RealtimeError):
    code, title, status, ws_error = "not-found", "Not found", 404, 102


class MethodNotAllowed(RealtimeError):
    code, title, status, ws_error = "method-not-allowed", "Method not allowed", 405, 104

    def __init__(self, detail: str, allowed: str) -> None:
        super().__init__(detail)
        self.allowed = allowed


class Conflict(RealtimeError):
    code, title, status, ws_error = "conflict", "Conflict", 409, 107


class Gone(RealtimeError):
    code, title, status, ws_error = "gone", "Gone", 410, 107


class VersionConflict(RealtimeError):
    code, title, status, ws_error = "version-conflict", "Version conflict", 412, 107


class TooLarge(RealtimeError):
    code, title, status, ws_error = "too-large", "Too large", 413, 106


class UnsupportedMedia(RealtimeError):
    code, title, status, ws_error = "unsupported-media-type", "Unsupported media type", 415, 107


class InvalidInput(RealtimeError):
    code, title, status, ws_error = "invalid-input", "Invalid input", 422, 107


class TooManyRequests(RealtimeError):
    code, title, status, ws_error, retry = "too-many-requests", "Too many requests", 429, 111, True

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        """Seconds."""


class Unavailable(RealtimeError):
    code, title, status, ws_error, retry = "unavailable", "Unavailable", 503, 100, True

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
