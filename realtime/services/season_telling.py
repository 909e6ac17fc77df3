"""Seasons that have ended, told to whoever wants to know, and what has been told noted.

Beside the archives of a board lie, for season 7, ``7:told`` when it has been heard or given up, and
``7:tried``, the instant of the first try that failed, if one has: how long it has been tried says
for how long to wait, and when to give up, whichever process tries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from realtime.backends.base import Backend
from realtime.services.archives import Archives
from realtime.services.closedseasons import TOLD, TRIED, ClosedSeason, kept, seasons_key
from realtime.services.resets import TOP, Answer, Reset, Resets
from realtime.services.season_index import NEVER, SeasonIndex

__all__ = ["SeasonTelling", "Untold"]

_SECOND = 1_000_000


class Untold(NamedTuple):
    """What was not heard."""

    numbers: set[int]
    again: int
    """When to try again; NEVER if there is nothing left."""


class SeasonTelling:
    """One per process."""

    def __init__(
        self, backend: Backend, index: SeasonIndex, archives: Archives, resets: Resets | None
    ) -> None:
        """``resets`` is None if nobody is to be told."""
        self._hashes = backend.hashes
        self._index = index
        self._archives = archives
        self._resets = resets

    async def tell(self, board: str, closed: Sequence[ClosedSeason]) -> Untold:
        """Tell those of the closed seasons, newest first, that have not been told, oldest first."""
        left = [one for one in reversed(closed) if not one.told]
        if self._resets is None:
            for one in left:
                await self._note(board, one, TOLD, b"1")
            return Untold(set(), NEVER)
        untold, again = {one.number for one in left}, NEVER
        for one in left:
            answer = await self._tell(self._resets, board, one)
            if answer.done:
                untold.discard(one.number)
                continue
            again = min(again, await self._index.now() + round(answer.pause * _SECOND))
            if not answer.tried:
                break  # nor would the others be
        return Untold(untold, again)

    async def _tell(self, resets: Resets, board: str, season: ClosedSeason) -> Answer:
        top = (await self._archives.top(board, season, TOP)).entries
        reset = Reset(board, season.number, season.began, season.ended, season.size, top)
        tried = await self._tried(board, season.number)
        age = 0 if tried is None else await self._index.now() - tried
        answer = await resets.tell(reset, max(0, age) / _SECOND)
        if answer.done:
            await self._note(board, season, TOLD, b"1")
        elif answer.tried and tried is None:
            await self._note(board, season, TRIED, b"%d" % await self._index.now())
        return answer

    async def _tried(self, board: str, number: int) -> int | None:
        (tried,) = await self._hashes.fields(seasons_key(board), [TRIED % number])
        return None if tried is None else int(tried)

    async def _note(self, board: str, season: ClosedSeason, field: bytes, text: bytes) -> None:
        """Beside the season, if that is kept still: to tell takes a while."""
        done = False
        while not done and (there := await kept(self._hashes, board, season.number)) is not None:
            if there.season.ended != season.ended:
                return  # another board has this name
            note = {field % season.number: text}
            done = await self._hashes.commit(seasons_key(board), there.seen, note)
