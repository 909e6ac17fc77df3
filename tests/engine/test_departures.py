"""Departures in the engine: what is announced, and that nothing is left behind.

What the steps mean is in `tests.conformance.test_departures`, for every store."""

from __future__ import annotations

import pytest

from engine.clock import SECOND, ManualClock
from engine.departures import HARVEST, DepartureKeys
from engine.effects import Effect
from engine.engine import Engine

KEYS = DepartureKeys(b"here", b"gone", b"events", b"next", b"tries", b"watch")


@pytest.fixture
def engine() -> Engine:
    return Engine(ManualClock())


@pytest.fixture
def effects(engine: Engine) -> list[Effect]:
    heard: list[Effect] = []
    engine.effects.listen(heard.append)
    return heard


def test_only_what_changes_is_announced(engine: Engine, effects: list[Effect]) -> None:
    departures, now = engine.departures, b"%d" % engine.clock()
    departures.arrive(KEYS, b"ada")
    departures.arrive(KEYS, b"ada")
    assert effects == [(b"ZADD", b"here", now, b"ada")]
    departures.leave(KEYS, b"ada")
    departures.leave(KEYS, b"ada")
    assert effects[1:] == [(b"ZREM", b"here", b"ada"), (b"ZADD", b"gone", now, b"ada")]
    del effects[:]
    (due,) = departures.claim(KEYS, debounce=0, lease=SECOND, limit=9).due
    member = due.departure.member
    assert effects == [
        (b"ZREM", b"gone", b"ada"),
        (b"ZADD", b"events", now, member),
        (b"ZADD", b"next", now, member),
        (b"ZADD", b"next", b"%d" % (engine.clock() + SECOND), member),
    ]
    del effects[:]
    departures.postpone(KEYS, due.departure, SECOND, 1)
    assert effects == [(b"HSET", b"tries", member, b"1")]
    departures.done(KEYS, due.departure)
    assert [effect[:2] for effect in effects[1:]] == [
        (b"ZREM", b"events"),
        (b"ZREM", b"next"),
        (b"HDEL", b"tries"),
    ]
    assert len(engine.keyspace) == 0
    engine.keyspace._check()


def test_asking_changes_nothing(engine: Engine, effects: list[Effect]) -> None:
    assert engine.departures.claim(KEYS, debounce=0, lease=SECOND, limit=9) == ([], 0, 0)
    assert engine.departures.here(KEYS) == []
    assert effects == []


def test_a_crowd_is_taken_a_part_at_a_time(engine: Engine) -> None:
    users = [b"%d" % number for number in range(HARVEST + 1)]
    for user in users:
        engine.departures.arrive(KEYS, user)
    assert sorted(engine.departures.here(KEYS)) == sorted(users)
    for user in users:
        engine.departures.leave(KEYS, user)
    for pending in (HARVEST, HARVEST + 1):
        claimed = engine.departures.claim(KEYS, debounce=0, lease=SECOND, limit=0)
        assert (claimed.due, claimed.pending) == ([], pending)
