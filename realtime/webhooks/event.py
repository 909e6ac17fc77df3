"""What is said of a departure: the same words, under the same id, however often it is said."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from realtime.backends.base import Departure

__all__ = ["USER_LEFT", "Event", "user_left"]

USER_LEFT: Final = "user.left"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ID_DIGITS = 32
"""Hexadecimal digits of an id: enough that no two are ever the same."""


class Event(msgspec.Struct, frozen=True):
    """The body of a webhook."""

    type: str
    id: str
    user: str
    at: str
    """RFC 3339, to the microsecond: since when the user had no connection."""

    def encoded(self) -> bytes:
        return msgspec.json.encode(self)


def user_left(departure: Departure) -> Event:
    """The event that a departure is. Its id is made of what it says, and so never changes."""
    digest = hashlib.sha256(departure.member).hexdigest()
    at = _EPOCH + timedelta(microseconds=departure.at)
    return Event(
        USER_LEFT,
        "left_" + digest[:ID_DIGITS],
        departure.user.decode(errors="replace"),
        at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    )
