"""The numbers of the protocol: why a command was refused, why a connection was closed.

A `Refusal` answers one command and the connection lives on. An `Unsubscribed` is pushed when
a subscription ends that the client has not ended, and the connection lives on, too. A `Close`
ends the connection. The ranges tell the client what to do next:

    3000–3499, 4000–4499    come back, with your positions
    3500–3999, 4500–4999    do not come back: something has to be changed first
    2500–2999               subscribe again, with your position
    2000–2499               stay unsubscribed

Stock clients only honour the second range if the reason is not empty and is not JSON, so
reasons are plain words. A close frame holds 125 bytes, two of them the code.
"""

from __future__ import annotations

from typing import NamedTuple

from realtime.errors import RealtimeError

__all__ = [
    "ALREADY_SUBSCRIBED",
    "BAD_REQUEST",
    "CLOSE_BAD_REQUEST",
    "CLOSE_CHANNEL_LIMIT",
    "CLOSE_CONNECTION_LIMIT",
    "CLOSE_EXPIRED",
    "CLOSE_FORCED",
    "CLOSE_INAPPROPRIATE",
    "CLOSE_INSUFFICIENT_STATE",
    "CLOSE_INVALID_TOKEN",
    "CLOSE_INVALID_UTF8",
    "CLOSE_NOT_AVAILABLE",
    "CLOSE_NO_PONG",
    "CLOSE_SHUTDOWN",
    "CLOSE_SLOW",
    "CLOSE_STALE",
    "CLOSE_SUBSCRIPTION_EXPIRED",
    "CLOSE_TOO_MANY_REQUESTS",
    "EXPIRED",
    "INSUFFICIENT_STATE",
    "INTERNAL",
    "LIMIT_EXCEEDED",
    "METHOD_NOT_FOUND",
    "NOT_AVAILABLE",
    "PERMISSION_DENIED",
    "SERVER_UNSUBSCRIBED",
    "SUBSCRIPTION_EXPIRED",
    "TOKEN_EXPIRED",
    "UNKNOWN_CHANNEL",
    "UNRECOVERABLE",
    "Close",
    "Disconnect",
    "Refusal",
    "Refused",
    "Unsubscribed",
]

MAX_REASON = 123
"""Bytes of a close reason, by RFC 6455."""


class Refusal(NamedTuple):
    """The error that answers a command. ``temporary``: the same may succeed later."""

    code: int
    message: str
    temporary: bool = False

    @classmethod
    def of(cls, error: RealtimeError) -> Refusal:
        """How this protocol says one of our errors."""
        return cls(error.ws_error, error.detail, error.retry)

    def because(self, detail: str) -> Refusal:
        return self._replace(message=f"{self.message}: {detail}")


class Refused(Exception):
    """Raised by a command that is answered with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class Close(NamedTuple):
    """The code and the reason of a close frame."""

    code: int
    reason: str

    def because(self, detail: str) -> Close:
        """The same code, and what exactly was wrong, as far as it fits into the frame."""
        reason = f"{self.reason}: {detail}".encode()[:MAX_REASON]
        return self._replace(reason=reason.decode(errors="ignore"))


class Unsubscribed(NamedTuple):
    """The code and the reason of the push that tells of the end of a subscription."""

    code: int
    reason: str


class Disconnect(Exception):
    """Raised by a command that ends its connection."""

    def __init__(self, close: Close) -> None:
        super().__init__(close)
        self.close = close


INTERNAL = Refusal(100, "internal server error", temporary=True)
UNKNOWN_CHANNEL = Refusal(102, "unknown channel")
PERMISSION_DENIED = Refusal(103, "permission denied")
METHOD_NOT_FOUND = Refusal(104, "method not found")
ALREADY_SUBSCRIBED = Refusal(105, "already subscribed")
LIMIT_EXCEEDED = Refusal(106, "limit exceeded")
BAD_REQUEST = Refusal(107, "bad request")
NOT_AVAILABLE = Refusal(108, "not available")
TOKEN_EXPIRED = Refusal(109, "token expired")
EXPIRED = Refusal(110, "expired")
UNRECOVERABLE = Refusal(112, "unrecoverable position")

SERVER_UNSUBSCRIBED = Unsubscribed(2000, "server unsubscribe")
INSUFFICIENT_STATE = Unsubscribed(2500, "insufficient state")
SUBSCRIPTION_EXPIRED = Unsubscribed(2501, "subscription expired")

CLOSE_INVALID_UTF8 = Close(1007, "a text frame must be UTF-8")
CLOSE_SHUTDOWN = Close(3001, "shutdown")
CLOSE_EXPIRED = Close(3005, "connection expired")
CLOSE_SUBSCRIPTION_EXPIRED = Close(3006, "subscription expired")
CLOSE_SLOW = Close(3008, "slow")
CLOSE_INSUFFICIENT_STATE = Close(3010, "insufficient state")
CLOSE_NO_PONG = Close(3012, "no pong")
CLOSE_TOO_MANY_REQUESTS = Close(3013, "too many requests")
CLOSE_INVALID_TOKEN = Close(3500, "invalid token")
CLOSE_BAD_REQUEST = Close(3501, "bad request")
CLOSE_STALE = Close(3502, "stale")
CLOSE_FORCED = Close(3503, "force disconnect")
CLOSE_CONNECTION_LIMIT = Close(3504, "connection limit")
CLOSE_CHANNEL_LIMIT = Close(3505, "channel limit")
CLOSE_INAPPROPRIATE = Close(3506, "inappropriate protocol")
CLOSE_NOT_AVAILABLE = Close(3508, "not available")
