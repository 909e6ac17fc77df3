"""A store that goes back in time: offsets are given out again, but not under the same name."""

from __future__ import annotations

import pytest

from engine.channel import Position, Recovery, recover
from engine.clock import DAY, HOUR, MINUTE, ManualClock
from engine.effects import Effect
from engine.engine import Engine

KEY = b"chan:{news}"
META = KEY + b":meta"
SURVIVED, LOST = 5, 3


def publish(engine: Engine, *numbers: int) -> Position:
    position = Position(0, "")
    for number in numbers:
        made = engine.channels.publish(b"news", KEY, b"%d" % number, size=100, ttl=HOUR)
        position = made.position
    return position


def come_back(engine: Engine, since: Position, limit: int = 100) -> Recovery:
    found = engine.channels.history(KEY, since=since, limit=limit + 1)
    return recover(since, found, limit)


class Relapse:
    """An engine that lost its newest publications, and the positions that clients had before."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        before = Engine(self.clock)
        self.survived = publish(before, *range(1, SURVIVED + 1))
        self.engine = Engine(self.clock)
        for key, value, deadline in before.keyspace.items(self.clock()):
            kept = dict(value) if isinstance(value, dict) else value
            self.engine.keyspace.put(key, kept, deadline)
        self.beyond = Position(SURVIVED + LOST, self.survived.epoch)


@pytest.fixture
def relapse() -> Relapse:
    return Relapse()


def test_without_a_new_epoch_a_client_would_miss_what_has_its_offsets_again(
    relapse: Relapse,
) -> None:
    """Why all this: the publications 106 to 108 are never seen, and nobody says so."""
    publish(relapse.engine, *range(106, 111))
    recovered, missed = come_back(relapse.engine, relapse.beyond)
    assert recovered
    assert [item.data for item in missed] == [b"109", b"110"]


def test_who_had_seen_more_than_survived_is_told_so(relapse: Relapse) -> None:
    assert relapse.engine.channels.renew_epochs() == 1
    assert come_back(relapse.engine, relapse.beyond) == (False, [])
    again = publish(relapse.engine, *range(106, 111))
    assert again.offset > relapse.beyond.offset
    assert again.epoch != relapse.beyond.epoch
    assert come_back(relapse.engine, relapse.beyond) == (False, [])
    assert come_back(relapse.engine, Position(SURVIVED + 1, relapse.beyond.epoch)) == (False, [])


@pytest.mark.parametrize("seen", range(SURVIVED + 1))
def test_who_had_seen_no_more_than_survived_misses_nothing(relapse: Relapse, seen: int) -> None:
    relapse.engine.channels.renew_epochs()
    since = Position(seen, relapse.survived.epoch)
    recovered, missed = come_back(relapse.engine, since)
    assert recovered
    assert [item.offset for item in missed] == list(range(seen + 1, SURVIVED + 1))
    new = publish(relapse.engine, 106)
    recovered, missed = come_back(relapse.engine, since)
    assert recovered
    assert [item.offset for item in missed] == list(range(seen + 1, SURVIVED + 2))
    assert come_back(relapse.engine, new).recovered


def test_only_the_last_epoch_is_remembered(relapse: Relapse) -> None:
    channels = relapse.engine.channels
    channels.renew_epochs()
    between = publish(relapse.engine, 106)
    channels.renew_epochs()
    assert not come_back(relapse.engine, relapse.survived).recovered
    assert come_back(relapse.engine, between).recovered


def test_a_channel_without_publications_is_renewed_too(relapse: Relapse) -> None:
    """Who waited there had seen nothing, so whatever comes is all of it."""
    engine = relapse.engine
    waiting = engine.channels.history(b"chan:{quiet}").position
    assert engine.channels.renew_epochs() == 2
    found = engine.channels.history(b"chan:{quiet}")
    assert found.position.epoch != waiting.epoch
    assert found.past == waiting


def test_positions_expire_when_they_would_have(relapse: Relapse) -> None:
    engine, clock = relapse.engine, relapse.clock
    before = engine.keyspace.deadline(META)
    engine.channels.renew_epochs()
    assert engine.keyspace.deadline(META) == before
    clock.advance(31 * DAY)
    assert engine.channels.renew_epochs() == 0
    assert engine.channels.history(KEY).past is None


def test_it_is_announced_in_the_fields_that_a_shared_store_uses(relapse: Relapse) -> None:
    heard: list[Effect] = []
    changes = relapse.engine.effects.changes
    relapse.engine.effects.listen(heard.append)
    relapse.engine.channels.renew_epochs()
    epoch = relapse.engine.channels.history(KEY).position.epoch.encode()
    old = relapse.survived.epoch.encode()
    assert heard == [(b"HSET", META, b"pe", old, b"ps", b"5", b"e", epoch)]
    assert relapse.engine.effects.changes == changes + 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"lb:{arcade}:meta", {b"s": b"1", b"e": b"abc"}),
        (b"chan:{odd}:meta", {b"s": b"1"}),
        (b"chan:{odd}:meta", {b"e": b"abc"}),
        (b"chan:{odd}:meta", {b"s": b"x", b"e": b"abc"}),
        (b"chan:{odd}:meta", {b"s": b"1", b"e": b"\xff"}),
        (b"chan:{odd}:meta", b"text"),
        (b"chan:{odd}", {b"s": b"1", b"e": b"abc"}),
    ],
)
def test_what_is_no_position_of_a_channel_stays_as_it_is(
    relapse: Relapse, key: bytes, value: bytes | dict[bytes, bytes]
) -> None:
    before = dict(value) if isinstance(value, dict) else value
    relapse.engine.keyspace.put(key, value, relapse.clock() + MINUTE)
    assert relapse.engine.channels.renew_epochs() == 1
    assert relapse.engine.keyspace.get(key, relapse.clock()) == before
