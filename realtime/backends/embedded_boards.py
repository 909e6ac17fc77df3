"""Leaderboards of the embedded backend: see `realtime.backends.embedded`."""

from __future__ import annotations

from collections.abc import Sequence

from engine.engine import Engine
from realtime.backends.base import (
    Board,
    Closed,
    EntryPosition,
    Histogram,
    Onward,
    Page,
    Season,
    Standing,
    Submission,
    Submit,
)
from realtime.backends.embedded_channels import Admission
from realtime.backends.keys import BESIDE_BOARD

__all__ = ["SortedSets"]


class SortedSets:
    """See `realtime.backends.base.SortedSets`."""

    def __init__(self, engine: Engine, admission: Admission) -> None:
        self._boards = engine.boards
        self._admit = admission.admit

    async def submit(
        self, board: Board, entries: Sequence[Submit], *, overtaken: int = 0
    ) -> list[Submission]:
        self._admit()
        if len(entries) == 1 and not overtaken:
            return [self._boards.submit(*board, entries[0])]
        return self._boards.submit_many([board], entries, overtaken)

    async def submit_to(
        self, boards: Sequence[Board], entries: Sequence[Submit], *, overtaken: int = 0
    ) -> list[Submission]:
        self._admit()
        return self._boards.submit_many(boards, entries, overtaken)

    async def remove(self, board: Board, member: bytes) -> bool:
        self._admit()
        return self._boards.remove(board.key, member, board.ranking)

    async def size(self, board: Board) -> int:
        return self._boards.size(*board)

    async def standing(self, board: Board, member: bytes) -> Standing | None:
        return self._boards.standing(*board, member)

    async def page(self, board: Board, offset: int, limit: int, *, metadata: bool = False) -> Page:
        return self._described(board, self._boards.page(*board, offset, limit), metadata)

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
        page = self._boards.page_by_score(*board, (minimum, maximum), offset, limit)
        return self._described(board, page, metadata)

    async def members(
        self, board: Board, members: Sequence[bytes], *, metadata: bool = False
    ) -> Page:
        return self._described(board, self._boards.members(*board, members), metadata)

    async def look(self, board: Board, members: Sequence[bytes]) -> tuple[int, Page]:
        return self._boards.look(*board, members)

    async def leaving(self, board: Board) -> int | None:
        return self._boards.leaving(board.key)

    async def around(
        self, board: Board, member: bytes, radius: int, *, metadata: bool = False
    ) -> Page | None:
        page = self._boards.around(*board, member, radius)
        return None if page is None else self._described(board, page, metadata)

    async def around_score(
        self, board: Board, score: float, radius: int, *, metadata: bool = False
    ) -> Page:
        return self._described(board, self._boards.around_score(*board, score, radius), metadata)

    async def onward(
        self, board: Board, after: EntryPosition | None, limit: int, *, metadata: bool = False
    ) -> Onward:
        found = self._boards.onward(*board, after, limit)
        return found._replace(page=self._described(board, found.page, metadata))

    async def at_percentile(self, board: Board, percentile: float) -> Page:
        return self._boards.at_percentile(*board, percentile)

    async def histogram(self, board: Board, bounds: Sequence[float] | int) -> Histogram:
        return self._boards.histogram(*board, bounds if isinstance(bounds, int) else list(bounds))

    async def drop(self, board: Board) -> bool:
        self._admit()
        return self._boards.drop([board.key, *(board.key + end for end in BESIDE_BOARD)])

    async def adapt(self, board: Board, start: int) -> int | None:
        self._admit()
        return self._boards.adapt(*board, start)

    async def season(self, board: Board) -> tuple[Season | None, int]:
        return self._boards.season(board.key)

    async def set_season(self, board: Board, ends: int | None) -> Season:
        self._admit()
        return self._boards.set_season(board.key, ends)

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
        self._admit()
        return self._boards.roll(*board, number, begins=begins, ends=ends, rules=rules, force=force)

    async def erase(self, board: Board, number: int, member: bytes) -> bool:
        self._admit()
        return self._boards.erase(*board, number, member)

    def _described(self, board: Board, page: Page, metadata: bool) -> Page:
        return self._boards.with_metadata(board.key, page) if metadata else page
