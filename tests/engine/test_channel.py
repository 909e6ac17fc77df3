"""Whether a history proves what a subscriber missed, also after the store lost its newest part."""

from __future__ import annotations

import pytest

from engine.channel import History, Position, Publication, recover, recover_latest

PAST = Position(7, "old")
"""The store was at 9 in its old life; what came after 7 it has lost."""


def history(since: int, *, top: int = 10, past: Position | None = PAST) -> History:
    """What a store that is at ``top`` of its new life answers to a subscriber at ``since``."""
    kept = [Publication(offset, b"%d" % offset) for offset in range(since + 1, top + 1)]
    return History(Position(top, "new"), kept, past)


@pytest.mark.parametrize("seen", [0, 5, 7])
def test_who_had_seen_no_more_than_was_inherited_has_missed_nothing_unknown(seen: int) -> None:
    recovered, missed = recover(Position(seen, "old"), history(seen), 100)
    assert recovered
    assert [one.offset for one in missed] == list(range(seen + 1, 11))


def test_at_the_end_of_what_was_inherited_there_may_be_nothing_to_catch_up_with() -> None:
    assert recover(Position(7, "old"), history(7, top=7), 100) == (True, [])


@pytest.mark.parametrize("seen", [8, 9, 10, 11])
def test_who_had_seen_what_was_lost_is_refused(seen: int) -> None:
    """Offset 8 of the old life and offset 8 of the new one are two publications."""
    assert recover(Position(seen, "old"), history(seen), 100) == (False, [])


@pytest.mark.parametrize("past", [PAST, None])
def test_an_unrelated_epoch_is_refused(past: Position | None) -> None:
    assert recover(Position(5, "other"), history(5, past=past), 100) == (False, [])
    assert recover(Position(5, "new"), history(5, past=past), 100).recovered


def test_what_was_inherited_is_not_recovered_in_part() -> None:
    found = history(5)
    trimmed = found._replace(publications=found.publications[1:])
    assert recover(Position(5, "old"), trimmed, 100) == (False, [])
    assert recover(Position(5, "old"), found, 4) == (False, [])


def test_a_position_without_an_epoch_is_only_an_offset() -> None:
    assert history(9).covers(Position(9, ""))
    assert history(9, past=None).covers(Position(99, ""))


def newest(*, top: int = 10, past: Position | None = PAST) -> History:
    return history(top - 1, top=top, past=past)


def test_the_newest_is_not_sent_to_who_has_seen_it() -> None:
    assert recover_latest(Position(10, "new"), newest()) == (True, [])
    assert recover_latest(Position(7, "old"), newest(top=7)) == (True, [])


@pytest.mark.parametrize(
    "since",
    [Position(0, ""), Position(10, ""), Position(9, "new"), Position(10, "old"), Position(99, "x")],
)
def test_whoever_cannot_be_proved_to_have_seen_the_newest_is_sent_it(since: Position) -> None:
    assert recover_latest(since, newest()) == (True, [Publication(10, b"10")])


def test_where_nothing_is_left_only_who_had_seen_the_last_has_missed_nothing() -> None:
    gone = newest()._replace(publications=[])
    assert recover_latest(Position(10, "new"), gone).recovered
    assert not recover_latest(Position(9, "new"), gone).recovered
    empty = History(Position(0, "new"), [])
    assert not recover_latest(Position(0, "new"), empty).recovered
