"""What a caller of the engine can do wrong.

    ValueError
    └── EngineError        the call was misuse; nothing was changed
        ├── WrongType      the key holds another type of value
        ├── NotAnInteger   the string is not a 64-bit decimal integer
        ├── OutOfBounds    the result would leave 64 bits, or the bounds the caller set
        └── SeasonOver     the season that the board is in has ended

Absence is never an error: it is ``None``.
"""

from __future__ import annotations

__all__ = ["EngineError", "NotAnInteger", "OutOfBounds", "SeasonOver", "WrongType"]


class EngineError(ValueError):
    """The caller's mistake. Whatever was asked, nothing was changed."""


class WrongType(EngineError):
    """The key holds a value of another type than the operation works on."""

    def __init__(self, key: bytes, found: str, wanted: str) -> None:
        super().__init__(f"{key!r} holds a {found}, not a {wanted}")
        self.key = key
        self.found = found
        self.wanted = wanted


class NotAnInteger(EngineError):
    """The string under the key is not the decimal text of a 64-bit integer."""

    def __init__(self, key: bytes) -> None:
        super().__init__(f"{key!r} does not hold a 64-bit integer")
        self.key = key


class OutOfBounds(EngineError):
    """A number would leave its bounds: 64 bits, or those that the caller set.

    ``entry`` is the index of the score that was refused, where there are several."""

    def __init__(self, message: str, value: float) -> None:
        super().__init__(message)
        self.value = value
        self.entry = 0


class SeasonOver(EngineError):
    """The board's season has ended, and nobody has closed it yet: see `engine.seasons`.

    ``ended`` and ``now`` are microseconds since 1970.
    """

    def __init__(self, key: bytes, number: int, ended: int, now: int) -> None:
        super().__init__(f"season {number} of {key!r} ended at {ended}, and it is {now}")
        self.key = key
        self.number = number
        self.ended = ended
        self.now = now
