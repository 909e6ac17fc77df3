"""Sorted sets against the naive model: a dict that is sorted at every question."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine import rankedlist, sortedset
from engine.rankedlist import RankedList
from engine.sortedset import SortedSet
from engine.sortkey import prefix_of, score_of

SCORES = st.one_of(
    st.floats(allow_nan=False),
    st.integers(-3, 3).map(float),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, math.inf, -math.inf, 2.0**53, 0.1]),
)
MEMBERS = st.binary(max_size=3)


class AgainstModel(RuleBasedStateMachine):
    """Random verbs on a set and on its model; every question must have one answer."""

    def __init__(self) -> None:
        super().__init__()
        self.set = SortedSet()
        self.model: dict[bytes, float] = {}

    def rows(self) -> list[tuple[bytes, float]]:
        return sorted(self.model.items(), key=lambda row: (row[1], row[0]))

    @rule(member=MEMBERS, score=SCORES)
    def add(self, member: bytes, score: float) -> None:
        changed = self.model.get(member) != score
        assert self.set.add(member, score) == changed
        self.model[member] = score + 0.0

    @rule(member=MEMBERS, score=SCORES)
    def move(self, member: bytes, score: float) -> None:
        rows = self.rows()
        left = next((at for at, row in enumerate(rows) if row[0] == member), None)
        self.model[member] = score + 0.0
        entered = self.rows().index((member, score + 0.0))
        assert self.set.move(member, score) == (left, entered)

    @rule(data=st.data(), score=SCORES)
    def move_one_that_is_there(self, data: st.DataObject, score: float) -> None:
        if self.model:
            self.move(data.draw(st.sampled_from(sorted(self.model))), score)

    @rule(member=MEMBERS)
    def remove(self, member: bytes) -> None:
        assert self.set.remove(member) == (self.model.pop(member, None) is not None)

    @rule(member=MEMBERS, reverse=st.booleans())
    def look(self, member: bytes, reverse: bool) -> None:
        order = [name for name, _ in self.rows()]
        if reverse:
            order.reverse()
        expected = order.index(member) if member in order else None
        assert self.set.index(member, reverse=reverse) == expected
        assert self.set.score(member) == self.model.get(member)
        assert (member in self.set) == (member in self.model)

    @rule(start=st.integers(-2, 20), stop=st.integers(-2, 20), reverse=st.booleans())
    def slice(self, start: int, stop: int, reverse: bool) -> None:
        rows = self.rows()
        if reverse:
            rows.reverse()
        assert self.set.slice(start, stop, reverse=reverse) == rows[max(0, start) : max(0, stop)]

    @rule(low=SCORES, high=SCORES)
    def within(self, low: float, high: float) -> None:
        inside = [row for row in self.rows() if low <= row[1] <= high]
        assert self.set.count(low, high) == len(inside)
        assert self.set.slice(*self.set.by_score(low, high)) == inside

    @invariant()
    def holds(self) -> None:
        self.set._check()
        assert list(self.set) == self.rows()
        assert len(self.set) == len(self.model)


class LongAgainstModel(AgainstModel):
    """The same, with sets of a `RankedList`."""

    MEMBERS = 500
    LOAD = rankedlist.LOAD

    def __init__(self) -> None:
        super().__init__()
        self.model = {b"%d" % n: float(n % 7) for n in range(self.MEMBERS)}
        self.set = SortedSet(self.model.items())
        self.set._order = RankedList(list(self.set._order), self.LOAD)
        self.set._bisect = RankedList.bisect_left


class SplitAgainstModel(LongAgainstModel):
    """The same, with runs so short that a handful of members splits and joins them, and that
    there are several blocks of them."""

    MEMBERS = 300
    LOAD = 4


TestSmall = AgainstModel.TestCase
TestSplit = SplitAgainstModel.TestCase
TestSplit.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestLong = LongAgainstModel.TestCase
TestLong.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@given(SCORES, SCORES)
def test_the_prefix_orders_as_the_score_does(left: float, right: float) -> None:
    a, b = prefix_of(left), prefix_of(right)
    assert (a < b, a == b) == (left < right, left == right)
    assert score_of(a) == left
    assert math.copysign(1, score_of(prefix_of(-0.0))) == 1


def test_a_set_grows_one_by_one_past_the_plain_list() -> None:
    grown = SortedSet()
    for n in range(sortedset.PLAIN_LIMIT * 3):
        grown.add(b"%d" % (n * 7919 % 10_007), n % 100)
    grown._check()
    for n in range(sortedset.PLAIN_LIMIT * 3):
        assert grown.remove(b"%d" % (n * 7919 % 10_007))
    grown._check()
    assert not grown


@pytest.mark.parametrize("members", [0, 3, 2_100])
@pytest.mark.parametrize("changed", [1, 5, 2_000])
def test_many_scores_at_once_are_as_one_by_one(members: int, changed: int) -> None:
    rows = [(b"m%d" % number, float(number % 7)) for number in range(members)]
    scores = {b"m%d" % (3 * number): float(number % 11) for number in range(changed)}
    at_once, one_by_one = SortedSet(rows), SortedSet(rows)
    at_once.update(scores)
    for member, score in scores.items():
        one_by_one.add(member, score)
    at_once._check()
    assert list(at_once) == list(one_by_one)
    assert at_once.index(b"m0") == one_by_one.index(b"m0")
    assert at_once.below(5.0) == one_by_one.below(5.0)


@pytest.mark.parametrize("members", [0, 2_100])
def test_nan_is_no_score_among_many(members: int) -> None:
    board = SortedSet((b"m%d" % number, 1.0) for number in range(members))
    with pytest.raises(ValueError, match="a score must be a number"):
        board.update({b"m": math.nan})
    assert len(board) == members
    board._check()


@pytest.mark.parametrize("limit", [0, 1, 3, 4, 5, 17, 100])
@pytest.mark.parametrize("start", [0, 1, 1_023, 1_024, 1_999, 2_000])
def test_slices_of_many_runs_and_blocks(start: int, limit: int) -> None:
    keys = [prefix_of(float(number - 1_000)) + b"m" for number in range(2_000)]
    order = RankedList(keys, load=4)
    order._check()
    assert order[start : start + limit] == keys[start : start + limit]
    assert len(order) == 2_000


def test_a_score_beyond_all_others_is_found_behind_them() -> None:
    """The bytes after those of infinity are no number."""
    board = SortedSet((b"m%d" % number, math.inf) for number in range(2_100))
    assert board.below(math.inf) == 0
    assert board.below(math.inf, inclusive=True) == 2_100
    assert board.count(math.inf, math.inf) == 2_100


def test_nan_is_no_score() -> None:
    with pytest.raises(ValueError, match="number"):
        SortedSet().add(b"m", math.nan)
