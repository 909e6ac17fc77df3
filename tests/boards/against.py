"""Random steps on a board and on its model: every question must have one answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from realtime.backends.base import (
    Board,
    EntryPosition,
    OutOfBounds,
    Page,
    Ranking,
    SortedSets,
    Submit,
)
from tests.boards.model import DAY, Model

__all__ = ["KEY", "AgainstModel"]

KEY = b"lb:{arcade}"

rankings = st.builds(
    Ranking,
    descending=st.booleans(),
    keep=st.sampled_from(["best", "latest", "sum"]),
    ranks=st.sampled_from(["ordinal", "competition", "dense"]),
    max_entries=st.none() | st.integers(4, 10),
    min_score=st.none() | st.just(0.0),
    max_score=st.none() | st.just(4.0),
    ties=st.sampled_from(["member", "first"]),
    entry_ttl=st.none() | st.integers(20, 90).map(lambda n: n * 1000),
)
MEMBERS = [b"a", b"b", b"B", b"ab", b"z", "ä".encode(), b"a\x7f", b"0", b"c", b"d", b"e", b"f"]
members = st.sampled_from(MEMBERS)
scores = st.integers(-1, 4).map(float)
"""So few that many are equal."""
submits = st.builds(
    Submit,
    members,
    scores,
    st.none() | st.sampled_from([b"1", b"2"]),
    st.none() | st.none() | st.none() | st.sampled_from([b"i", b"j", b"k"]),
)
shares = st.integers(1, 12).flatmap(lambda n: st.integers(0, n).map(lambda m: 100 * m / n))
"""Per cent of so few entries as there are: what their members are told."""
pauses = st.integers(1, 20).map(lambda n: n * 1000)

Ask = Callable[[Coroutine[Any, Any, Any]], Any]


class AgainstModel(RuleBasedStateMachine):
    """Give it a store: ``sets``, a way to ask it, and a clock that stands still."""

    sets: SortedSets
    ask: Ask

    @initialize(ranking=rankings, draw=st.randoms(use_true_random=False))
    def begin(self, ranking: Ranking, draw: random.Random) -> None:
        self.model = Model(ranking)
        self.position: tuple[EntryPosition, Any] | None = None
        self.fill(draw)

    def now(self) -> int:
        raise NotImplementedError

    def pass_time(self, duration: int) -> None:
        raise NotImplementedError

    @property
    def board(self) -> Board:
        return Board(KEY, self.model.ranking)

    # Steps

    @rule(entry=submits, overtaken=st.sampled_from([0, 0, 1, 3]))
    def submit(self, entry: Submit, overtaken: int) -> None:
        self.submit_many([entry], overtaken)

    @rule(draw=st.randoms(use_true_random=False))
    def fill(self, draw: random.Random) -> None:
        """Everybody comes, in any order: a board that is nearly empty shows little."""
        names = draw.sample(MEMBERS, len(MEMBERS))
        self.submit_many([Submit(name, float(draw.randrange(4))) for name in names], 0)

    @rule(entries=st.lists(submits, max_size=5), overtaken=st.sampled_from([0, 2]))
    def submit_many(self, entries: list[Submit], overtaken: int) -> None:
        work = self.sets.submit(self.board, entries, overtaken=overtaken)
        try:
            expected = self.model.submit(entries, overtaken, self.now())
        except OutOfBounds:
            try:
                self.ask(work)
            except OutOfBounds:
                return
            raise AssertionError(f"{entries} were taken") from None
        assert self.ask(work) == expected

    @rule(member=members)
    def remove(self, member: bytes) -> None:
        self.model.expire(self.now())
        removed = self.model.remove(member)
        assert self.ask(self.sets.remove(self.board, member)) == removed

    @rule(duration=pauses)
    def wait(self, duration: int) -> None:
        self.pass_time(duration)

    @rule(often=st.integers(0, 9))
    def wait_a_day(self, often: int) -> None:
        if often == 0:
            self.pass_time(DAY)

    @rule(ranking=rankings, kept=st.booleans())
    def change_the_rules(self, ranking: Ranking, kept: bool) -> None:
        """As the service does. Often only some of them change."""
        old = self.model.ranking
        if kept:
            ranking = replace(ranking, ties=old.ties, entry_ttl=old.entry_ttl)
        self.model.expire(self.now())
        if ranking.ties != old.ties:
            self.ask(self.sets.size(self.board))
        if ranking.entry_ttl != old.entry_ttl:
            self._adapt(replace(ranking, entry_ttl=None))
        self._adapt(ranking)
        self.model.change(ranking, self.now())
        if ranking.ties != old.ties or ranking.descending != old.descending:
            self.position = None

    @rule(limit=st.integers(1, 4))
    def begin_to_page(self, limit: int) -> None:
        self.model.expire(self.now())
        found = self.ask(self.sets.onward(self.board, None, limit))
        order = self.model.order()
        assert found.page == Page(len(order), self.model.entries(order[:limit]))
        assert (found.end is not None) == (len(order) > limit)
        if found.end is not None:
            self.position = found.end, self.model.sort_key(order[limit - 1])

    @rule(limit=st.integers(1, 4))
    def page_on_from_one_who_moves(self, limit: int) -> None:
        """The place stays, whoever leaves it."""
        self.begin_to_page(limit)
        if len(self.model.rows) > limit:
            self.remove(self.model.order()[limit - 1])
            self.page_on(limit)

    @rule(limit=st.integers(1, 4))
    def page_on(self, limit: int) -> None:
        """What has moved meanwhile is there or not, but nothing stands there twice or is lost."""
        if self.position is None:
            return
        self.model.expire(self.now())
        position, key = self.position
        found = self.ask(self.sets.onward(self.board, position, limit))
        behind = self.model.stands_after(position, key)
        assert found.page.entries == self.model.entries(behind[:limit])
        assert (found.end is not None) == (len(behind) > limit)

    # Questions

    @invariant()
    def every_entry_has_its_rank(self) -> None:
        if not hasattr(self, "model"):
            return
        self.model.expire(self.now())
        order = self.model.order()
        page = self.ask(self.sets.page(self.board, 0, 100, metadata=True))
        assert page == Page(len(order), self.model.entries(order, noted=True))

    @rule(offset=st.integers(0, 8), limit=st.integers(1, 8))
    def pages(self, offset: int, limit: int) -> None:
        self.model.expire(self.now())
        order = self.model.order()
        page = self.ask(self.sets.page(self.board, offset, limit))
        assert page == Page(len(order), self.model.entries(order[offset : offset + limit]))

    @rule(low=scores, high=scores, offset=st.integers(0, 3), limit=st.integers(1, 5))
    def within_scores(self, low: float, high: float, offset: int, limit: int) -> None:
        self.model.expire(self.now())
        within = self.model.within(low, high)
        page = self.ask(self.sets.page_by_score(self.board, low, high, offset, limit))
        assert page == Page(len(within), self.model.entries(within[offset : offset + limit]))

    @rule(member=members, radius=st.integers(0, 4))
    def one_member(self, member: bytes, radius: int) -> None:
        self.model.expire(self.now())
        order = self.model.order()
        standing = self.ask(self.sets.standing(self.board, member))
        page = self.ask(self.sets.around(self.board, member, radius))
        if member not in order:
            assert standing is None and page is None
            return
        (entry,) = self.model.entries([member], noted=True)
        better = order.index(member)
        if self.model.ranking.ranks != "ordinal":
            better = self.model.better(entry.score)
        assert standing == (entry, len(order), better)
        names = self.model.around(order.index(member), radius, 2 * radius + 1)
        assert page == Page(len(order), self.model.entries(names))

    @rule(score=scores, radius=st.integers(1, 4))
    def around_a_score(self, score: float, radius: int) -> None:
        self.model.expire(self.now())
        names = self.model.around(self.model.better(score), radius, 2 * radius)
        page = self.ask(self.sets.around_score(self.board, score, radius))
        assert page == Page(len(self.model.rows), self.model.entries(names))

    @rule(names=st.lists(members, max_size=5))
    def some_members(self, names: list[bytes]) -> None:
        self.model.expire(self.now())
        there = [name for name in self.model.order() if name in names]
        page = self.ask(self.sets.members(self.board, names))
        assert page == Page(len(self.model.rows), self.model.entries(there))

    @rule(percentile=st.sampled_from([0.0, 1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 100.0]) | shares)
    def percentiles(self, percentile: float) -> None:
        self.model.expire(self.now())
        expected = self.model.at_percentile(percentile)
        found = self.ask(self.sets.at_percentile(self.board, percentile))
        names = [] if expected is None else [expected]
        assert found == Page(len(self.model.rows), self.model.entries(names))

    @rule(bounds=st.sets(scores, min_size=2, max_size=5).map(sorted))
    def histograms(self, bounds: list[float]) -> None:
        self.model.expire(self.now())
        assert self.ask(self.sets.histogram(self.board, bounds)) == self.model.histogram(bounds)

    @rule(buckets=st.integers(1, 5))
    def equal_buckets(self, buckets: int) -> None:
        self.model.expire(self.now())
        found = self.ask(self.sets.histogram(self.board, buckets))
        values = [row.score for row in self.model.rows.values()]
        if not values:
            assert found == (0, [], [], 0, 0)
            return
        assert (found.bounds[0], found.bounds[-1]) == (min(values), max(values))
        widths = {round(b - a, 6) for a, b in zip(found.bounds, found.bounds[1:], strict=False)}
        assert len(widths) == 1
        assert len(found.counts) == (buckets if min(values) < max(values) else 1)
        assert found == self.model.histogram(found.bounds)

    def _adapt(self, ranking: Ranking) -> None:
        at: int | None = 0
        while at is not None:
            at = self.ask(self.sets.adapt(Board(KEY, ranking), at))
