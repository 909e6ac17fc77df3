"""Very many entries of one board at once, in and out, without anybody having to wait for it.

What comes in is brought to the board in pieces, each an atomic step of its own, and so is what
is read. Neither is one instant: others read and write between two steps. A piece that holds an
entry which cannot be accepted is halved until that one stands alone, so all others count: that
costs two steps per halving, for 250 entries 16.
"""

from __future__ import annotations

from asyncio import gather
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from realtime.backends.base import Backend, Entry, Submit
from realtime.errors import InvalidInput
from realtime.services.cursors import Cursor
from realtime.services.leaderboards import Leaderboards
from realtime.services.seasons import View
from realtime.services.standings import SeasonName

__all__ = ["PIECE", "UNDER_WAY", "Bulk", "Loaded", "Numbered", "Refused"]

PIECE = 250
"""Entries per step: about 2 ms of a store's time, which is how long others wait for theirs. Each
view of a board takes its share."""

UNDER_WAY = 4
"""Pieces that a store which is elsewhere is sent without waiting for its answers."""


class Numbered(NamedTuple):
    """An entry, and the line that it stood in."""

    line: int
    entry: Submit


class Refused(NamedTuple):
    """A line that did not count, and why not."""

    line: int
    reason: str


class Loaded(NamedTuple):
    """What became of some entries."""

    changed: int
    """How many of them have changed the board."""
    refused: list[Refused]
    """In order."""


class Bulk:
    """Loads and reads whole boards."""

    def __init__(self, backend: Backend, leaderboards: Leaderboards) -> None:
        self._leaderboards = leaderboards
        self._immediate = backend.immediate
        self.at_once = PIECE if backend.immediate else PIECE * UNDER_WAY
        """Entries that `load` takes best."""

    async def load(self, board: str, entries: Sequence[Numbered]) -> Loaded:
        """Bring entries to a board, but for those that its rules do not accept.

        Raises BackendUnavailable, and then some of the entries may have counted.
        """
        size = PIECE // (1 + len((await self._leaderboards.seasons(board)).views))
        pieces = [entries[at : at + size] for at in range(0, len(entries), size)]
        if await self._is_one_by_one(board):
            done = [await self._load(board, piece) for piece in pieces]
        else:
            done = await gather(*[self._load(board, piece) for piece in pieces])
        return Loaded(
            sum([one.changed for one in done]), [line for one in done for line in one.refused]
        )

    async def _is_one_by_one(self, board: str) -> bool:
        """Whether pieces follow each other: it matters who comes first, or nothing may wait."""
        rules = await self._leaderboards.rules(board)
        if self._immediate or rules.keep == "latest" or rules.ties == "first":
            return True
        is_bounded = rules.min_score is not None or rules.max_score is not None
        return rules.keep == "sum" and is_bounded  # a line may be refused for those before it

    async def _load(self, board: str, entries: Sequence[Numbered]) -> Loaded:
        try:
            submissions = await self._leaderboards.submit(board, [one.entry for one in entries])
        except InvalidInput as error:
            if len(entries) == 1:
                return Loaded(0, [Refused(entries[0].line, error.detail)])
        else:
            return Loaded(sum([submission.changed for submission in submissions]), [])
        middle = len(entries) // 2
        before = await self._load(board, entries[:middle])
        after = await self._load(board, entries[middle:])
        return Loaded(before.changed + after.changed, [*before.refused, *after.refused])

    async def pages(
        self, board: str, *, view: View | None = None, season: SeasonName | None = None
    ) -> AsyncGenerator[Sequence[Entry], None]:
        """All entries, best first, with metadata, some at a time: see `BoardReads.at`. It ends
        early, with Gone, if the board is deleted meanwhile, or its season ends, and with Conflict
        if it is ordered otherwise."""
        after: Cursor | None = None
        standings = await self._leaderboards.at(board, view=view, season=season)
        while True:
            page, after = await standings.behind(after, PIECE, metadata=True)
            yield page.entries
            if after is None:
                return
            if season is None:  # its rules may have changed
                standings = await self._leaderboards.at(board, view=view)
