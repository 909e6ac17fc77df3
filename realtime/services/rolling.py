"""One season after the other: whose is over, who closes it, and what is known of those before.

The store decides which season a score belongs to: a step that comes when the season has ended
changes nothing and says so (see `engine.seasons`). Whoever is told closes the season and tries
again; however many do so at once, one of them is first, and for the others nothing is left to do.
So a season begins with whoever needs it first: a writer, a reader, or the keeper of seasons.

If nobody came for a while, the season that is open is closed as of the instant at which it ended,
and the next one begins at the last boundary before now: seasons in which nobody could submit are
not recorded.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from realtime.backends.base import Backend, Board, Closed, Ranking, Season, SeasonOver
from realtime.backends.keys import RULES, board_key
from realtime.errors import Conflict, Unavailable
from realtime.services.boardrules import frozen, ranking_of, seasons_of
from realtime.services.cached import cached
from realtime.services.closedseasons import ClosedSeason, all_kept, kept
from realtime.services.names import name_bytes
from realtime.services.season_index import SeasonIndex
from realtime.services.seasons import NO_SEASONS, SeasonRules, view_name

__all__ = [
    "BoardListener",
    "ClosedSeason",
    "Configured",
    "SeasonalBoards",
    "configured",
    "refuse_view",
    "rules_key",
    "wall_clock",
]

ATTEMPTS = 16
"""Seasons of one board that may end while one step is tried: beyond it they end faster than the
store answers."""

BoardListener = Callable[[str], None]
"""Called with the name of a board."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Configured:
    """A board with its rules, as every step needs it."""

    name: str
    target: Board
    seasons: SeasonRules
    views: tuple[Configured, ...]
    ends: int | None = 0
    """When its season ends, as far as we know; None: not by itself. A hint: others may roll."""

    @property
    def all(self) -> tuple[Configured, ...]:
        """The board, and then its views."""
        return (self, *self.views)


def rules_key(board: str) -> bytes:
    return board_key(name_bytes("board", board)) + RULES


def configured(board: str, ranking: Ranking, seasons: SeasonRules) -> Configured:
    """A board and its views by rules that were checked."""
    ranking = replace(ranking, seasonal=seasons.seasonal)
    views = [
        configured(view_name(board, view), ranking, seasons.of_view(board, view))
        for view in seasons.views
    ]
    return Configured(
        board, Board(board_key(name_bytes("board", board)), ranking), seasons, tuple(views)
    )


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


class SeasonalBoards:
    """What boards have because of their seasons. Every method may raise InvalidInput for a name,
    and BackendUnavailable.

    ``clock`` answers about what the store's clock does, in microseconds since 1970: by it a shared
    store is not asked before every read whether a season is over.
    """

    def __init__(self, backend: Backend, clock: Callable[[], int] = wall_clock) -> None:
        self._alone = backend.immediate
        self._sets = backend.sorted_sets
        self._hashes = backend.hashes
        self._values = backend.values
        self._clock = clock
        self._boards = cached(backend, self._load, rules_key)
        self._listeners: tuple[BoardListener, ...] = ()
        self._closers: tuple[BoardListener, ...] = ()
        self.season_index = SeasonIndex(backend)

    def on_change(self, listener: BoardListener) -> None:
        """Hear of every board whose entries may have changed, after the change."""
        self._listeners = (*self._listeners, listener)

    def on_closed(self, listener: BoardListener) -> None:
        """Hear of every board of which this process has closed a season."""
        self._closers = (*self._closers, listener)

    async def seasons(self, board: str) -> SeasonRules:
        """When its seasons end, and its views."""
        return (await self._boards.get(board)).seasons

    async def catch_up(self, board: str) -> Season | None:
        """The season the board is in, after closing one that is over; None: it has no seasons."""
        return await self._catch_up(await self._boards.get(board))

    async def close_season(self, board: str) -> ClosedSeason:
        """End the season the board is in now. Raises Conflict if it has none, and for a view."""
        found = await self._own(board)
        season = await self._catch_up(found)
        if season is None:
            raise Conflict(f"the board {board} has no seasons")
        _, now = await self._sets.season(found.target)
        await self.season_index.put(board, now)  # else nobody would know if we ended here
        closed = await self._roll(found, season.number, now, now, force=True)
        await self.season_index.put_now(board)
        if closed is not None:
            ranking = replace(found.target.ranking, seasonal=False)
            return ClosedSeason(*closed, ranking, packed=None, told=False)
        by_others = await self.closed_season(board, season.number)
        if by_others is None:
            raise Conflict(f"season {season.number} of the board {board} was closed meanwhile")
        return by_others

    async def closed(self, board: str) -> list[ClosedSeason]:
        """The seasons that are kept, newest first. O(seasons kept)."""
        return await all_kept(self._hashes, board)

    async def closed_season(self, board: str, number: int | None) -> ClosedSeason | None:
        """One of the seasons that are kept, O(1); or the newest of them."""
        if number is None:
            return next(iter(await self.closed(board)), None)
        found = await kept(self._hashes, board, number)
        return None if found is None else found.season

    async def _own(self, board: str) -> Configured:
        """The board, for whoever changes it. Raises Conflict for a view."""
        found = await self._boards.get(board)
        refuse_view(found)
        return found

    async def _target(self, board: str) -> Board:
        """The board as its readers see it: not in a season that is over."""
        found = await self._boards.get(board)
        if found.target.ranking.seasonal and self._may_be_over(found):
            await self._catch_up(found)
        return found.target

    def _may_be_over(self, found: Configured) -> bool:
        return self._alone or (found.ends is not None and found.ends <= self._clock())

    async def _in_season(self, boards: Sequence[Configured], step: Callable[[], Awaitable[T]]) -> T:
        """Take a step that writes to boards, closing those of their seasons that are over."""
        for _ in range(ATTEMPTS * len(boards)):
            try:
                return await step()
            except SeasonOver as over:
                (found,) = [one for one in boards if one.target.key == over.key]
                await self._roll(found, over.number, over.ended, over.now)
        raise Unavailable("the seasons of this board end faster than the store answers")

    async def _catch_up(self, found: Configured) -> Season | None:
        if not found.seasons.seasonal:
            return None
        for _ in range(ATTEMPTS):
            season, now = await self._sets.season(found.target)
            if season is None:
                season = await self._sets.set_season(found.target, found.seasons.after(now))
            found.ends = season.ends
            if season.ends is None or now < season.ends:
                return season
            await self._roll(found, season.number, season.ends, now)
        raise Unavailable("the seasons of this board end faster than the store answers")

    async def _roll(
        self, found: Configured, number: int, ended: int, now: int, *, force: bool = False
    ) -> Closed | None:
        """Close a season that ended then; None: somebody else has."""
        rules = found.seasons
        closed = await self._sets.roll(
            found.target,
            number,
            begins=max(ended, rules.before(now) or 0),
            ends=rules.after(now),
            rules=frozen(found.target.ranking),
            force=force,
        )
        if closed is not None:
            self._changed(found.name)
            for listener in self._closers:
                listener(found.name)
        return closed

    async def _schedule(self, found: Configured) -> None:
        """Let the season end as the rules say, from now on, and the keeper look at the board."""
        await self._catch_up(found)
        season, now = await self._sets.season(found.target)
        if season is None:
            return
        ends = found.seasons.after(now)
        if season.ends != ends:
            await self._sets.set_season(found.target, ends)
        found.ends = ends
        await self.season_index.put(found.name, now)

    async def _load(self, board: str) -> Configured:
        fields = await self._hashes.get(rules_key(board))
        if fields is None:
            return configured(board, Ranking(), NO_SEASONS)
        return configured(board, ranking_of(fields), seasons_of(fields))

    def _changed(self, board: str) -> None:
        for listener in self._listeners:
            listener(board)


def refuse_view(found: Configured) -> None:
    owner = found.seasons.view_of
    if owner is not None:
        raise Conflict(
            f"the board {found.name} is a view of the board {owner}, and changes with it"
        )
