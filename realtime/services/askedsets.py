"""Reading boards that may lie in one of several places: every verb is one and the same question.

Whoever knows where to look says so once, in `AskedSets.ask`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from realtime.backends.base import (
    Board,
    EntryPosition,
    Histogram,
    Onward,
    Page,
    SortedSetReads,
    Standing,
)

__all__ = ["AskedSets"]

T = TypeVar("T")


class AskedSets:
    """What `realtime.backends.base.SortedSetReads` has."""

    async def ask(
        self, board: Board, question: Callable[[SortedSetReads, Board], Awaitable[T]]
    ) -> T:
        """Put a question to wherever the board lies. It may be put more than once."""
        raise NotImplementedError

    async def size(self, board: Board) -> int:
        return await self.ask(board, lambda sets, board: sets.size(board))

    async def standing(self, board: Board, member: bytes) -> Standing | None:
        return await self.ask(board, lambda sets, board: sets.standing(board, member))

    async def page(self, board: Board, offset: int, limit: int, *, metadata: bool = False) -> Page:
        return await self.ask(
            board, lambda sets, board: sets.page(board, offset, limit, metadata=metadata)
        )

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
        return await self.ask(
            board,
            lambda sets, board: sets.page_by_score(
                board, minimum, maximum, offset, limit, metadata=metadata
            ),
        )

    async def members(
        self, board: Board, members: Sequence[bytes], *, metadata: bool = False
    ) -> Page:
        return await self.ask(
            board, lambda sets, board: sets.members(board, members, metadata=metadata)
        )

    async def around(
        self, board: Board, member: bytes, radius: int, *, metadata: bool = False
    ) -> Page | None:
        return await self.ask(
            board, lambda sets, board: sets.around(board, member, radius, metadata=metadata)
        )

    async def around_score(
        self, board: Board, score: float, radius: int, *, metadata: bool = False
    ) -> Page:
        return await self.ask(
            board, lambda sets, board: sets.around_score(board, score, radius, metadata=metadata)
        )

    async def onward(
        self, board: Board, after: EntryPosition | None, limit: int, *, metadata: bool = False
    ) -> Onward:
        return await self.ask(
            board, lambda sets, board: sets.onward(board, after, limit, metadata=metadata)
        )

    async def at_percentile(self, board: Board, percentile: float) -> Page:
        return await self.ask(board, lambda sets, board: sets.at_percentile(board, percentile))

    async def histogram(self, board: Board, bounds: Sequence[float] | int) -> Histogram:
        return await self.ask(board, lambda sets, board: sets.histogram(board, bounds))
