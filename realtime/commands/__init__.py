"""What the command line can do, one module each, loaded only when it is asked for."""

from __future__ import annotations

import argparse
import os
import re
from datetime import UTC, datetime, timedelta

from realtime.settings import CONFIG, OPTIONS, Settings, load

__all__ = ["CommandError", "expiry", "settings_of"]

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


class CommandError(Exception):
    """One sentence for the person at the terminal; the command ends with exit code 2."""


def settings_of(parsed: argparse.Namespace) -> Settings:
    """The settings of a command whose flags are settings. Raises SettingsError."""
    flags = {
        name: ",".join(value) if isinstance(value, list) else value
        for name in (CONFIG, *OPTIONS)
        if (value := getattr(parsed, name, None)) is not None
    }
    return load(flags, os.environ)


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
