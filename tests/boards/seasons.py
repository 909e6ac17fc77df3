"""Random steps on a board that has seasons, and on its model: a list of those that are over."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from realtime.backends.base import (
    Board,
    Closed,
    Entry,
    OutOfBounds,
    Page,
    Ranking,
    Season,
    SeasonOver,
    SortedSets,
    Submit,
)
from realtime.backends.keys import archive_key
from tests.boards.against import KEY, MEMBERS, members, pauses, rankings, submits
from tests.boards.model import Model

__all__ = ["SeasonsAgainstModel"]

OTHER = Board(KEY + b"=other", Ranking())
"""Has no seasons, and no score that is not in the board, too."""

spans = st.none() | st.integers(-5, 60).map(lambda n: n * 1000)

Ask = Callable[[Coroutine[Any, Any, Any]], Any]


class SeasonsAgainstModel(RuleBasedStateMachine):
    """Give it a store: ``sets``, a way to ask it, and a clock that stands still."""

    sets: SortedSets
    ask: Ask

    @initialize(ranking=rankings, span=spans)
    def begin(self, ranking: Ranking, span: int | None) -> None:
        self.model = Model(replace(ranking, seasonal=True))
        self.other = Model(OTHER.ranking)
        self.over: list[tuple[Closed, Ranking, list[Entry]]] = []
        self.season = Season(1, self.now(), self.after(span))
        assert self.ask(self.sets.set_season(self.board, self.season.ends)) == self.season

    def now(self) -> int:
        raise NotImplementedError

    def pass_time(self, duration: int) -> None:
        raise NotImplementedError

    def after(self, span: int | None) -> int | None:
        return None if span is None else self.now() + span

    @property
    def board(self) -> Board:
        return Board(KEY, self.model.ranking)

    @property
    def is_over(self) -> bool:
        return self.season.ends is not None and self.season.ends <= self.now()

    # Steps

    @rule(entries=st.lists(submits, max_size=4), overtaken=st.sampled_from([0, 2]))
    def submit(self, entries: list[Submit], overtaken: int) -> None:
        def model() -> Any:
            return self.model.submit(entries, overtaken, self.now())

        self.write(lambda: self.sets.submit(self.board, entries, overtaken=overtaken), model)

    @rule(entry=submits)
    def submit_to_another_too(self, entry: Submit) -> None:
        def model() -> Any:
            answers = self.model.submit([entry], 0, self.now())
            return self.other.submit([entry], 0, self.now()) + answers

        self.write(lambda: self.sets.submit_to([OTHER, self.board], [entry]), model)

    @rule(member=members)
    def remove(self, member: bytes) -> None:
        def model() -> Any:
            self.model.expire(self.now())
            return self.model.remove(member)

        self.write(lambda: self.sets.remove(self.board, member), model)

    def write(self, work: Callable[[], Any], model: Callable[[], Any]) -> None:
        """It happens in the season that has not ended, or not at all."""
        if self.is_over:
            try:
                self.ask(work())
            except SeasonOver as over:
                found = (over.key, over.number, over.ended, over.now)
                assert found == (KEY, self.season.number, self.season.ends, self.now())
                return
            raise AssertionError(f"something was written after the end of {self.season}")
        try:
            expected = model()
        except OutOfBounds:
            try:
                self.ask(work())
            except OutOfBounds:
                return
            raise AssertionError("what is out of bounds was taken") from None
        assert self.ask(work()) == expected

    @rule(duration=pauses | st.integers(-30, 10).map(lambda n: n * 1000))
    def wait(self, duration: int) -> None:
        self.pass_time(duration)

    @rule(span=spans)
    def let_it_end_otherwise(self, span: int | None) -> None:
        self.season = self.season._replace(ends=self.after(span))
        assert self.ask(self.sets.set_season(self.board, self.season.ends)) == self.season

    @rule(span=spans, force=st.booleans(), late=st.sampled_from([0, 0, 0, 1, 2]))
    def roll(self, span: int | None, force: bool, late: int) -> None:
        """Somebody who is ``late`` has a season in mind that is over already."""
        now, season = self.now(), self.season
        ended = season.ends if self.is_over and season.ends is not None else now
        begins, ended = ended, max(season.began, ended)
        following = Season(season.number + 1, ended, self.after(span))
        number = season.number - late
        found = self.ask(
            self.sets.roll(
                self.board, number, begins=begins, ends=following.ends, rules=b"r", force=force
            )
        )
        if late or not (self.is_over or force):
            assert found is None
            return
        self.model.expire(min(ended, now))
        order = self.model.entries(self.model.order(), noted=True)
        assert found == Closed(number, season.began, ended, len(order))
        self.over.append((found, self.model.ranking, order))
        self.model.rows.clear()
        self.season = following

    @rule(member=members, back=st.integers(1, 3))
    def erase(self, member: bytes, back: int) -> None:
        """Whoever was in one of the latest seasons."""
        if back > len(self.over):
            return
        closed, ranking, rows = self.over[-back]
        board = Board(KEY, as_archived(ranking))
        left = [entry for entry in rows if entry.member != member]
        done = self.ask(self.sets.erase(board, closed.number, member))
        assert done is (len(left) < len(rows))
        self.over[-back] = (closed, ranking, ranked_anew(left, ranking))

    # What holds

    @invariant()
    def every_season_has_its_scores(self) -> None:
        if not hasattr(self, "model"):
            return
        now = self.now()
        assert self.ask(self.sets.season(self.board)) == (self.season, now)
        self.model.expire(now)
        rows = self.model.entries(self.model.order(), noted=True)
        found = self.ask(self.sets.page(self.board, 0, len(MEMBERS), metadata=True))
        assert found == Page(len(rows), rows)
        for closed, ranking, rows in self.over[-3:]:
            archive = Board(archive_key(KEY, closed.number), as_archived(ranking))
            found = self.ask(self.sets.page(archive, 0, len(MEMBERS), metadata=True))
            assert found == Page(len(rows), rows)
        assert self.ask(self.sets.size(OTHER)) == len(self.other.rows)


def as_archived(ranking: Ranking) -> Ranking:
    return replace(ranking, seasonal=False, entry_ttl=None, max_entries=None)


def ranked_anew(rows: list[Entry], ranking: Ranking) -> list[Entry]:
    """With the ranks that they have without those who are gone."""
    scores = [entry.score for entry in rows]
    ranks = {
        "ordinal": range(1, len(rows) + 1),
        "competition": [scores.index(score) + 1 for score in scores],
        "dense": [list(dict.fromkeys(scores)).index(score) + 1 for score in scores],
    }[ranking.ranks]
    return [entry._replace(rank=rank) for entry, rank in zip(rows, ranks, strict=True)]
