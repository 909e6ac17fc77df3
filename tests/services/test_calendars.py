"""Calendar windows: where the days begin, and what becomes of them when clocks are set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import InvalidInput
from realtime.services.calendars import Unit, check_zone, window_at

HOUR = 3_600_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "America/Sao_Paulo",  # midnight was skipped there
    "America/Havana",  # and came twice there
    "Australia/Lord_Howe",  # half an hour of summer
    "Pacific/Apia",  # a whole day was skipped there
)


def at(text: str, zone: str = "UTC") -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return (moment.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


def hours(window: tuple[int, int]) -> float:
    return (window[1] - window[0]) / HOUR


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        ("minute", "2026-02-28T13:45", "2026-02-28T13:46"),
        ("hour", "2026-02-28T13:00", "2026-02-28T14:00"),
        ("day", "2026-02-28T00:00", "2026-03-01T00:00"),
        ("week", "2026-02-23T00:00", "2026-03-02T00:00"),
        ("month", "2026-02-01T00:00", "2026-03-01T00:00"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
def test_a_window_begins_and_ends_where_people_say(
    unit: Unit, start: str, end: str, zone: str
) -> None:
    now = at("2026-02-28T13:45:12", zone)
    assert window_at(unit, zone, now) == (at(start, zone), at(end, zone))


def test_a_day_has_23_or_25_hours_when_clocks_are_set() -> None:
    for day, length in (("2026-03-29", 23), ("2026-03-30", 24), ("2026-10-25", 25)):
        window = window_at("day", "Europe/Berlin", at(f"{day}T12:00", "Europe/Berlin"))
        assert hours(window) == length
        assert window[0] == at(f"{day}T00:00", "Europe/Berlin")
    october = window_at("month", "Europe/Berlin", at("2026-10-10T12:00", "Europe/Berlin"))
    assert hours(october) == 31 * 24 + 1
    week = window_at("week", "Europe/Berlin", at("2026-03-29T12:00", "Europe/Berlin"))
    assert hours(week) == 7 * 24 - 1


def test_a_day_without_midnight_begins_at_its_first_instant() -> None:
    window = window_at("day", "America/Sao_Paulo", at("2018-11-04T12:00", "America/Sao_Paulo"))
    assert hours(window) == 23
    assert window[0] == at("2018-11-04T03:00")


@given(
    st.sampled_from(ZONES),
    st.sampled_from(get_args(Unit)),
    st.integers(at("2000-01-01"), at("2037-12-31")),
)
def test_windows_follow_one_another_without_a_gap(zone: str, unit: Unit, now: int) -> None:
    start, end = window_at(unit, zone, now)
    assert start <= now < end
    for inside in (start, (start + end) // 2, end - 1):
        assert window_at(unit, zone, inside) == (start, end)
    assert window_at(unit, zone, end)[0] == end
    assert window_at(unit, zone, start - 1)[1] == start


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "../../etc/passwd", "/etc/localtime", "."])
def test_a_zone_has_a_name_that_is_known(name: str) -> None:
    with pytest.raises(InvalidInput, match="time zone"):
        check_zone(name)
