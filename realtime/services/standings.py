"""Reading leaderboards: pages, neighbours, shares, all of one board at one instant.

The rules of a board are passed to the store with every step, see `realtime.services.rolling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf

from realtime.backends.base import Histogram, Page, Ranking, Standing
from realtime.errors import InvalidInput
from realtime.services.cursors import START, Cursor
from realtime.services.names import name_bytes
from realtime.services.rolling import SeasonalBoards

__all__ = ["MAX_BUCKETS", "BoardReads", "json_score"]

MAX_BUCKETS = 1_000


def json_score(score: float) -> float:
    """A score as JSON shows it: 1200 rather than 1200.0, where no digit is lost by it."""
    return int(score) if -(2**53) < score < 2**53 and score == int(score) else score


class BoardReads(SeasonalBoards):
    """Every method may raise InvalidInput for a name, and BackendUnavailable."""

    async def rules(self, board: str) -> Ranking:
        """The rules in force; the defaults for a board never configured."""
        return (await self._boards.get(board)).target.ranking

    async def size(self, board: str) -> int:
        return await self._sets.size(await self._target(board))

    async def page(
        self,
        board: str,
        offset: int,
        limit: int,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        metadata: bool = False,
    ) -> Page:
        """Entries from ``offset``, best first; with bounds, of those within the scores."""
        target = await self._target(board)
        if minimum is None and maximum is None:
            return await self._sets.page(target, offset, limit, metadata=metadata)
        low = -inf if minimum is None else minimum
        high = inf if maximum is None else maximum
        return await self._sets.page_by_score(target, low, high, offset, limit, metadata=metadata)

    async def members(self, board: str, members: Sequence[str], *, metadata: bool = False) -> Page:
        """The entries of some members, those absent left out, best first with global ranks."""
        wanted = [name_bytes("member", member) for member in members]
        return await self._sets.members(await self._target(board), wanted, metadata=metadata)

    async def look(self, board: str, members: Sequence[bytes]) -> tuple[int, Page]:
        """As ``members``, with a version: what has a higher one was seen later, on any node."""
        return await self._sets.look(await self._target(board), members)

    async def standing(self, board: str, member: str) -> Standing | None:
        return await self._sets.standing(await self._target(board), name_bytes("member", member))

    async def around(
        self, board: str, member: str, radius: int, *, metadata: bool = False
    ) -> Page | None:
        """The member with ``radius`` others on either side; a full page at the ends too."""
        return await self._sets.around(
            await self._target(board), name_bytes("member", member), radius, metadata=metadata
        )

    async def around_score(
        self, board: str, score: float, radius: int, *, metadata: bool = False
    ) -> Page:
        """``radius`` entries that are better than a score, and ``radius`` that are not."""
        return await self._sets.around_score(
            await self._target(board), score, radius, metadata=metadata
        )

    async def onward(
        self, board: str, cursor: str, limit: int, *, metadata: bool = False
    ) -> tuple[Page, str | None]:
        """The entries behind a cursor, `START` for the first ones, and the cursor to go on with.

        Raises InvalidInput; Gone if the board was deleted since; Conflict if its order changed.
        """
        target = await self._target(board)
        after = None if cursor == START else Cursor.read(board, cursor)
        position = None if after is None else after.position
        found = await self._sets.onward(target, position, limit, metadata=metadata)
        if after is not None:
            after.check(target.ranking, found.generation)
        if found.end is None:
            return found.page, None
        return found.page, Cursor.at(target.ranking, found.generation, found.end).text(board)

    async def at_percentile(self, board: str, percentile: float) -> Page:
        """The last entry of which so many per cent stand no better, if there are entries."""
        if not 0 <= percentile <= 100:
            raise InvalidInput("a percentile is within 0..100")
        return await self._sets.at_percentile(await self._target(board), percentile)

    async def count(self, board: str, minimum: float | None, maximum: float | None) -> int:
        """How many entries have a score within the bounds, both included."""
        low = -inf if minimum is None else minimum
        high = inf if maximum is None else maximum
        page = await self._sets.page_by_score(await self._target(board), low, high, 0, 0)
        return page.total

    async def histogram(self, board: str, bounds: Sequence[float] | int) -> Histogram:
        """Entries between each two bounds; of a number, in so many equal buckets."""
        buckets = bounds if isinstance(bounds, int) else len(bounds) - 1
        if not 1 <= buckets <= MAX_BUCKETS:
            raise InvalidInput(f"a histogram has 1 to {MAX_BUCKETS} buckets")
        if not isinstance(bounds, int):
            bounds = [bound + 0.0 for bound in bounds]
            if any(low >= high for low, high in pairwise(bounds)):
                raise InvalidInput("the bounds of a histogram ascend")
        return await self._sets.histogram(await self._target(board), bounds)
