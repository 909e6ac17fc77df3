"""What can be asked of a board: pages, neighbours, percentiles, histograms.

Each answer shows one instant. Indices are 0-based here, best first; ranks are 1-based. Pure, as
`engine.ranking`: n is the number of entries, m the number of those answered.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from engine.placedset import PlacedSet
from engine.ranking import Page, Ranking, better, ranked
from engine.sortedset import SortedSet

__all__ = [
    "EntryPosition",
    "Histogram",
    "Onward",
    "around",
    "around_score",
    "bounds_between",
    "equal_bounds",
    "histogram",
    "index_at",
    "no_better",
    "onward",
    "page",
    "page_by_score",
]


class EntryPosition(NamedTuple):
    """Where an entry stood: its score, and what was stored of its member."""

    score: float
    stored: bytes


class Onward(NamedTuple):
    """A page, and what it takes to go on after it however the board changes."""

    page: Page
    end: EntryPosition | None
    """Of the last entry; None if nothing comes after it."""
    generation: int
    """When the board was deleted last, in microseconds since 1970; 0 if that is long ago."""


class Histogram(NamedTuple):
    """How many entries have a score within ``bounds[i] <= score < bounds[i + 1]``; the last
    bucket holds its upper bound, too."""

    total: int
    bounds: list[float]
    counts: list[int]
    below: int
    above: int


def page(board: SortedSet, ranking: Ranking, offset: int, limit: int) -> Page:
    """Entries from ``offset`` (0-based, best first). O(log n + m)."""
    rows = board.slice(offset, offset + limit, reverse=ranking.descending)
    return Page(len(board), ranked(board, ranking, rows, offset))


def page_by_score(
    board: SortedSet, ranking: Ranking, minimum: float, maximum: float, offset: int, limit: int
) -> Page:
    """As ``page``, of the entries within the scores; ``total`` counts those. O(log n + m)."""
    start, stop = board.by_score(minimum, maximum)
    size = len(board)
    if ranking.descending:
        start, stop = size - stop, size - start
    first = start + offset
    rows = board.slice(first, min(stop, first + limit), reverse=ranking.descending)
    return Page(stop - start, ranked(board, ranking, rows, first))


def onward(
    board: SortedSet, ranking: Ranking, after: EntryPosition | None, limit: int
) -> tuple[Page, EntryPosition | None]:
    """The entries behind a position, whether or not anybody stands there now. O(log n + m)."""
    start = 0 if after is None else board.passed(*after, reverse=ranking.descending)
    found = page(board, ranking, start, limit)
    if not found.entries or start + limit >= len(board):
        return found, None
    last = found.entries[-1]
    stored = board.stored(last.member) if isinstance(board, PlacedSet) else last.member
    assert stored is not None
    return found, EntryPosition(last.score, stored)


def around(board: SortedSet, ranking: Ranking, member: bytes, radius: int) -> Page | None:
    """``radius`` entries on either side; at an end the page slides to stay full. As ``page``."""
    index = board.index(member, reverse=ranking.descending)
    return None if index is None else _centred(board, ranking, index, 2 * radius + 1, radius)


def around_score(board: SortedSet, ranking: Ranking, score: float, radius: int) -> Page:
    """``radius`` entries that are better, and ``radius`` that are not; likewise. As ``page``."""
    return _centred(board, ranking, better(board, ranking, score), 2 * radius, radius)


def index_at(total: int, percentile: float) -> int:
    """The index of the last of ``total`` entries of which that many per cent stand no better.

    What `no_better` answers of an entry leads to it again. The same operations on doubles as in
    Lua, so that all backends agree.
    """
    index = max(0, min(total - 1, int(total * (100 - percentile) / 100)))  # it may be off by one
    if index + 1 < total and no_better(total, index + 1) >= percentile:
        return index + 1
    return index - 1 if index and no_better(total, index) < percentile else index


def no_better(total: int, better: int) -> float:
    """How many per cent of ``total`` entries stand no better than one that so many are better
    than."""
    return 100 * (total - better) / total


def histogram(board: SortedSet, bounds: list[float]) -> Histogram:
    """The entries between each two of the bounds, which ascend. O(log n) each."""
    if not bounds:
        return Histogram(len(board), [], [], 0, 0)
    edges = [board.below(bound) for bound in bounds[:-1]]
    edges.append(board.below(bounds[-1], inclusive=True))
    counts = [high - low for low, high in pairwise(edges)]
    return Histogram(len(board), bounds, counts, edges[0], len(board) - edges[-1])


def equal_bounds(board: SortedSet, buckets: int) -> list[float]:
    """The bounds of so many equal buckets over all the scores there are; of one if all are
    equal, and none on an empty board. O(log n + buckets)."""
    if not board:
        return []
    ((_, low),) = board.slice(0, 1)
    ((_, high),) = board.slice(len(board) - 1, len(board))
    return bounds_between(low, high, buckets)


def bounds_between(low: float, high: float, buckets: int) -> list[float]:
    """So many equal steps, ascending; the same operations on doubles as in Lua."""
    found = [low]
    for number in range(1, buckets):
        share = number / buckets
        bound = low * (1 - share) + high * share  # high - low may be infinite
        if found[-1] < bound < high:
            found.append(bound)
    return [*found, high]


def _centred(board: SortedSet, ranking: Ranking, index: int, rows: int, radius: int) -> Page:
    return page(board, ranking, max(0, min(index - radius, len(board) - rows)), rows)
