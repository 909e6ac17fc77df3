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
from engine.seasons import Closed, Season
from engine.standings import EntryPosition, Histogram, Onward, bounds_between, index_at, no_better

__all__ = [
    "UNHEARD",
    "Board",
    "Closed",
    "Entry",
    "EntryPosition",
    "Histogram",
    "Keep",
    "Onward",
    "Page",
    "Ranking",
    "Ranks",
    "Season",
    "SortedSetReads",
    "SortedSets",
    "Standing",
    "Submission",
    "Submit",
    "Ties",
    "bounds_between",
    "counting_score",
    "index_at",
    "no_better",
]


UNHEARD = -1
"""Where ``adapt`` begins if others may not have heard of its rules in time."""


class Board(NamedTuple):
    """A leaderboard as a store sees it: its key and its rules.

    What else belongs to it lies beside the key: see `engine.entries`.
    """

    key: bytes
    ranking: Ranking


class SortedSetReads(Protocol):
    """What can be asked of a leaderboard. Every answer shows one instant. Offsets are 0-based,
    ranks 1-based."""

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


class SortedSets(SortedSetReads, Protocol):
    """Leaderboards.

    ``submit``, ``submit_to`` and ``remove`` raise SeasonOver, and then nothing was changed, if a
    board is seasonal and its season has ended by the store's clock: see `engine.seasons`.
    """

    async def submit(
        self, board: Board, entries: Sequence[Submit], *, overtaken: int = 0
    ) -> list[Submission]:
        """All or nothing, in order. Raises OutOfBounds if a score is out of the board's bounds.

        With ``overtaken``, up to so many of those whom each member has passed are named."""

    async def submit_to(
        self, boards: Sequence[Board], entries: Sequence[Submit], *, overtaken: int = 0
    ) -> list[Submission]:
        """As ``submit``, to several boards; answers board by board, the entries in order."""

    async def remove(self, board: Board, member: bytes) -> bool: ...

    async def look(self, board: Board, members: Sequence[bytes]) -> tuple[int, Page]:
        """As ``members``, with a version: what has a higher one was seen later, on any node.

        Versions go on growing when the board is deleted, and when a store has lost its latest
        writes: see `engine.entries`. Looking at boards that are not there stores nothing.
        """

    async def leaving(self, board: Board) -> int | None:
        """In how many microseconds the next of its entries leaves by itself; None: none does."""

    async def drop(self, board: Board) -> bool:
        """Delete it and all that lies beside it; whether there was anything. It is remembered
        for a month, see ``Onward.generation``."""

    async def adapt(self, board: Board, start: int) -> int | None:
        """Bring what is there in line with rules that have changed, a slice at a time.

        Answers where to go on, None at the end. Begin at 0; to begin anew does no harm. Begin at
        `UNHEARD` if others may meanwhile have brought in entries by rules that know neither places
        nor dense ranks: what they left out is made up for."""

    async def season(self, board: Board) -> tuple[Season | None, int]:
        """The season the board is in, if it has seasons, and the store's time."""

    async def set_season(self, board: Board, ends: int | None) -> Season:
        """Let the season the board is in end then, or never by itself. If it is in none, the
        first one begins now."""

    async def roll(
        self,
        board: Board,
        number: int,
        *,
        begins: int,
        ends: int | None,
        rules: bytes,
        force: bool = False,
    ) -> Closed | None:
        """Close season ``number``, if the board is in it and it is over, and begin the next one.

        None: somebody else has, or it is not over; nothing was changed. With ``force`` it ends
        now. The next one begins at ``begins``, and no earlier than this one ended. ``rules`` are
        kept for whoever reads it. O(1), and what is due.
        """

    async def erase(self, board: Board, number: int, member: bytes) -> bool:
        """Take a member out of the closed season ``number``, and count one entry less in what is
        kept of it: see `engine.seasons`. The rules are those it was played by.

        False, and nothing was changed, if the member is not in it, or its entries do not lie
        where closing it has left them. O(log entries)."""
