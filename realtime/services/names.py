"""The one rule for names: boards, members, counters, users, rules, callers, channels, fields."""

from __future__ import annotations

from functools import lru_cache

from realtime.errors import InvalidInput

__all__ = ["MAX_NAME", "name_bytes"]

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


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f"
