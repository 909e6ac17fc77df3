"""Sets in which who was first is first, where the model of boards does not reach."""

from __future__ import annotations

import pytest

from engine import entries
from engine.clock import ManualClock
from engine.engine import Engine
from engine.placedset import PlacedSet
from engine.ranking import Ranking, Submit
from engine.sortedset import SortedSet


def names(board: SortedSet, *, reverse: bool = False) -> list[bytes]:
    return [member for member, _ in board.slice(0, len(board), reverse=reverse)]


def test_places_never_go_back_with_the_clock() -> None:
    board = PlacedSet()
    for member, now in ((b"c", 100), (b"b", 50), (b"a", 101)):
        board.reach(member, 1.0, now)
    board._check()
    assert names(board) == names(board, reverse=True) == [b"c", b"b", b"a"]


def test_a_stored_set_is_taken_over_with_its_places() -> None:
    board = PlacedSet()
    for number in range(1_000):
        board.reach(b"m%03d" % (number * 7 % 1_000), float(number % 3), number)
    loaded = PlacedSet.of(SortedSet(board))
    loaded._check()
    assert list(loaded) == list(board)
    assert names(loaded, reverse=True) == names(board, reverse=True)
    loaded.reach(b"last", 2.0, 0)
    assert loaded.index(b"last", reverse=True) == sum(1 for n in range(1_000) if n % 3 == 2)


def test_who_has_no_place_stands_first_and_costs_nothing() -> None:
    board = PlacedSet.of(SortedSet([(b"b", 1.0), (b"a", 1.0), (b"\xff", 1.0)]))
    board._check()
    assert board.placed == 0
    board.reach(b"0", 1.0, 5)
    assert names(board, reverse=True) == [b"a", b"b", b"\xff", b"0"]
    assert not board.remove(b"nobody")


def test_a_member_does_not_move_without_a_time() -> None:
    with pytest.raises(TypeError, match="at some time"):
        PlacedSet().add(b"a", 1.0)


def test_a_board_remembers_so_many_ids_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MOST_IDS", 10)
    monkeypatch.setattr(entries, "IDS_FORGOTTEN", 3)
    clock = ManualClock()
    engine = Engine(clock)
    sums = Ranking(keep="sum")
    for number in range(30):
        clock.advance(1)
        engine.boards.submit(b"z", sums, Submit(b"a", 1.0, None, b"i%d" % number))
        ids = engine.keyspace.values[b"z" + entries.IDS]
        assert isinstance(ids, SortedSet)
        assert len(ids) <= 10
    assert engine.boards.submit(b"z", sums, Submit(b"a", 1.0, None, b"i29")).repeated
    assert not engine.boards.submit(b"z", sums, Submit(b"a", 1.0, None, b"i0")).repeated
