"""Leaderboards in Redis: sorted sets, and the hash of their members' metadata beside them.

The scripts decide and store. What became of a score is then told from the score before it, by
the arithmetic of `engine.ranking` itself, so that both backends answer the same: the same
doubles, the same errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any

from engine.ranking import counting_score
from realtime.backends.base import Board, Entry, Page, Ranking, Standing, Submission, Submit
from realtime.backends.keys import META
from realtime.backends.redis.calls import Calls
from realtime.backends.redis.scripts import load
from realtime.backends.redis.typed import TypedCalls

__all__ = ["SortedSets"]

SUBMIT = load("board_submit", "_board", "_submit", writes=True)
SUBMIT_MANY = load("board_submit_many", "_chunks", "_board", "_submit", writes=True)
REMOVE = load("board_remove", writes=True)
STANDING = load("board_standing", "_board", writes=False)
PAGE = load("board_page", "_chunks", "_board", writes=False)
PAGE_BY_SCORE = load("board_page_by_score", "_chunks", "_board", writes=False)
AROUND = load("board_around", "_chunks", "_board", writes=False)
MEMBERS = load("board_members", "_chunks", "_board", writes=False)

_new = tuple.__new__  # half the time of a named tuple's own constructor; a page has many rows

Score = bytes | None
"""A score as Redis writes it, None where there is none."""


class SortedSets:
    """See `realtime.backends.base.SortedSets`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = TypedCalls(calls, "zset")

    async def submit(self, board: Board, entries: Sequence[Submit]) -> list[Submission]:
        if len(entries) != 1:
            return await self._submit_many([board], entries)
        member, score, note = entry = entries[0]
        words = [member, _double(score)] if note is None else [member, _double(score), note]
        keys = _keys(board, note is not None or board.ranking.max_entries is not None)
        answer = await self._calls.run(SUBMIT, keys, *_rules(board.ranking), *words)
        if len(answer) == 1:
            raise _refusal(board.ranking, entry, answer[0])
        return [_submission(board.ranking, entry, *answer)]

    async def submit_to(self, boards: Sequence[Board], entry: Submit) -> list[Submission]:
        if len({board.key for board in boards}) != len(boards):
            raise ValueError("the same board is named twice")
        return await self._submit_many(boards, [entry]) if boards else []

    async def remove(self, board: Board, member: bytes) -> bool:
        removed: int = await self._calls.run(REMOVE, _keys(board), member)
        return removed > 0

    async def size(self, board: Board) -> int:
        size: int = await self._calls.command(board.key, b"ZCARD", board.key)
        return size

    async def standing(self, board: Board, member: bytes) -> Standing | None:
        answer = await self._calls.run(STANDING, _keys(board), *_rules(board.ranking)[:2], member)
        if answer is None:
            return None
        total, rank, score, note = answer
        return Standing(Entry(rank, member, float(score), note), total)

    async def page(self, board: Board, offset: int, limit: int, *, metadata: bool = False) -> Page:
        bounds = (b"%d" % max(0, offset), b"%d" % (offset + limit - 1))
        answer = await self._calls.run(
            PAGE, _keys(board, metadata), *_shown(board, metadata), *bounds
        )
        return _page(*answer)

    async def page_by_score(
        self,
        board: Board,
        minimum: float,
        maximum: float,
        offset: int,
        limit: int,
        *,
        metadata: bool = False,
    ) -> Page:
        bounds = (_double(minimum), _double(maximum), b"%d" % offset, b"%d" % limit)
        return _page(
            *await self._calls.run(
                PAGE_BY_SCORE, _keys(board, metadata), *_shown(board, metadata), *bounds
            )
        )

    async def members(
        self, board: Board, members: Sequence[bytes], *, metadata: bool = False
    ) -> Page:
        wanted = list(dict.fromkeys(members))
        total, scores, ranks, *notes = await self._calls.run(
            MEMBERS, _keys(board, metadata), *_shown(board, metadata), *wanted
        )
        entries = [
            _new(Entry, (rank, member, float(score), note))
            for rank, member, score, note in zip(
                ranks, wanted, scores, notes[0] if notes else repeat(None), strict=False
            )
            if score is not None
        ]
        entries.sort(
            key=lambda entry: (entry.score, entry.member), reverse=board.ranking.descending
        )
        return Page(total, entries)

    async def around(
        self, board: Board, member: bytes, radius: int, *, metadata: bool = False
    ) -> Page | None:
        answer = await self._calls.run(
            AROUND, _keys(board, metadata), *_shown(board, metadata), member, b"%d" % radius
        )
        return None if answer is None else _page(*answer)

    async def _submit_many(
        self, boards: Sequence[Board], entries: Sequence[Submit]
    ) -> list[Submission]:
        keys = [key for board in boards for key in _keys(board)]
        words = [word for board in boards for word in _rules(board.ranking)]
        for member, score, note in entries:
            words += (member, _double(score), b"" if note is None else b"+" + note)
        answers = await self._calls.run(SUBMIT_MANY, keys, *words)
        if type(answers[0]) is int:
            number, refused, before = answers
            raise _refusal(boards[number - 1].ranking, entries[refused - 1], before)
        return [
            _submission(board.ranking, *row)
            for board, answer in zip(boards, answers, strict=True)
            for row in zip(entries, *answer, strict=True)
        ]


def _keys(board: Board, metadata: bool = True) -> tuple[bytes, ...]:
    """The keys of a step. While a slot moves between two servers, a step on several keys has to
    wait until all have come, also for one that does not exist: none is named without need."""
    return (board.key, board.key + META) if metadata else (board.key,)


@lru_cache(maxsize=4096)
def _rules(ranking: Ranking) -> tuple[bytes, ...]:
    """The rules as the scripts take them; what there is no bound for is empty."""
    bounds = (ranking.min_score, ranking.max_score)
    return (
        b"desc" if ranking.descending else b"asc",
        b"competition" if ranking.competition else b"ordinal",
        ranking.keep.encode(),
        b"" if ranking.max_entries is None else b"%d" % ranking.max_entries,
        *(b"" if bound is None else _double(bound) for bound in bounds),
    )


def _shown(board: Board, metadata: bool) -> tuple[bytes, ...]:
    order, ranks, *_ = _rules(board.ranking)
    return order, ranks, b"1" if metadata else b"0"


def _double(number: float) -> bytes:
    """The shortest text that reads back as the same double; never -0.0."""
    return repr(number + 0.0).encode()


def _submission(
    ranking: Ranking, entry: Submit, stored: Score, previous: int | None, rank: int | None
) -> Submission:
    before = None if stored is None else float(stored)
    score = counting_score(ranking, before, entry.score)
    return _new(Submission, (entry.member, score, rank, previous, before, score != before))


def _refusal(ranking: Ranking, entry: Submit, stored: Score) -> Exception:
    """What the engine raises for a score that the script has found out of bounds."""
    try:
        counting_score(ranking, None if stored is None else float(stored), entry.score)
    except ValueError as refused:
        return refused
    return AssertionError(f"the script refused {entry} of {stored!r}")


def _page(
    total: int, first: int, shared: int | None, rows: list[bytes], notes: list[Any] | None = None
) -> Page:
    scores = [float(score) for score in rows[1::2]]
    ranks: Iterable[int] = range(first + 1, first + 1 + len(scores))
    if shared is not None:
        ranks = _shared_ranks(shared, first + 1, scores)
    cells = zip(ranks, rows[::2], scores, notes or repeat(None), strict=False)
    return Page(total, [_new(Entry, row) for row in cells])


def _shared_ranks(shared: int, number: int, scores: list[float]) -> Iterator[int]:
    """The ranks of consecutive rows where equal scores share one; that of the first is known."""
    last = scores[0]
    for at, score in enumerate(scores, number):
        if score != last:
            shared, last = at, score
        yield shared
