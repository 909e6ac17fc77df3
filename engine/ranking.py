"""Leaderboards: what a sorted set means to players.

A board is a sorted set with a `Ranking`: which end is first, which of a player's scores
counts, how equal scores are ordered and share ranks, what is out of bounds, how many may stay
and for how long. Ranks are 1-based. Ties are ordered as Redis orders them, by the member's
bytes, mirrored on a descending board; or, in a `PlacedSet`, by who was first.

Pure: works on a `SortedSet` that the caller holds. n is the number of entries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Literal, NamedTuple

from engine.errors import OutOfBounds
from engine.sortedset import Row, SortedSet

__all__ = [
    "Entry",
    "Keep",
    "Page",
    "Ranking",
    "Ranks",
    "Standing",
    "Submission",
    "Submit",
    "Ties",
    "counting_score",
]

Keep = Literal["best", "latest", "sum"]
Ranks = Literal["ordinal", "competition", "dense"]
Ties = Literal["member", "first"]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The rules of one board; the defaults are those of a board never configured."""

    descending: bool = True
    keep: Keep = "best"
    ranks: Ranks = "ordinal"
    """Whether every entry has a rank of its own (1, 2, 3, 4), or equal scores share one, and
    what follows counts all of them (``competition``: 1, 2, 2, 4) or one (``dense``: 1, 2, 2, 3)."""
    max_entries: int | None = None
    min_score: float | None = None
    max_score: float | None = None
    ties: Ties = "member"
    """Of equal scores: by the bytes of the member, or whoever reached it first is first."""
    entry_ttl: int | None = None
    """Microseconds after a member's last submit in which the entry leaves the board."""
    authoritative: bool = False
    """Users may not submit. For services: the engine knows no users."""
    seasonal: bool = False
    """Scores are counted for the season of their instant: see `engine.seasons`."""
    plain: bool = field(init=False, repr=False, compare=False)
    """Nothing has to be looked after but the sorted set itself."""

    def __post_init__(self) -> None:
        is_plain = self.ties == "member" and self.entry_ttl is None and self.ranks != "dense"
        object.__setattr__(self, "plain", is_plain and not self.seasonal)


class Submit(NamedTuple):
    """One score on its way in. ``metadata`` is stored if this score comes to count.

    What has an ``id`` counts once on a board: see `engine.entries.IDS_KEPT`.
    """

    member: bytes
    score: float
    metadata: bytes | None = None
    id: bytes | None = None


class Entry(NamedTuple):
    rank: int
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
    overtaken: tuple[Entry, ...] = ()
    """Who stood ahead before and stands behind now, nearest first, as many as were asked for."""
    repeated: bool = False
    """A score with the same id was submitted before, so this one was passed over."""


class Page(NamedTuple):
    """Some consecutive entries of one instant, and how many the board held then."""

    total: int
    entries: list[Entry]


class Standing(NamedTuple):
    """Where one member stands, and among how many."""

    entry: Entry
    total: int
    better: int
    """How many entries stand better; those that share the rank do not."""


_new = tuple.__new__  # half the time of a named tuple's own constructor; a submit is hot


def rank(board: SortedSet, ranking: Ranking, member: bytes) -> int | None:
    """The member's rank, or None. O(log n)."""
    if ranking.ranks == "ordinal":
        index = board.index(member, reverse=ranking.descending)
        return None if index is None else index + 1
    score = board.score(member)
    return None if score is None else _shared_rank(board, ranking, score)


def counting_score(ranking: Ranking, before: float | None, score: float) -> float:
    """The score that counts after ``score`` came in. Raises OutOfBounds.

    Bounds hold for the score that comes in, and for a sum, for what it comes to.
    """
    if before is not None and ranking.keep == "sum":
        score = before + score
        if score == before:
            return before  # also where it is out of bounds that were set later
    low, high = ranking.min_score, ranking.max_score
    if low is not None and score < low:
        raise OutOfBounds(f"the score {_text(score)} is below min_score {_text(low)}", score)
    if high is not None and score > high:
        raise OutOfBounds(f"the score {_text(score)} is above max_score {_text(high)}", score)
    if not -inf < score < inf:
        raise OutOfBounds(f"the score {score} is not a finite number", score)
    if before is not None and ranking.keep == "best" and (score <= before) is ranking.descending:
        return before
    return score + 0.0  # never -0.0


def submit(board: SortedSet, ranking: Ranking, member: bytes, score: float) -> Submission:
    """Bring a score in, by rules that are plain, and answer both ranks. O(log n).

    Raises OutOfBounds.
    """
    before = board.score(member)
    score = counting_score(ranking, before, score)
    if score == before:
        place = rank(board, ranking, member)
        return _new(Submission, (member, score, place, place, before, False, (), False))
    if ranking.ranks != "ordinal":
        previous = None if before is None else rank(board, ranking, member)
        board.add(member, score)
        return Submission(member, score, rank(board, ranking, member), previous, before, True)
    left, entered = board.move(member, score, before)
    if ranking.descending:
        size = len(board)
        entered = size - 1 - entered
        if left is not None:
            left = size - 1 - left  # whoever moves leaves the size as it was
    previous = None if left is None else left + 1
    return _new(Submission, (member, score, entered + 1, previous, before, True, (), False))


def surplus(board: SortedSet, ranking: Ranking, limit: int | None = None) -> list[Row]:
    """The worst entries beyond ``max_entries``, or the worst ``limit`` of them.

    O(log n + their number).
    """
    most, size = ranking.max_entries, len(board)
    if most is None or size <= most:
        return []
    first = most if limit is None else max(most, size - limit)
    return board.slice(first, size, reverse=ranking.descending)


def overtaken(
    board: SortedSet,
    ranking: Ranking,
    member: bytes,
    before: tuple[int | None, float | None],
    limit: int,
) -> tuple[Entry, ...]:
    """Whom the member has passed, nearest first; ``before`` are its index and score before.

    Who was not on the board stood behind everybody. Where equal scores share a rank, neither of
    two is ahead. O(log n + limit).
    """
    index = board.index(member, reverse=ranking.descending)
    assert index is not None
    previous_index, previous_score = before
    if ranking.ranks == "ordinal":
        start = index + 1
        stop = len(board) if previous_index is None else previous_index + 1
    else:
        score = board.score(member)
        assert score is not None
        start = better(board, ranking, score, inclusive=True)
        stop = len(board) if previous_score is None else better(board, ranking, previous_score)
    rows = board.slice(start, min(stop, start + limit), reverse=ranking.descending)
    return tuple(ranked(board, ranking, rows, start))


def better(board: SortedSet, ranking: Ranking, score: float, *, inclusive: bool = False) -> int:
    """How many entries have a better score, or at least this one. O(log n)."""
    if ranking.descending:
        return len(board) - board.below(score, inclusive=not inclusive)
    return board.below(score, inclusive=inclusive)


def ranked(board: SortedSet, ranking: Ranking, rows: list[Row], first: int) -> list[Entry]:
    """Give consecutive rows their ranks; the first stands at index ``first``."""
    if ranking.ranks == "ordinal":
        return [
            Entry(number, member, score) for number, (member, score) in enumerate(rows, first + 1)
        ]
    entries: list[Entry] = []
    shared, last = 0, None
    is_dense = ranking.ranks == "dense"
    for number, (member, score) in enumerate(rows, first + 1):
        if score != last:
            # Only the first row of a page can share its rank with rows before the page.
            if not entries:
                shared = _shared_rank(board, ranking, score)
            else:
                shared = shared + 1 if is_dense else number
            last = score
        entries.append(Entry(shared, member, score))
    return entries


def _text(score: float) -> str:
    """As people write it: 1200 rather than 1200.0."""
    return repr(score).removesuffix(".0")


def _shared_rank(board: SortedSet, ranking: Ranking, score: float) -> int:
    if ranking.ranks != "dense":
        return better(board, ranking, score) + 1
    below = board.distinct_below(score, inclusive=ranking.descending)
    return (board.distinct() - below if ranking.descending else below) + 1
