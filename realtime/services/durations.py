"""Seconds at the edge, microseconds inside; the only place where one becomes the other."""

from __future__ import annotations

from realtime.errors import InvalidInput

__all__ = ["MAX_SECONDS", "microseconds"]

MAX_SECONDS = 10 * 366 * 86_400.0
"""Ten years: beyond it a duration is a mistake, and instants leave what a double holds."""


def microseconds(what: str, seconds: float) -> int:
    """At least one microsecond. Raises InvalidInput outside (0, ten years]."""
    if not 0 < seconds <= MAX_SECONDS:
        raise InvalidInput(f"{what} must be above 0 and at most {MAX_SECONDS:.0f} seconds")
    return max(1, round(seconds * 1_000_000))
