"""Calendar windows: which minute, hour, day, week or month an instant lies in, somewhere.

A window is ``(start, end)``, microseconds since 1970, the end not included. The windows of a
unit and a time zone follow one another without a gap, whatever a zone does to its clocks: a
day begins at its first instant, and so has 23 or 25 hours now and then. Hours and minutes are
counted from the beginning of the day, so that the last one may be cut short. Weeks begin on
Monday.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from realtime.errors import InvalidInput

__all__ = ["Unit", "Window", "check_zone", "window_at"]

Unit = Literal["minute", "hour", "day", "week", "month"]
Window = tuple[int, int]

PARTS = {"minute": 60_000_000, "hour": 3_600_000_000}
"""Microseconds of the units that a day is divided into."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)


def check_zone(name: str) -> None:
    """Raises InvalidInput unless it names a time zone of the IANA database."""
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):
        raise InvalidInput(
            f"there is no time zone {name!r}; they have names like Europe/Berlin", path="$.timezone"
        ) from None


def window_at(unit: Unit, zone: str, now: int) -> Window:
    """The window that holds ``now``."""
    first, after = _days(unit, _date_at(_zone(zone), now))
    start, end = _beginning(_zone(zone), first), _beginning(_zone(zone), after)
    part = PARTS.get(unit)
    if part is None:
        return start, end
    start += (now - start) // part * part
    return start, min(start + part, end)


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _date_at(zone: ZoneInfo, now: int) -> date:
    """The date whose day holds the instant: local time may show another one where it is set
    back over midnight."""
    day = (_EPOCH + timedelta(microseconds=now)).astimezone(zone).date()
    if now < _beginning(zone, day):
        return day - _DAY
    return day + _DAY if now >= _beginning(zone, day + _DAY) else day


def _beginning(zone: ZoneInfo, day: date) -> int:
    """The first instant of a day; midnight, or what follows it where midnight is skipped."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (midnight.astimezone(UTC) - _EPOCH) // _MICROSECOND


def _days(unit: Unit, day: date) -> tuple[date, date]:
    """The first day of the unit that a day is in, and the first one after it."""
    if unit == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    if unit == "month":
        first = day.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1)
    return day, day + _DAY
