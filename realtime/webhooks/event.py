"""What is said of what happened: the same words, under the same id, however often it is said."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from realtime.backends.base import Departure
from realtime.backends.keys import board_key
from realtime.services.resets import Reset
from realtime.services.standings import json_score

__all__ = [
    "BOARD_RESET",
    "USER_LEFT",
    "BoardReset",
    "Event",
    "UserLeft",
    "board_reset",
    "user_left",
]

USER_LEFT: Final = "user.left"
BOARD_RESET: Final = "board.reset"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ID_DIGITS = 32
"""Hexadecimal digits of an id: enough that no two are ever the same."""


class _Body(msgspec.Struct, frozen=True):
    """The body of a webhook."""

    type: str
    id: str

    def encoded(self) -> bytes:
        return msgspec.json.encode(self)


class UserLeft(_Body, frozen=True):
    user: str
    at: str
    """RFC 3339, to the microsecond: since when the user had no connection."""

    @property
    def subject(self) -> str:
        """What it is about, for people."""
        return f"user {self.user} at {self.at}"


class Row(msgspec.Struct, frozen=True):
    rank: int
    member: str
    score: float


class BoardReset(_Body, frozen=True):
    board: str
    season: int
    """The one that has ended; the next one has the next number."""
    began: str
    ended: str
    """RFC 3339, to the microsecond."""
    size: int
    """Entries of the whole board."""
    top: list[Row]

    @property
    def subject(self) -> str:
        return f"season {self.season} of board {self.board}, ended {self.ended}"


Event = UserLeft | BoardReset


def user_left(departure: Departure) -> UserLeft:
    """The event that a departure is. Its id is made of what it says, and so never changes."""
    return UserLeft(
        USER_LEFT,
        "left_" + _digest(departure.member),
        departure.user.decode(errors="replace"),
        _rfc3339(departure.at),
    )


def board_reset(reset: Reset) -> BoardReset:
    """The event that the end of a season is. A board that is deleted and made anew counts its
    seasons anew, too: what tells them apart is when they ended."""
    key = board_key(reset.board.encode())
    return BoardReset(
        BOARD_RESET,
        "reset_" + _digest(b"%b:%d:%d" % (key, reset.season, reset.ended)),
        reset.board,
        reset.season,
        _rfc3339(reset.began),
        _rfc3339(reset.ended),
        reset.size,
        [Row(row.rank, row.member.decode(), json_score(row.score)) for row in reset.top],
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:ID_DIGITS]


def _rfc3339(instant: int) -> str:
    at = _EPOCH + timedelta(microseconds=instant)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
