"""Seasons: which boundary follows an instant, whatever people do to their clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realtime.errors import InvalidInput
from realtime.services.seasons import (
    MAX_INSTANT,
    MAX_RESETS,
    SeasonRules,
    View,
    check_seasons,
    view_name,
)
from tests.services.test_calendars import ZONES, at

BERLIN = "Europe/Berlin"
MINUTE = 60_000_000
NOW = at("2026-11-26T12:00")


def shown(instant: int | None, zone: str = "UTC") -> str | None:
    if instant is None:
        return None
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)
    return moment.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")


def following(rules: SeasonRules, start: int, count: int) -> list[str | None]:
    found: list[str | None] = []
    now: int | None = start
    while len(found) < count and now is not None:
        now = rules.after(now)
        found.append(shown(now, rules.timezone))
    return found


def test_a_season_ends_at_the_minute_that_was_said() -> None:
    weekly = SeasonRules(reset="0 0 * * 1")
    monday = at("2026-11-30T00:00")
    assert weekly.after(NOW) == monday == weekly.before(monday)
    assert weekly.after(monday - 1) == monday
    assert weekly.after(monday) == at("2026-12-07T00:00")
    assert weekly.before(monday - 1) == at("2026-11-23T00:00")


def test_a_time_that_is_skipped_ends_a_season_right_after_the_gap() -> None:
    nightly = SeasonRules(reset="30 2 * * *", timezone=BERLIN)
    assert following(nightly, at("2026-03-27T12:00"), 4) == [
        "2026-03-28T02:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
        "2026-03-31T02:30+02:00",
    ]
    gap = at("2026-03-29T01:00")
    assert nightly.before(gap) == gap
    assert nightly.before(gap - 1) == at("2026-03-28T01:30")


def test_a_time_that_comes_twice_ends_one_season() -> None:
    nightly = SeasonRules(reset="30 2 * * *", timezone=BERLIN)
    assert following(nightly, at("2026-10-24T12:00"), 2) == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]
    for minute in range(30, 200):  # 02:30 summer time, to long after 02:30 winter time
        now = at("2026-10-25T00:00") + minute * MINUTE
        assert nightly.after(now) == at("2026-10-26T01:30"), shown(now, BERLIN)
        assert nightly.before(now) == at("2026-10-25T00:30"), shown(now, BERLIN)


def test_what_goes_by_time_that_passes_goes_on_through_the_change() -> None:
    hourly = SeasonRules(reset="0 * * * *", timezone=BERLIN)
    assert following(hourly, at("2026-10-24T23:30"), 3) == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
    ]
    assert following(hourly, at("2026-03-29T00:30"), 1) == ["2026-03-29T03:00+02:00"]


def test_leap_days_are_waited_for() -> None:
    leap = SeasonRules(reset="0 0 29 2 *")
    assert following(leap, at("2096-03-01T00:00"), 1) == ["2104-02-29T00:00+00:00"]
    assert shown(leap.before(at("2104-02-28T00:00"))) == "2096-02-29T00:00+00:00"


def test_a_list_of_instants_ends() -> None:
    rules = SeasonRules(resets=(100, 200))
    assert [rules.after(now) for now in (0, 99, 100, 199, 200, 201)] == [
        100, 100, 200, 200, None, None,
    ]  # fmt: skip
    assert [rules.before(now) for now in (0, 99, 100, 199, 200, 201)] == [
        None, None, 100, 100, 200, 200,
    ]  # fmt: skip


@pytest.mark.parametrize("rules", [SeasonRules(), SeasonRules(resets=())])
def test_without_boundaries_nothing_ends(rules: SeasonRules) -> None:
    assert (rules.after(NOW), rules.before(NOW)) == (None, None)


def test_calendars_end() -> None:
    for zone in ("Pacific/Auckland", "America/New_York", "UTC"):
        assert SeasonRules(reset="0 0 1 1 *", timezone=zone).after(MAX_INSTANT) is None
    yearly = SeasonRules(reset="0 0 1 1 *", timezone="America/New_York")
    assert shown(yearly.before(MAX_INSTANT)) == "9999-01-01T05:00+00:00"


CRONS = ("30 2 * * *", "0 0 * * *", "0 0 * * 1", "0 0 1 * *", "0 0,12 * * *", "15 1-3 * * 0",
         "*/20 * * * *", "45 * * * *", "5 */2 * * *", "0 0 L * *")  # fmt: skip


@given(
    st.sampled_from(ZONES), st.sampled_from(CRONS), st.integers(at("2005-01-01"), at("2037-12-31"))
)
@example("America/Havana", "0 0 * * *", at("2026-11-01T04:59"))
@example("Australia/Lord_Howe", "15 1-3 * * 0", at("2026-04-04T15:10"))
@example("Pacific/Apia", "0 0 * * *", at("2011-12-30T10:00"))
def test_both_directions_know_the_same_boundaries(zone: str, cron: str, now: int) -> None:
    rules = SeasonRules(reset=cron, timezone=zone)
    later, earlier = rules.after(now), rules.before(now)
    assert later is not None and earlier is not None
    assert earlier <= now < later
    assert rules.after(earlier) == later
    assert rules.before(later) == later
    assert rules.before(later - 1) == earlier
    assert rules.after(later - 1) == later


@pytest.mark.parametrize(
    ("rules", "where"),
    [
        (SeasonRules(reset="0 0 31 2 *"), "$.reset"),
        (SeasonRules(reset="0 0 */31 * MON#4"), "$.reset"),
        (SeasonRules(reset="0 0 * *"), "$.reset"),
        (SeasonRules(reset="0 0 0 * * *"), "$.reset"),
        (SeasonRules(reset="@weekly"), "$.reset"),
        (SeasonRules(reset=""), "$.reset"),
        (SeasonRules(reset="60 0 * * *"), "$.reset"),
        (SeasonRules(reset="0 0 * * MOON"), "$.reset"),
        (SeasonRules(reset="0 0 * * " + "1," * 200 + "1"), "$.reset"),
        (SeasonRules(reset="0 0 * * *", resets=()), "$.resets"),
        (SeasonRules(resets=(5, 5)), "$.resets"),
        (SeasonRules(resets=(6, 5)), "$.resets"),
        (SeasonRules(resets=(-1,)), "$.resets"),
        (SeasonRules(resets=(MAX_INSTANT + 1,)), "$.resets"),
        (SeasonRules(resets=tuple(range(MAX_RESETS + 1))), "$.resets"),
        (SeasonRules(timezone="Europe/Atlantis"), "$.timezone"),
        (SeasonRules(archives=-1), "$.archives"),
        (SeasonRules(archives=1_001), "$.archives"),
        (SeasonRules(views=("daily", "daily")), "$.views"),
        (SeasonRules(view_of="other"), "$.view_of"),
    ],
)
def test_what_makes_no_sense_is_refused(rules: SeasonRules, where: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_seasons("arcade", rules, NOW)
    assert refused.value.path == where


def test_what_makes_sense_is_accepted() -> None:
    instants = tuple(range(MAX_RESETS - 1))
    for rules in (
        SeasonRules(),
        SeasonRules(reset="0  9-17/2 1,15 jan-mar fri#2", timezone=BERLIN, archives=0),
        SeasonRules(resets=(*instants, MAX_INSTANT), archives=1_000),
        SeasonRules(resets=(), views=("daily", "weekly", "monthly", "all-time")),
    ):
        check_seasons("arcade", rules, NOW)


def test_what_is_accepted_is_kept_in_one_form() -> None:
    rules = SeasonRules(reset="  0 0\t* *  1 ", views=("all-time", "daily"))
    kept = check_seasons("arcade", rules, NOW)
    assert kept == SeasonRules(reset="0 0 * * 1", views=("daily", "all-time"))


@pytest.mark.parametrize(
    ("board", "name"),
    [
        ("arcade", "{arcade}:daily"),
        ("game:arcade", "{game:arcade}:daily"),
        ("{game}:arcade", "{game}:arcade:daily"),
        ("x" * 247, "{" + "x" * 247 + "}:daily"),
    ],
)
def test_a_view_is_named_after_its_board(board: str, name: str) -> None:
    assert view_name(board, "daily") == name


@pytest.mark.parametrize(
    "board", ["{game}", "a{game}", "{", "}{", "{}:a", "{a}{b}", "{a}:b}", "x" * 248, "ä" * 124]
)
def test_some_names_leave_no_room_for_views(board: str) -> None:
    with pytest.raises(InvalidInput, match="views"):
        check_seasons(board, SeasonRules(views=("daily",)), NOW)
    check_seasons(board, SeasonRules(reset="0 0 * * *"), NOW)


@pytest.mark.parametrize(
    ("view", "boundaries"),
    [
        ("daily", ["2026-11-27T00:00+01:00", "2026-11-28T00:00+01:00"]),
        ("weekly", ["2026-11-30T00:00+01:00", "2026-12-07T00:00+01:00"]),
        ("monthly", ["2026-12-01T00:00+01:00", "2027-01-01T00:00+01:00"]),
        ("all-time", [None]),
    ],
)
def test_a_view_ends_with_the_days_of_its_zone(view: View, boundaries: list[str | None]) -> None:
    board = SeasonRules(
        resets=(5,), timezone=BERLIN, archives=7, archive_ttl=MINUTE, views=("daily", view)
    )
    rules = board.of_view("arcade", view)
    assert following(rules, NOW, len(boundaries)) == boundaries
    assert rules.seasonal is (view != "all-time")
    assert (rules.archives, rules.archive_ttl) == (7, MINUTE)
    assert (rules.views, rules.view_of) == ((), "arcade")
