"""Boards of any rules are ordinary values: snapshots, journals and stores have all of them."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from engine.clock import ManualClock
from engine.engine import Engine
from engine.keyspace import Keyspace
from engine.persistence.commands import Command
from engine.persistence.replay import Replay
from engine.placedset import PlacedSet
from engine.ranking import Ranking, Submit
from engine.sortedset import SortedSet
from realtime.backends.base import Board
from tests.boards.against import KEY
from tests.persistence.samples import dumped, loaded, plain
from tests.redis.pair import Pair

FIRST = Ranking(ties="first", keep="latest")
RULES = [
    FIRST,
    Ranking(ties="first", descending=False, ranks="dense", keep="latest"),
    Ranking(ties="first", entry_ttl=50_000, max_entries=20, keep="latest"),
    Ranking(ranks="dense", entry_ttl=50_000),
]


def lived(ranking: Ranking) -> tuple[Engine, list[Command]]:
    """An engine with a board that has seen something, and what a journal has of it."""
    clock = ManualClock()
    engine = Engine(clock)
    effects: list[Command] = []
    engine.effects.listen(lambda effect: effects.append(list(effect)))
    draw = random.Random(7)
    for _ in range(400):
        member = b"m%d" % draw.randrange(30)
        if draw.random() < 0.1:
            engine.boards.remove(KEY, member, ranking)
        else:
            entry = Submit(member, float(draw.randrange(4)), b"1", b"i%d" % draw.randrange(9_999))
            engine.boards.submit(KEY, ranking, entry)
        clock.advance(draw.randrange(2_000))
    return engine, effects


def order(engine: Engine, ranking: Ranking) -> list[tuple[int, bytes, float]]:
    page = engine.boards.page(KEY, ranking, 0, 100)
    return [(entry.rank, entry.member, entry.score) for entry in page.entries]


def holding(engine: Engine, keyspace: Keyspace) -> Engine:
    """Another engine at the same time."""
    other = Engine(engine.clock)
    for key, value, deadline in keyspace.items(0):
        other.keyspace.put(key, value, deadline)
    return other


@pytest.mark.parametrize("ranking", RULES)
def test_a_snapshot_has_all_of_it(ranking: Ranking) -> None:
    engine, _ = lived(ranking)
    expected = order(engine, ranking)
    keyspace = Keyspace()
    for key, value, deadline in loaded(dumped(engine.keyspace.items(engine.clock()))):
        keyspace.put(key, value, deadline)
    reborn = holding(engine, keyspace)
    assert len(expected) > 9
    assert order(reborn, ranking) == expected
    board = reborn.keyspace.values[KEY]
    assert isinstance(board, PlacedSet) == (ranking.ties == "first")
    # Whoever comes now is behind all who have been there.
    reborn.boards.submit(KEY, ranking, Submit(b"new", 3.0))
    if ranking.ties == "first" and ranking.descending:
        first_worse = next((rank for rank, _, score in expected if score < 3), len(expected) + 1)
        assert (first_worse, b"new", 3.0) in order(reborn, ranking)


@pytest.mark.parametrize("ranking", RULES)
def test_a_journal_has_all_of_it(ranking: Ranking) -> None:
    engine, effects = lived(ranking)
    keyspace = Keyspace()
    replay = Replay(keyspace, now=0)
    replay.apply(effects)
    replay.settle()
    assert plain(keyspace.items(0)) == plain(engine.keyspace.items(0))
    assert order(holding(engine, keyspace), ranking) == order(engine, ranking)


def test_a_change_of_ties_is_in_the_journal() -> None:
    engine, effects = lived(FIRST)
    engine.boards.adapt(KEY, Ranking(), 0)
    expected = order(engine, Ranking())
    keyspace = Keyspace()
    replay = Replay(keyspace, now=0)
    replay.apply(effects)
    replay.settle()
    board = keyspace.values[KEY]
    assert isinstance(board, SortedSet)
    assert all(member[0] != 0xFF for member, _ in board)
    assert order(holding(engine, keyspace), Ranking()) == expected


@pytest.mark.parametrize("ranking", RULES)
def test_redis_goes_on_with_what_the_engine_stored(pair: Pair, ranking: Ranking) -> None:
    """Nothing of what Redis finds things by is there yet."""
    engine, _ = lived(ranking)
    pair.clock.advance(engine.clock() - pair.clock())
    for key, value, deadline in engine.keyspace.items(engine.clock()):
        for command in _commands(key, value):
            pair.client.execute_command(*command)
        if deadline is not None:
            pair.client.pexpireat(key, -(-deadline // 1000))
    board = Board(KEY, ranking)
    page = pair.run(pair.redis.sorted_sets.page(board, 0, 100))
    assert [(e.rank, e.member, e.score) for e in page.entries] == order(engine, ranking)
    member = page.entries[3].member
    mine = pair.run(pair.redis.sorted_sets.submit(board, [Submit(member, 3.5)]))
    theirs = engine.boards.submit(KEY, ranking, Submit(member, 3.5))
    assert mine == [theirs]


@pytest.mark.parametrize("ranking", RULES[2:])
def test_what_redis_finds_things_by_leaves_with_the_board(pair: Pair, ranking: Ranking) -> None:
    """Also if it was made when somebody looked, and nobody looks again."""
    board = Board(KEY, ranking)
    pair.run(pair.redis.sorted_sets.submit(board, [Submit(b"a", 1.0)]))
    indices = KEY + b":places", KEY + b":scores"
    assert pair.client.delete(*indices) == 1
    assert pair.run(pair.redis.sorted_sets.size(board)) == 1
    assert pair.client.exists(*indices) == 1
    pair.clock.advance(60_000)  # an eighth longer than the entry
    assert pair.client.exists(KEY, *indices) == 0


def test_the_engine_goes_on_with_what_redis_stored(pair: Pair) -> None:
    board = Board(KEY, FIRST)
    for member in (b"z", b"a", b"m"):
        pair.run(pair.redis.sorted_sets.submit(board, [Submit(member, 1.0)]))
    engine = Engine(pair.clock)
    for member, score in pair.client.zrange(KEY, 0, -1, withscores=True):
        engine.boards.submit(KEY, Ranking(), Submit(member, score))
    assert [member for _, member, _ in order(engine, FIRST)] == [b"z", b"a", b"m"]


def test_the_engine_drops_what_only_redis_finds_things_by() -> None:
    """It would be out of date when the board goes back there."""
    engine = Engine(ManualClock())
    engine.hashes.put(KEY + b":places", {b"": b"1", b"a": b"\xff12345678"})
    engine.boards.submit(KEY, FIRST, Submit(b"a", 1.0))
    assert set(engine.keyspace.values) == {KEY}


def _commands(key: bytes, value: object) -> Iterator[tuple[object, ...]]:
    if isinstance(value, dict):
        yield ("HSET", key, *(part for field in value.items() for part in field))
    else:
        for member, score in value:  # type: ignore[attr-defined]
            yield "ZADD", key, score, member
