"""Leaderboards: what a sorted set means to players.

A board is a sorted set with a `Ranking`: which end is first, which of a player's scores
counts, how equal scores share ranks, what is out of bounds, how many may stay. Ranks are
1-based. Ties are ordered as Redis orders them: by the member's bytes, mirrored on a
descending board.

Pure: works on a `SortedSet` that the caller holds. n is the number of entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple

from engine.errors import OutOfBounds
from engine.sortedset import Row, SortedSet

__all__ = ["Entry", "Keep", "Page", "Ranking", "Standing", "Submission", "Submit"]

Keep = Literal["best", "latest", "sum"]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The rules of one board; the defaults are those of a board never configured."""

    descending: bool = True
    keep: Keep = "best"
    competition: bool = False
    """Equal scores share a rank (1, 2, 2, 4); otherwise every entry has its own (1, 2, 3, 4)."""
    max_entries: int | None = None
    min_score: float | None = None
    max_score: float | None = None


class Submit(NamedTuple):
    """One score on its way in. ``metadata`` is stored if this score comes to count."""

    member: bytes
    score: float
    metadata: bytes | None = None


class Submission(NamedTuple):
    """What became of a submitted score; ranks are None where the member is not on the board."""

    member: bytes
    score: float
    """The score that counts now (for ``best``, not always the one submitted)."""
    rank: int | None
    previous_rank: int | None
    previous_score: float | None
    changed: bool


class Entry(NamedTuple):
    rank: int
    member: bytes
    score: float
    metadata: bytes | None = None


class Page(NamedTuple):
    """Some consecutive entries of one instant, and how many the board held then."""

    total: int
    entries: list[Entry]


class Standing(NamedTuple):
    """Where one member stands, and among how many."""

    entry: Entry
    total: int


_new = tuple.__new__  # half the time of a named tuple's own constructor; a submit is hot


def rank(board: SortedSet, ranking: Ranking, member: bytes) -> int | None:
    """The member's rank, or None. O(log n)."""
    if not ranking.competition:
        index = board.index(member, reverse=ranking.descending)
        return None if index is None else index + 1
    score = board.score(member)
    return None if score is None else _shared_rank(board, ranking, score)


def counting_score(ranking: Ranking, before: float | None, score: float) -> float:
    """The score that counts after ``score`` came in. Raises OutOfBounds."""
    if before is not None:
        if ranking.keep == "best":
            if (score <= before) is ranking.descending:
                score = before
        elif ranking.keep == "sum":
            score = before + score
    low, high = ranking.min_score, ranking.max_score
    if (low is not None and score < low) or (high is not None and score > high):
        raise OutOfBounds(f"score {score} is outside {low}..{high}", score)
    if not -inf < score < inf:
        raise OutOfBounds(f"score {score} is not a finite number", score)
    return score + 0.0  # never -0.0


def submit(board: SortedSet, ranking: Ranking, member: bytes, score: float) -> Submission:
    """Bring a score in, and answer both ranks. O(log n). Raises OutOfBounds."""
    before = board.score(member)
    score = counting_score(ranking, before, score)
    if score == before:
        place = rank(board, ranking, member)
        return _new(Submission, (member, score, place, place, before, False))
    if ranking.competition:
        previous = None if before is None else rank(board, ranking, member)
        board.add(member, score)
        return Submission(member, score, rank(board, ranking, member), previous, before, True)
    left, entered = board.move(member, score)
    if ranking.descending:
        size = len(board)
        entered = size - 1 - entered
        if left is not None:
            left = size - 1 - left  # whoever moves leaves the size as it was
    previous = None if left is None else left + 1
    return _new(Submission, (member, score, entered + 1, previous, before, True))


def surplus(board: SortedSet, ranking: Ranking) -> list[Row]:
    """The worst entries beyond ``max_entries``. O(log n + surplus)."""
    most = ranking.max_entries
    if most is None or len(board) <= most:
        return []
    return board.slice(most, len(board), reverse=ranking.descending)


def page(board: SortedSet, ranking: Ranking, offset: int, limit: int) -> Page:
    """Entries from ``offset`` (0-based, best first). O(log n + limit)."""
    rows = board.slice(offset, offset + limit, reverse=ranking.descending)
    return Page(len(board), ranked(board, ranking, rows, offset))


def page_by_score(
    board: SortedSet, ranking: Ranking, minimum: float, maximum: float, offset: int, limit: int
) -> Page:
    """As ``page``, of the entries within the scores; ``total`` counts those. O(log n + limit)."""
    start, stop = board.by_score(minimum, maximum)
    size = len(board)
    if ranking.descending:
        start, stop = size - stop, size - start
    first = start + offset
    rows = board.slice(first, min(stop, first + limit), reverse=ranking.descending)
    return Page(stop - start, ranked(board, ranking, rows, first))


def around(board: SortedSet, ranking: Ranking, member: bytes, radius: int) -> Page | None:
    """``radius`` entries on either side; at an end the page slides to stay full. As ``page``."""
    index = board.index(member, reverse=ranking.descending)
    if index is None:
        return None
    rows = 2 * radius + 1
    return page(board, ranking, max(0, min(index - radius, len(board) - rows)), rows)


def ranked(board: SortedSet, ranking: Ranking, rows: list[Row], first: int) -> list[Entry]:
    """Give consecutive rows their ranks; the first stands at index ``first``."""
    if not ranking.competition:
        return [
            Entry(number, member, score) for number, (member, score) in enumerate(rows, first + 1)
        ]
    entries: list[Entry] = []
    shared, last = 0, None
    for number, (member, score) in enumerate(rows, first + 1):
        if score != last:
            # Only the first row of a page can share its rank with rows before the page.
            shared = number if entries else _shared_rank(board, ranking, score)
            last = score
        entries.append(Entry(shared, member, score))
    return entries


def _shared_rank(board: SortedSet, ranking: Ranking, score: float) -> int:
    if ranking.descending:
        return len(board) - board.below(score, inclusive=True) + 1
    return board.below(score) + 1
