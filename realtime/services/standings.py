"""Reading leaderboards: pages, neighbours, shares, all of one board at one instant.

What is read is a board as it is, one of its views, or a season that is over: `BoardReads.at` says
which, and what it answers has the same verbs for all of them. The rules of a board are passed to
the store with every step, see `realtime.services.rolling`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from math import inf
from typing import Literal, TypeVar

from realtime.backends.base import (
    Backend,
    Board,
    Histogram,
    Page,
    Ranking,
    SortedSetReads,
    Standing,
)
from realtime.errors import InvalidInput, NotFound
from realtime.services.archives import Archives
from realtime.services.askedsets import AskedSets
from realtime.services.cursors import START, Cursor
from realtime.services.names import name_bytes
from realtime.services.rolling import Configured, SeasonalBoards, wall_clock
from realtime.services.seasons import View, view_name

__all__ = ["MAX_BUCKETS", "PREVIOUS", "BoardReads", "SeasonName", "Standings", "json_score"]

MAX_BUCKETS = 1_000

Previous = Literal["previous"]
PREVIOUS: Previous = "previous"
"""The season that ended last."""
SeasonName = int | Previous

T = TypeVar("T")


def json_score(score: float) -> float:
    """A score as JSON shows it: 1200 rather than 1200.0, where no digit is lost by it."""
    return int(score) if -(2**53) < score < 2**53 and score == int(score) else score


class Standings:
    """The entries of one board, of a view, or of a season. It is for one reading: rules change,
    and seasons end. Every method may raise InvalidInput for a name, and BackendUnavailable;
    NotFound if it is a season, and that is deleted meanwhile."""

    __slots__ = ("_board", "_name", "_sets")

    def __init__(self, sets: SortedSetReads, board: Board, name: str) -> None:
        """``name`` tells its cursors from all others."""
        self._sets = sets
        self._board = board
        self._name = name

    async def size(self) -> int:
        return await self._sets.size(self._board)

    async def page(
        self,
        offset: int,
        limit: int,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        metadata: bool = False,
    ) -> Page:
        """Entries from ``offset``, best first; with bounds, of those within the scores."""
        if minimum is None and maximum is None:
            return await self._sets.page(self._board, offset, limit, metadata=metadata)
        low = -inf if minimum is None else minimum
        high = inf if maximum is None else maximum
        return await self._sets.page_by_score(
            self._board, low, high, offset, limit, metadata=metadata
        )

    async def members(self, members: Sequence[str], *, metadata: bool = False) -> Page:
        """The entries of some members, those absent left out, best first with global ranks."""
        wanted = [name_bytes("member", member) for member in members]
        return await self._sets.members(self._board, wanted, metadata=metadata)

    async def standing(self, member: str) -> Standing | None:
        return await self._sets.standing(self._board, name_bytes("member", member))

    async def around(self, member: str, radius: int, *, metadata: bool = False) -> Page | None:
        """The member with ``radius`` others on either side; a full page at the ends too."""
        return await self._sets.around(
            self._board, name_bytes("member", member), radius, metadata=metadata
        )

    async def around_score(self, score: float, radius: int, *, metadata: bool = False) -> Page:
        """``radius`` entries that are better than a score, and ``radius`` that are not."""
        return await self._sets.around_score(self._board, score, radius, metadata=metadata)

    async def onward(
        self, cursor: str, limit: int, *, metadata: bool = False
    ) -> tuple[Page, str | None]:
        """The entries behind a cursor, `START` for the first ones, and the cursor to go on with.

        Raises InvalidInput; Gone if the board was deleted since; Conflict if its order changed.
        """
        after = None if cursor == START else Cursor.read(self._name, cursor)
        page, end = await self.behind(after, limit, metadata=metadata)
        return page, None if end is None else end.text(self._name)

    async def behind(
        self, after: Cursor | None, limit: int, *, metadata: bool = False
    ) -> tuple[Page, Cursor | None]:
        """As ``onward``, for whoever tells cursors no one else; None: the first entries."""
        position = None if after is None else after.position
        found = await self._sets.onward(self._board, position, limit, metadata=metadata)
        if after is not None:
            after.check(self._board.ranking, found.generation)
        if found.end is None:
            return found.page, None
        return found.page, Cursor.at(self._board.ranking, found.generation, found.end)

    async def at_percentile(self, percentile: float) -> Page:
        """The last entry of which so many per cent stand no better, if there are entries."""
        if not 0 <= percentile <= 100:
            raise InvalidInput("a percentile is within 0..100")
        return await self._sets.at_percentile(self._board, percentile)

    async def count(self, minimum: float | None, maximum: float | None) -> int:
        """How many entries have a score within the bounds, both included."""
        low = -inf if minimum is None else minimum
        high = inf if maximum is None else maximum
        page = await self._sets.page_by_score(self._board, low, high, 0, 0)
        return page.total

    async def histogram(self, bounds: Sequence[float] | int) -> Histogram:
        """Entries between each two bounds; of a number, in so many equal buckets."""
        buckets = bounds if isinstance(bounds, int) else len(bounds) - 1
        if not 1 <= buckets <= MAX_BUCKETS:
            raise InvalidInput(f"a histogram has 1 to {MAX_BUCKETS} buckets")
        if not isinstance(bounds, int):
            bounds = [bound + 0.0 for bound in bounds]
            if any(low >= high for low, high in pairwise(bounds)):
                raise InvalidInput("the bounds of a histogram ascend")
        return await self._sets.histogram(self._board, bounds)


class BoardReads(SeasonalBoards):
    """Every method may raise InvalidInput for a name, and BackendUnavailable."""

    def __init__(self, backend: Backend, clock: Callable[[], int] = wall_clock) -> None:
        super().__init__(backend, clock)
        self.archives = Archives(backend)

    async def at(
        self, board: str, *, view: View | None = None, season: SeasonName | None = None
    ) -> Standings:
        """What is to be read: a board or a view of it, as it is now or was in a season.

        Raises NotFound if there is no such view, or the season is not kept."""
        if view is not None:
            board = await self._view(board, view)
        if season is not None:
            return await self._at_season(board, season)
        return Standings(self._sets, await self._target(board), board)

    async def rules(self, board: str) -> Ranking:
        """The rules in force; the defaults for a board never configured."""
        return (await self._boards.get(board)).target.ranking

    async def look(self, board: str, members: Sequence[bytes]) -> tuple[int, Page]:
        """As ``members``, with a version: what has a higher one was seen later, on any node."""
        return await self._sets.look(await self._target(board), members)

    # What `Standings` has, of a board as it is.

    async def size(self, board: str) -> int:
        return await (await self.at(board)).size()

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
        standings = await self.at(board)
        return await standings.page(
            offset, limit, minimum=minimum, maximum=maximum, metadata=metadata
        )

    async def members(self, board: str, members: Sequence[str], *, metadata: bool = False) -> Page:
        return await (await self.at(board)).members(members, metadata=metadata)

    async def standing(self, board: str, member: str) -> Standing | None:
        return await (await self.at(board)).standing(member)

    async def around(
        self, board: str, member: str, radius: int, *, metadata: bool = False
    ) -> Page | None:
        return await (await self.at(board)).around(member, radius, metadata=metadata)

    async def around_score(
        self, board: str, score: float, radius: int, *, metadata: bool = False
    ) -> Page:
        return await (await self.at(board)).around_score(score, radius, metadata=metadata)

    async def onward(
        self, board: str, cursor: str, limit: int, *, metadata: bool = False
    ) -> tuple[Page, str | None]:
        return await (await self.at(board)).onward(cursor, limit, metadata=metadata)

    async def at_percentile(self, board: str, percentile: float) -> Page:
        return await (await self.at(board)).at_percentile(percentile)

    async def count(self, board: str, minimum: float | None, maximum: float | None) -> int:
        return await (await self.at(board)).count(minimum, maximum)

    async def histogram(self, board: str, bounds: Sequence[float] | int) -> Histogram:
        return await (await self.at(board)).histogram(bounds)

    async def _view(self, board: str, view: View) -> str:
        if view not in (await self.seasons(board)).views:
            raise NotFound(f"the board {board} has no {view} view")
        return view_name(board, view)

    async def _at_season(self, board: str, season: SeasonName) -> Standings:
        found = await self._boards.get(board)
        current = await self._catch_up(found)
        number = None if season == PREVIOUS else season
        if current is not None and current.number == number:
            return Standings(_SeasonNow(self, found, number), found.target, board)
        closed = await self.closed_season(board, number)
        if closed is None:
            raise NotFound(f"the board {board} keeps no such season")
        archives = self.archives
        name = f"{board}\0{closed.number}"
        return Standings(archives.sets(board, closed), archives.board(board, closed), name)


class _SeasonNow(AskedSets):
    """The season that a board is in, which may end while it is read."""

    def __init__(self, boards: BoardReads, found: Configured, number: int) -> None:
        self._boards = boards
        self._found = found
        self._number = number

    async def ask(
        self, board: Board, question: Callable[[SortedSetReads, Board], Awaitable[T]]
    ) -> T:
        boards = self._boards
        answer = await question(boards._sets, board)
        season, _ = await boards._sets.season(board)
        if season is not None and season.number == self._number:
            return answer
        closed = await boards.closed_season(self._found.name, self._number)
        if closed is None:
            raise NotFound("this season is not kept any more")
        name, archives = self._found.name, boards.archives
        return await question(archives.sets(name, closed), archives.board(name, closed))
