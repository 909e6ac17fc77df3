"""What is done for a board whose season may be over: close, tell, delete, pack; and when again.

Each of these may be broken off, and be done twice, and comes to the same; what has been done is
noted beside the archives. Who does it is decided elsewhere: see `realtime.services.season_keeper`.

Kept are the newest ``archives`` closed seasons of a board, and none of them for longer than
``archive_ttl``. What is still to be told is kept for as long as that takes, but not packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from realtime.backends.base import Backend, Season
from realtime.services.archives import Archives
from realtime.services.resets import Resets
from realtime.services.rolling import ClosedSeason, SeasonalBoards
from realtime.services.season_index import NEVER
from realtime.services.season_telling import SeasonTelling
from realtime.services.seasons import SeasonRules

__all__ = ["SeasonCare", "SeasonFigures"]


@dataclass(slots=True)
class SeasonFigures:
    """Of this process."""

    closed: int = 0
    packed: int = 0
    deleted: int = 0
    failures: int = 0
    """Times that a board could not be looked after; it is tried again."""
    late: float = 0.0
    """Seconds for which the board that waits for attention longest has been waiting."""
    unpacked: dict[str, int] = field(default_factory=dict)
    """Board -> closed seasons that are still to be packed, of those that are looked after now."""


class SeasonCare:
    """One per process."""

    def __init__(
        self, backend: Backend, boards: SeasonalBoards, archives: Archives, resets: Resets | None
    ) -> None:
        """``resets`` is None if nobody is to be told."""
        self.figures = SeasonFigures()
        self._boards = boards
        self._archives = archives
        self._telling = SeasonTelling(backend, boards.season_index, archives, resets)

    async def attend(self, board: str) -> int | None:
        """Do what there is to do, and when there is more to do, or NEVER; None: the board has
        neither a season nor archives. Raises BackendUnavailable."""
        season = await self._boards.catch_up(board)
        rules = await self._boards.seasons(board)
        closed = await self._boards.closed(board)
        if season is None and not closed:
            return None
        untold = await self._telling.tell(board, closed)
        kept = _kept(closed, rules, await self._boards.season_index.now())
        for one in closed:
            if one not in kept and one.number not in untold.numbers:
                await self._archives.delete(board, one)
                self.figures.deleted += 1
        await self._pack(board, kept)
        return min(untold.again, *_instants(season, kept, rules))

    async def _pack(self, board: str, kept: Sequence[ClosedSeason]) -> None:
        waiting = [one for one in kept if one.packed is None]
        try:
            for done, one in enumerate(waiting):
                self.figures.unpacked[board] = len(waiting) - done
                await self._archives.pack(board, one)
                self.figures.packed += 1
        finally:  # somebody else may go on with it
            self.figures.unpacked.pop(board, None)


def _kept(closed: Sequence[ClosedSeason], rules: SeasonRules, now: int) -> list[ClosedSeason]:
    """Those that are to be kept, of what is there, newest first."""
    ttl = rules.archive_ttl
    newest = closed[: rules.archives]
    return [one for one in newest if ttl is None or one.ended + ttl > now]


def _instants(
    season: Season | None, kept: Sequence[ClosedSeason], rules: SeasonRules
) -> tuple[int, ...]:
    """When the season ends, and when an archive has been kept for long enough."""
    ends = NEVER if season is None or season.ends is None else season.ends
    if rules.archive_ttl is None or not kept:
        return (ends,)
    return ends, kept[-1].ended + rules.archive_ttl
