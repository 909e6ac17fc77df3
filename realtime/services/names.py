"""The one rule for names: boards, members, counters, users, rules, callers, channels, fields."""

from __future__ import annotations

from functools import lru_cache

from realtime.backends.livenames import LiveName, live_name
from realtime.errors import InvalidInput

__all__ = ["MAX_NAME", "LiveName", "channel_bytes", "live_of", "name_bytes"]

MAX_NAME = 255
"""Bytes of UTF-8. A name is part of keys and of log lines; longer ones are mistakes."""


@lru_cache(maxsize=4096)
def name_bytes(what: str, name: str) -> bytes:
    """The UTF-8 of a name. Raises InvalidInput, which says ``what`` it was to be.

    1 to 255 bytes, and no control characters: they would forge log lines and break terminals.
    The cache holds what a busy service asks for again and again; 4096 names at most.
    """
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"the {what} holds half of a surrogate pair") from None
    if not 1 <= len(encoded) <= MAX_NAME:
        raise InvalidInput(f"the {what} must be 1 to {MAX_NAME} bytes of UTF-8, not {len(encoded)}")
    if not name.isprintable() and any(_is_control(character) for character in name):
        raise InvalidInput(f"the {what} holds a control character")
    return encoded


def channel_bytes(channel: str) -> bytes:
    """The UTF-8 of a channel's name. Raises InvalidInput, also if it says of no live leaderboard
    which one: see `realtime.backends.livenames`."""
    encoded = name_bytes("channel", channel)
    live_of(channel)
    return encoded


def live_of(channel: str) -> LiveName | None:
    """What a channel shows of which board; None if it is no live leaderboard.

    Raises InvalidInput."""
    try:
        return live_name(channel)
    except ValueError as error:
        raise InvalidInput(f"the channel is no live leaderboard: {error}") from None


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f"
