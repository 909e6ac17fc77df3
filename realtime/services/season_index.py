"""Which boards with seasons need somebody's attention next, and when.

A sorted set in the store: board -> instant, in microseconds since 1970, which a score holds
exactly. Whoever is about to change when a season ends, or to end one, says so here; the keeper
of seasons (`realtime.services.season_keeper`) reads it from its earliest entry on. An entry that
comes too early costs a look; so whoever is not sure lets a board be looked at.

Where nodes share the store, one of them *claims* a board by moving it on by a lease. If it dies,
the lease passes, and the board is due again. Each step is O(log boards).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from realtime.backends.base import Backend, Board, Ranking, Submit
from realtime.backends.keys import SEASON_INDEX

__all__ = ["NEVER", "Due", "SeasonIndex"]

NEVER = 2**53 - 1
"""An instant that does not come; the greatest that a score holds exactly."""

_INDEX = Board(SEASON_INDEX, Ranking(descending=False, keep="latest"))


class Due(NamedTuple):
    """A board, and the instant at which it needs attention."""

    board: str
    at: int


class SeasonIndex:
    """Every method may raise BackendUnavailable."""

    def __init__(self, backend: Backend) -> None:
        self._sets = backend.sorted_sets
        self._listeners: tuple[Callable[[], None], ...] = ()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Hear when this process has set the instant of a board."""
        self._listeners = (*self._listeners, listener)

    async def put(self, board: str, at: int) -> None:
        """The board needs attention at this instant: not before, unless somebody says so."""
        await self._sets.submit(_INDEX, [Submit(board.encode(), at)])
        self._tell()

    async def put_now(self, board: str) -> None:
        """The board needs attention at once."""
        await self.put(board, await self.now())

    async def expect(self, boards: Sequence[str]) -> None:
        """Let those of the boards be looked at that are not here: a store may have lost its latest
        writes, and kept those to the boards. In one step for all that are asked for at once."""
        names = [board.encode() for board in boards]
        there = {entry.member for entry in (await self._sets.members(_INDEX, names)).entries}
        missing = [name for name in names if name not in there]
        if missing:
            now = await self.now()
            await self._sets.submit(_INDEX, [Submit(name, now) for name in missing])

    async def remove(self, board: str) -> None:
        """The board needs no attention any more."""
        await self._sets.remove(_INDEX, board.encode())

    async def now(self) -> int:
        """What time it is by the clock of the store, which decides when a season is over."""
        _, now = await self._sets.season(_INDEX)
        return now

    async def earliest(self, limit: int) -> list[Due]:
        """So many boards, those first that need attention first."""
        page = await self._sets.page(_INDEX, 0, limit)
        return [Due(entry.member.decode(), int(entry.score)) for entry in page.entries]

    async def move(self, board: str, seen: int, to: int) -> bool:
        """Set the instant, and whether it was as it had been seen; else somebody has said
        something meanwhile, which is no longer there."""
        return await self._move(board, to) == seen

    async def claim(self, due: Due, until: int) -> bool:
        """Whether the board is ours until then. If not, somebody else was faster."""
        found = await self._move(due.board, until)
        if found == due.at:
            return True
        if found is None:
            await self.remove(due.board)
        else:
            await self._move(due.board, found)  # what it was: their lease, or the next instant
        return False

    async def _move(self, board: str, to: int) -> int | None:
        """What it was before."""
        (answer,) = await self._sets.submit(_INDEX, [Submit(board.encode(), to)])
        return None if answer.previous_score is None else int(answer.previous_score)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
