"""The seam of leaderboards: see `realtime.backends.base`, which has its rules and its names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from engine.ranking import (
    Entry,
    Keep,
    Page,
    Ranking,
    Ranks,
    Standing,
    Submission,
    Submit,
    Ties,
    counting_score,
)
from engine.standings import EntryPosition, Histogram, Onward

__all__ = [
    "Board",
    "Entry",
    "EntryPosition",
    "Histogram",
    "Keep",
    "Onward",
    "Page",
    "Ranking",
    "Ranks",
    "SortedSets",
    "Standing",
    "Submission",
    "Submit",
    "Ties",
    "counting_score",
]


class Board(NamedTuple):
    """A leaderboard as a store sees it: its key and its rules.

    What else belongs to it lies beside the key: see `engine.entries`.
    """

    key: bytes
    ranking: Ranking


class SortedSets(Protocol):
    """Leaderboards. Every answer shows one instant. Offsets are 0-based, ranks 1-based."""

    async def submit(
        self, board: Board, entries: Sequence[Submit], *, overtaken: int = 0
    ) -> list[Submission]:
        """All or nothing, in order. Raises OutOfBounds if a score is out of the board's bounds.

        With ``overtaken``, up to so many of those whom each member has passed are named."""

    async def submit_to(
        self, boards: Sequence[Board], entry: Submit, *, overtaken: int = 0
    ) -> list[Submission]:
        """One score to several boards, all or nothing; one answer per board."""

    async def remove(self, board: Board, member: bytes) -> bool: ...

    async def size(self, board: Board) -> int: ...

    async def standing(self, board: Board, member: bytes) -> Standing | None: ...

    async def page(
        self, board: Board, offset: int, limit: int, *, metadata: bool = False
    ) -> Page: ...

    async def page_by_score(
        self,
        board: Board,
        minimum: float,
        maximum: float,
        offset: int,
        limit: int,
        *,
        metadata: bool = False,
    ) -> Page: ...

    async def members(
        self, board: Board, members: Sequence[bytes], *, metadata: bool = False
    ) -> Page:
        """The entries of those members who are on the board, best first, with global ranks."""

    async def around(
        self, board: Board, member: bytes, radius: int, *, metadata: bool = False
    ) -> Page | None: ...

    async def around_score(
        self, board: Board, score: float, radius: int, *, metadata: bool = False
    ) -> Page:
        """``radius`` entries that are better, and ``radius`` that are not; at an end the page
        slides to stay full."""

    async def onward(
        self, board: Board, after: EntryPosition | None, limit: int, *, metadata: bool = False
    ) -> Onward:
        """The entries behind a position, whether or not anybody stands there now; None: from
        the first one on."""

    async def at_percentile(self, board: Board, percentile: float) -> Page:
        """The last entry of which so many per cent stand no better, if there are entries."""

    async def histogram(self, board: Board, bounds: Sequence[float] | int) -> Histogram:
        """Between each two of the bounds, which ascend; of a number, over so many equal buckets
        from the lowest score to the highest."""

    async def drop(self, board: Board) -> bool:
        """Delete it and all that lies beside it; whether there was anything. It is remembered
        for a month, see ``Onward.generation``."""

    async def adapt(self, board: Board, start: int) -> int | None:
        """Bring what is there in line with rules that have changed, a slice at a time.

        Answers where to go on, None at the end. Begin at 0; to begin anew does no harm."""
