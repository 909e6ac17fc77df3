"""What the channels of live leaderboards are called, and what such a name says.

    leaderboard:{board}             the top of a board
    leaderboard:{board}:{member}    where one member stands on it

So that no name can be read in two ways, a ``%`` in a board's name is written ``%25`` and a colon
``%3A``; nothing else is, and nothing may be. The member is everything behind the colon, as it
stands.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["LIVE_PREFIX", "LiveName", "live_channel", "live_name"]

LIVE_PREFIX = "leaderboard:"

_stray = re.compile("%(?!25|3A)").search


class LiveName(NamedTuple):
    """What is shown: a member of a board, or its top."""

    board: str
    member: str | None = None


def live_channel(board: str, member: str | None = None) -> str:
    """The channel that shows a board, or one member of it. O(length)."""
    if "%" in board or ":" in board:
        board = board.replace("%", "%25").replace(":", "%3A")
    return LIVE_PREFIX + board if member is None else f"{LIVE_PREFIX}{board}:{member}"


def live_name(channel: str) -> LiveName | None:
    """What a channel shows of which board; None if it is no live leaderboard.

    The inverse of `live_channel`. Raises ValueError, with words for the client, for a name that
    says nothing. O(length).
    """
    if not channel.startswith(LIVE_PREFIX):
        return None
    board, colon, member = channel[len(LIVE_PREFIX) :].partition(":")
    if "%" in board:
        if _stray(board):
            raise ValueError("in the board's name a % is written %25 and a colon %3A, no more")
        board = board.replace("%3A", ":").replace("%25", "%")
    if not board:
        raise ValueError(f"no board is named behind {LIVE_PREFIX}")
    if not colon:
        return LiveName(board)
    if not member:
        raise ValueError("no member is named behind the board; a colon of its name is written %3A")
    return LiveName(board, member)
