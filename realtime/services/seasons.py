"""When the seasons of a board end, and which views it has.

A board's seasons end at *boundaries*: the instants at which a cron expression fires in a time
zone, or a list of instants. Of two boundaries the later one closes what the earlier one began.
Which of them a score came before is decided by the store, in the step that submits; all that is
said here is which boundary follows an instant, and which one was the last before it.

A cron expression has the five fields and the rules of Debian's cron. Where clocks are set
forward over a given time, it fires at the first instant after the gap; where they are set back,
the first time only. Expressions whose minute or hour begins with ``*`` go by the time that
passes.

A *view* is a board of its own that gets every score its board gets, in the same step, and whose
seasons are days, weeks or months. It lies in the slot of its board, so one step may touch both.

Instants are microseconds since 1970. Pure, but for the database of time zones.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, pairwise
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from realtime.errors import InvalidInput
from realtime.services.calendars import check_zone
from realtime.services.names import MAX_NAME

__all__ = [
    "MAX_ARCHIVES",
    "MAX_CRON",
    "MAX_INSTANT",
    "MAX_RESETS",
    "NO_SEASONS",
    "VIEWS",
    "SeasonRules",
    "View",
    "check_seasons",
    "view_name",
]

View = Literal["daily", "weekly", "monthly", "all-time"]
VIEWS: tuple[View, ...] = get_args(View)

MAX_RESETS = 1_000
"""Instants of one board: 19 years of weeks; they are read whenever its rules are."""
MAX_ARCHIVES = 1_000
MAX_CRON = 255
"""Characters of a cron expression; some dozen are usual."""

MAX_INSTANT = 253_402_300_800_000_000 - 1
"""The end of the year 9999, where calendars end."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_VIEW_CRONS: dict[View, str] = {"daily": "0 0 * * *", "weekly": "0 0 * * 1", "monthly": "0 0 1 * *"}
"""Local midnight, of every day, on Mondays, on the first of the month."""

_TAGGED = re.compile(r"\{[^{}]+\}[^{}]+")
"""A name that begins with a tag of its own, and goes on: see `realtime.backends.keys`."""


@dataclass(frozen=True, slots=True)
class SeasonRules:
    """When seasons end, and what is kept of them. The defaults: there are none."""

    reset: str | None = None
    """A cron expression."""
    resets: tuple[int, ...] | None = None
    """Instead of it, ascending instants. None of them: seasons are closed by hand."""
    timezone: str = "UTC"
    archives: int = 1
    """How many closed seasons are kept, the newest of them."""
    archive_ttl: int | None = None
    """Microseconds after its end for which a closed season is kept at most."""
    views: tuple[View, ...] = ()
    view_of: str | None = None
    """The board whose view this is."""

    @property
    def seasonal(self) -> bool:
        """Whether there are seasons at all."""
        return self.reset is not None or self.resets is not None

    def after(self, now: int) -> int | None:
        """The first boundary that is later than ``now``, if there is one.

        Of instants O(log n); of a cron expression some 50 µs, and up to 50 ms for one that fires
        once in decades."""
        if self.reset is not None:
            return _cron_after(self.reset, self._zone, now)
        resets = self.resets or ()
        index = bisect_right(resets, now)
        return resets[index] if index < len(resets) else None

    def before(self, now: int) -> int | None:
        """The last boundary that is not later than ``now``, if there is one. Costs as `after`."""
        if self.reset is not None:
            return _cron_before(self.reset, self._zone, now)
        resets = self.resets or ()
        index = bisect_right(resets, now)
        return resets[index - 1] if index else None

    def of_view(self, board: str, view: View) -> SeasonRules:
        """The rules of a view of the board whose rules these are."""
        return replace(self, reset=_VIEW_CRONS.get(view), resets=None, views=(), view_of=board)

    @property
    def _zone(self) -> tzinfo:
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)


NO_SEASONS = SeasonRules()


def check_seasons(board: str, rules: SeasonRules, now: int) -> SeasonRules:
    """The rules of a board as they are kept. Raises InvalidInput if they make no sense, as of
    ``now``."""
    check_zone(rules.timezone)
    if rules.view_of is not None:
        raise InvalidInput("a view is made by the rules of its board", path="$.view_of")
    if rules.reset is not None and rules.resets is not None:
        raise InvalidInput("reset and resets cannot be combined", path="$.resets")
    if not 0 <= rules.archives <= MAX_ARCHIVES:
        raise InvalidInput(f"archives must be within 0..{MAX_ARCHIVES}", path="$.archives")
    if len(set(rules.views)) != len(rules.views):
        raise InvalidInput("a view is named twice", path="$.views")
    for view in rules.views:
        view_name(board, view)
    if rules.reset is not None:
        _check_cron(rules, now)
    _check_resets(rules.resets or ())
    reset = None if rules.reset is None else " ".join(rules.reset.split())
    return replace(rules, reset=reset, views=tuple([one for one in VIEWS if one in rules.views]))


def view_name(board: str, view: View) -> str:
    """What the view of a board is called as a board. Raises InvalidInput if it has no name."""
    if "{" not in board and "}" not in board:
        name = f"{{{board}}}:{view}"
    elif _TAGGED.fullmatch(board):
        name = f"{board}:{view}"
    else:
        raise InvalidInput(
            "a board with views has no braces in its name, but for a tag that it begins with",
            path="$.views",
        )
    if len(name.encode()) > MAX_NAME:
        raise InvalidInput("the name of this board is too long for views", path="$.views")
    return name


def _check_cron(rules: SeasonRules, now: int) -> None:
    expression = rules.reset or ""
    if len(expression) > MAX_CRON or len(expression.split()) != 5:
        raise InvalidInput(
            "reset is a cron expression of five fields: minute, hour, day of the month, month, "
            "day of the week",
            path="$.reset",
        )
    try:
        fires = rules.after(now)
    except CronSimError as error:
        text = f"this is no cron expression: {str(error).lower()}"
        raise InvalidInput(text, path="$.reset") from None
    if fires is None:
        raise InvalidInput("this cron expression never fires", path="$.reset")


def _check_resets(resets: tuple[int, ...]) -> None:
    if len(resets) > MAX_RESETS:
        raise InvalidInput(f"there are at most {MAX_RESETS} resets", path="$.resets")
    if any(earlier >= later for earlier, later in pairwise(resets)):
        raise InvalidInput("resets ascend", path="$.resets")
    if resets and not 0 <= resets[0] <= resets[-1] <= MAX_INSTANT:
        raise InvalidInput("resets are within the years 1970 to 9999", path="$.resets")


def _cron_after(expression: str, zone: tzinfo, now: int) -> int | None:
    for fires in _fires(expression, zone, now):
        if fires > now:  # the simulator takes a time that comes twice for its first coming
            return fires
    return None


def _cron_before(expression: str, zone: tzinfo, now: int) -> int | None:
    """From two firings further back forward, so that both directions know the same ones: the
    simulator steps back over hours that are skipped or come twice a little differently."""
    earlier = list(islice(_fires(expression, zone, now, reverse=True), 2))
    at, last = min(earlier, default=now) - 1, None
    while (fires := _cron_after(expression, zone, at)) is not None and fires <= now:
        at = last = fires
    return last


def _fires(expression: str, zone: tzinfo, now: int, *, reverse: bool = False) -> Iterator[int]:
    """When it fires, from about ``now`` on; ends where calendars do, or if nothing is found for
    50 years."""
    try:
        local = (_EPOCH + timedelta(microseconds=now)).astimezone(zone)
        for fires in CronSim(expression, local, reverse=reverse):
            yield (fires.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except (OverflowError, ValueError):
        return  # the year 1, or the year 10,000
