"""Verbs at their edges: what the models and the conformance text do not reach."""

from __future__ import annotations

import pytest

from engine.channels import epoch_letters
from engine.clock import SECOND, ManualClock
from engine.engine import Engine
from engine.errors import OutOfBounds, WrongType
from engine.limits import FixedWindow, LimitRule, SlidingWindow, TokenBucket
from engine.ranking import Ranking, Submit
from engine.stream import Stream


def test_a_bucket_under_a_foreign_value_is_refused_and_left_alone() -> None:
    engine = Engine(ManualClock())
    engine.hashes.put(b"k", {b"f": b"v"})
    for rule in (TokenBucket(1, 1, 1), FixedWindow(1, 1), SlidingWindow(1, 1)):
        with pytest.raises(WrongType, match="holds a hash"):
            engine.buckets.take(b"k", rule)
        with pytest.raises(WrongType, match="holds a hash"):
            engine.buckets.take_all([(b"k", rule, 1)])
    assert engine.hashes.get(b"k") == {b"f": b"v"}


def test_a_bucket_that_came_without_a_deadline_gets_one() -> None:
    """A key copied by hand into Redis may have lost its expiry; it must not stay for ever."""
    clock = ManualClock()
    engine = Engine(clock)
    engine.keyspace.put(b"k", clock() + SECOND)
    assert engine.buckets.take(b"k", TokenBucket(5, 5 * SECOND, 5)).remaining == 3
    assert engine.keyspace.deadline(b"k") == clock() + 2 * SECOND
    engine.keyspace._check()


@pytest.mark.parametrize("rule", [FixedWindow(1, 1), SlidingWindow(1, 1), TokenBucket(1, 1, 1)])
def test_what_another_algorithm_left_is_no_debt(rule: LimitRule) -> None:
    engine = Engine(ManualClock())
    for text in (b"1", b"1 2", b"1 2 0"):
        engine.strings.set(b"k", text)
        assert engine.buckets.take(b"k", rule, 0).remaining in (0, 1)


def test_every_spent_token_is_announced() -> None:
    engine = Engine(ManualClock())
    heard: list[tuple[bytes, ...]] = []
    engine.effects.listen(heard.append)
    for _ in range(2):
        engine.buckets.take(b"k", TokenBucket(1, SECOND, 3))
    assert [effect[2:] for effect in heard] == [
        (b"1700000001000000", b"PXAT", b"1700000001000"),
        (b"1700000002000000", b"PXAT", b"1700000002000"),
    ]


def test_a_counter_is_set_within_64_bits() -> None:
    engine = Engine(ManualClock())
    with pytest.raises(OutOfBounds):
        engine.counters.set(b"c", 2**63)
    assert engine.counters.get(b"c") is None


def test_a_board_named_twice_is_refused() -> None:
    engine = Engine(ManualClock())
    with pytest.raises(ValueError, match="twice"):
        engine.boards.submit_many([(b"z", Ranking())] * 2, [Submit(b"m", 1)])
    assert engine.boards.size(b"z") == 0


def test_an_ascending_competition_counts_those_below() -> None:
    engine = Engine(ManualClock())
    lowest = Ranking(descending=False, ranks="competition")
    engine.boards.submit_many([(b"z", lowest)], [Submit(b"a", 1), Submit(b"b", 1), Submit(b"c", 2)])
    page = engine.boards.page(b"z", lowest, 0, 10)
    assert [entry.rank for entry in page.entries] == [1, 1, 3]


def test_members_without_metadata_and_pages_without_order() -> None:
    engine = Engine(ManualClock())
    rules = Ranking(descending=False)
    engine.boards.submit_many([(b"z", rules)], [Submit(b"a", 1), Submit(b"b", 2, b"{}")])
    page = engine.boards.page_by_score(b"z", rules, (0, 1), 0, 5)
    assert (page.total, [entry.member for entry in page.entries]) == (1, [b"a"])
    assert engine.boards.submit_many([(b"z", rules)], []) == []
    assert engine.boards.submit_many([(b"z", rules)], [Submit(b"a", 5)])[0].changed is False


def test_a_submit_over_the_edge_of_a_full_board_says_where_it_is_now() -> None:
    engine = Engine(ManualClock())
    full = Ranking(max_entries=1)
    assert engine.boards.submit(b"z", full, Submit(b"a", 5)).rank == 1
    answer = engine.boards.submit(b"z", full, Submit(b"b", 3))
    assert (answer.rank, answer.changed) == (None, True)
    assert engine.boards.submit(b"z", full, Submit(b"c", 9)).rank == 1
    assert engine.boards.size(b"z") == 1


def test_a_stream_only_grows_and_counts_what_it_ever_held() -> None:
    stream = Stream()
    for number in range(1, 5):
        stream.append((number, 0), (b"d", b"%d" % number))
    stream._check()
    assert (len(stream), stream.trim(2), len(stream), stream.added) == (4, 2, 2, 4)
    assert [entry_id for entry_id, _ in stream.after((3, 0))] == [(4, 0)]
    assert [entry_id for entry_id, _ in stream.before((4, 0))] == [(3, 0)]
    with pytest.raises(ValueError, match="not above"):
        stream.append((4, 0), ())


def test_an_epoch_is_eight_letters() -> None:
    assert epoch_letters(lambda n: n - 1) == "ZZZZZZZZ"
    drawn = Engine(ManualClock()).channels.history(b"c").position.epoch
    assert len(drawn) == 8 and drawn.isalpha()
