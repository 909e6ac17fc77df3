"""Scores of large sorted sets are noted and brought in later: nobody can tell."""

from __future__ import annotations

import random

import pytest

from engine.keyspace import Keyspace
from engine.persistence import replay_state
from engine.persistence.errors import Malformed
from engine.persistence.replay import Replay
from engine.sortedset import SortedSet
from tests.persistence.foreign import commands
from tests.persistence.samples import NOW, plain


@pytest.fixture
def noting(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second member on."""
    monkeypatch.setattr(replay_state, "LARGE", 1)
    monkeypatch.setattr(replay_state, "MOST_NOTED", 2)


def after(*written: str) -> Keyspace:
    keyspace = Keyspace()
    replay = Replay(keyspace, now=NOW)
    replay.apply([command.encode().split() for command in written])
    replay.settle()
    for value in keyspace.values.values():
        if isinstance(value, SortedSet):
            value._check()
    return keyspace


def rows(keyspace: Keyspace, key: bytes) -> list[tuple[bytes, float]]:
    board = keyspace.values[key]
    assert isinstance(board, SortedSet)
    return list(board)


@pytest.mark.usefixtures("noting")
@pytest.mark.parametrize(
    ("command", "key", "expected"),
    [
        ("ZADD z 5 c", b"z", [(b"b", 2.0), (b"a", 3.0), (b"c", 5.0)]),
        ("ZADD z GT 1 b", b"z", [(b"b", 2.0), (b"a", 3.0)]),
        ("ZADD z 5 c 1 d", b"z", [(b"d", 1.0), (b"b", 2.0), (b"a", 3.0), (b"c", 5.0)]),
        ("ZINCRBY z 1 b", b"z", [(b"a", 3.0), (b"b", 3.0)]),
        ("ZREM z b", b"z", [(b"a", 3.0)]),
        ("ZPOPMIN z", b"z", [(b"a", 3.0)]),
        ("ZREMRANGEBYRANK z 1 1", b"z", [(b"b", 2.0)]),
        ("ZRANGESTORE y z 0 0", b"y", [(b"b", 2.0)]),
        ("COPY z y", b"y", [(b"b", 2.0), (b"a", 3.0)]),
        ("RENAME z y", b"y", [(b"b", 2.0), (b"a", 3.0)]),
        ("PERSIST z", b"z", [(b"b", 2.0), (b"a", 3.0)]),
    ],
)
def test_every_command_meets_the_scores_that_came_before(
    command: str, key: bytes, expected: list[tuple[bytes, float]]
) -> None:
    assert rows(after("ZADD z 1 a", "ZADD z 2 b", "ZADD z 3 a", command), key) == expected


@pytest.mark.usefixtures("noting")
def test_what_was_noted_goes_with_the_key() -> None:
    made = after("ZADD z 1 a", "ZADD z 2 b", "DEL z", "ZADD z 3 c", "ZADD z 4 d")
    assert rows(made, b"z") == [(b"c", 3.0), (b"d", 4.0)]
    assert not after("ZADD z 1 a", "ZADD z 2 b", "DEL z").values


@pytest.mark.usefixtures("noting")
def test_more_sets_than_are_noted_at_a_time() -> None:
    made = after(*(f"ZADD z{key} {score} m{score}" for score in range(5) for key in range(5)))
    for key in range(5):
        assert rows(made, b"z%d" % key) == [(b"m%d" % score, float(score)) for score in range(5)]


@pytest.mark.usefixtures("noting")
def test_a_score_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(Malformed):
        after("ZADD z 1 a", "ZADD z nan a")


@pytest.mark.parametrize("seed", range(4))
def test_noting_changes_nothing(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    draw = random.Random(seed)
    drawn = [[str(part).encode() for part in each] for _ in range(400) for each in commands(draw)]
    found = []
    for large in (1, 1_000_000):
        monkeypatch.setattr(replay_state, "LARGE", large)
        keyspace = Keyspace()
        replay = Replay(keyspace, now=NOW)
        for command in drawn:
            try:
                replay.apply([command])
            except Malformed:
                continue
        replay.settle()
        found.append(plain(keyspace.items(0)))
    assert found[0] == found[1]
    assert len(found[0]) > 10
