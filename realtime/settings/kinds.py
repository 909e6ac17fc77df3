"""Kinds of values that have a unit: durations and rates, as people write them."""

from __future__ import annotations

import re

from realtime.options import Kind
from realtime.rate import Rate
from realtime.settings.groups import DAY

__all__ = ["duration", "rate"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY}

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)?", re.ASCII)
_RATE = re.compile(r"(\d{1,10})/(.+)", re.ASCII)

MAX_COUNT = 2**31 - 1
LONGEST = 366 * DAY
"""As long as a bucket's period may be."""


def duration(low: float, high: float) -> Kind:
    """A time within bounds: seconds, or a text with a unit."""

    def read(given: object) -> float:
        if isinstance(given, bool) or not isinstance(given, (int, float, str)):
            raise ValueError
        seconds = _seconds(given) if isinstance(given, str) else float(given)
        if not low <= seconds <= high:
            raise ValueError
        return seconds

    wants = f"seconds from {low:.0f} to {high:.0f}, or a text like 90s, 15m, 1h or 7d"
    return Kind("SECONDS", wants, read)


def rate() -> Kind:
    """How many within which time: ``100/1s``; the empty text means that there is no limit."""

    def read(given: object) -> Rate | None:
        if given == "":
            return None
        match = _RATE.fullmatch(given) if isinstance(given, str) else None
        if match is None:
            raise ValueError
        # 100/s is 100/1s
        limit, per = int(match[1]), _UNITS.get(match[2]) or _seconds(match[2])
        if not (1 <= limit <= MAX_COUNT and 0.001 <= per <= LONGEST):
            raise ValueError
        return Rate(limit, per)

    return Kind("COUNT/TIME", "a rate like 100/1s or 5000/1m", read)


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError
    return float(match[1]) * _UNITS[match[2] or "s"]
