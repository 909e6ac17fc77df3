"""Instants as people write them on a command line: ``30d``, ``12h``, ``45m``, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from realtime.commands import CommandError

__all__ = ["expiry"]

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def expiry(text: str, now: datetime) -> datetime:
    """The instant that ``30d``, ``12h``, ``45m``, a date or an RFC 3339 time stands for."""
    try:
        if match := re.fullmatch(r"(\d{1,6})([dhm])", text):
            when = now + timedelta(**{_UNITS[match[2]]: int(match[1])})
        else:
            when = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise CommandError(f"--expires takes 30d, 12h, 45m or 2030-01-31, not {text!r}") from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    if when <= now:
        raise CommandError(f"--expires {text} is in the past")
    return when
