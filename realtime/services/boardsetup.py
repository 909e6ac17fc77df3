"""The rules of a board while it is live, its views, and its end.

The rules lie in a hash beside the board. They are read once and kept until they change, and
every step passes them to the store with the board's key. A view has a hash of its own, so that
it is read like any board; it says whose view it is. Who writes goes by the hash of the board,
which names the views.

Both are set here, in steps that may be done again if they were broken off in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from realtime.backends.base import UNHEARD, Board, Ranking
from realtime.backends.keys import SEASONS
from realtime.errors import Conflict, InvalidInput
from realtime.services.boardrules import fields_of, ranking_of, seasons_of
from realtime.services.rolling import Configured, configured, rules_key
from realtime.services.seasons import NO_SEASONS, VIEWS, SeasonRules, check_seasons, view_name
from realtime.services.standings import BoardReads
from realtime.services.turns import give_way

__all__ = ["BoardSetup"]

HEARD = 0.25
"""Seconds in which all processes on a store have heard of a change: a round trip, and patience."""


class BoardSetup(BoardReads):
    """Sets the rules of boards."""

    async def configure(
        self, board: str, ranking: Ranking, seasons: SeasonRules = NO_SEASONS
    ) -> Ranking:
        """Set the rules, and bring what is there in line with them, a slice at a time.

        What each change does stands in docs/leaderboards.md. Where there is nothing to do it
        costs a few look-ups, otherwise O(entries). If it is broken off, do it again. Raises
        InvalidInput, and Conflict for a view, or if a view is to have the name of another board.
        """
        old = await self._own(board)
        _check_rules(ranking)
        _, now = await self._sets.season(old.target)
        new = configured(board, ranking, check_seasons(board, seasons, now))
        for view in new.views:
            await self._check_free(board, view)
        changes = [(old, new)]
        changes += [(await self._boards.get(view.name), view) for view in new.views]
        for before, after in changes:
            await self._replace(before, after)
        if not self._alone and any(_is_stored_otherwise(*change) for change in changes):
            await asyncio.sleep(HEARD)
        for before, after in changes:
            await self._settle(before, after)
            await self._go_by_the_latest(after)
        await self._end_views(board, besides=new.views)
        return new.target.ranking

    async def drop(self, board: str) -> bool:
        """Delete the board, its rules, views and archives and all that belongs to it; whether
        there was anything."""
        found = await self._own(board)
        if found.views:
            await self._hashes.patch(rules_key(board), {}, [b"views"])
            self._boards.forget(board)
            if not self._alone:
                await asyncio.sleep(HEARD)  # until nobody submits to them any more
        dropped = await self._end_views(board)
        return await self._end(found) or dropped

    async def _check_free(self, board: str, view: Configured) -> None:
        there = await self._boards.get(view.name)
        if there.seasons.view_of == board:
            return
        if await self._hashes.get(rules_key(view.name)) or await self._sets.size(there.target):
            raise Conflict(
                f"there is a board {view.name} that is no view; delete it first", path="$.views"
            )

    async def _replace(self, old: Configured, new: Configured) -> None:
        """Bring the entries of one board in line with its rules, and store these.

        Another time to live is given to them by `_settle`, for the rule has to be there first:
        if we were broken off in between, a board would leave that is to stay."""
        was, ranking = old.target.ranking, new.target.ranking
        await self._catch_up(old)  # what is over is over by the rules it was played by
        if was.ties != ranking.ties:
            await self._sets.size(old.target)  # finds what a store of another kind left behind
        await self._adapt(_for_good(new) if was.entry_ttl != ranking.entry_ttl else new.target)
        await self._begin(new)
        await self._hashes.put(rules_key(new.name), fields_of(ranking, new.seasons))
        self._boards.put(new.name, new)

    async def _settle(self, old: Configured, new: Configured) -> None:
        """See to what came in by the old rules while they were replaced."""
        was, ranking = old.target.ranking, new.target.ranking
        if was.entry_ttl != ranking.entry_ttl:
            await self._adapt(_for_good(new))
        is_late = not self._alone and _is_indexed_anew(was, ranking)
        await self._adapt(new.target, UNHEARD if is_late else 0)
        await self._schedule(new)
        self._changed(new.name)

    async def _go_by_the_latest(self, done: Configured) -> None:
        """Others may have set other rules meanwhile, and been done before us: these stand."""
        while True:
            stored = await self._load(done.name)
            if stored.target.ranking == done.target.ranking:
                return
            await self._settle(done, stored)
            done = stored

    async def _begin(self, new: Configured) -> None:
        """The first season, before anybody can miss it."""
        season, now = await self._sets.season(new.target)
        if season is None and new.seasons.seasonal:
            await self._sets.set_season(new.target, new.seasons.after(now))

    async def _end_views(self, board: str, besides: tuple[Configured, ...] = ()) -> bool:
        """Delete the views of a board that it is to have no more; whether there were any."""
        kept = {view.name for view in besides}
        gone = [view for view in await self._views_of(board) if view.name not in kept]
        for view in gone:
            await self._end(view)
        return bool(gone)

    async def _views_of(self, board: str) -> list[Configured]:
        """Those that say so, whether or not the board still names them."""
        found: list[Configured] = []
        for name in _view_names(board):
            fields = await self._hashes.get(rules_key(name)) or {}
            seasons = seasons_of(fields)
            if seasons.view_of == board:
                found.append(configured(name, ranking_of(fields), seasons))
        return found

    async def _end(self, found: Configured) -> bool:
        """Delete one board; whether there was anything. The archives go last: until then the
        board can be deleted again."""
        dropped = await self._sets.drop(found.target)
        self._boards.forget(found.name)
        await self._end_archives(found)
        await self.season_index.remove(found.name)
        self._changed(found.name)
        return dropped

    async def _end_archives(self, found: Configured) -> None:
        for season in await self.closed(found.name):
            await self.archives.delete(found.name, season)
        await self._values.delete(found.target.key + SEASONS)

    async def _adapt(self, target: Board, start: int = 0) -> None:
        at = await self._sets.adapt(target, start)
        while at is not None:
            await give_way()
            at = await self._sets.adapt(target, at)


def _for_good(found: Configured) -> Board:
    """The board by its rules, but for when entries leave."""
    return Board(found.target.key, replace(found.target.ranking, entry_ttl=None))


def _view_names(board: str) -> Iterator[str]:
    for view in VIEWS:
        with suppress(InvalidInput):
            yield view_name(board, view)


def _check_rules(ranking: Ranking) -> None:
    low, high = ranking.min_score, ranking.max_score
    if low is not None and high is not None and low > high:
        raise InvalidInput("min_score must not be above max_score", path="$.min_score")


def _is_stored_otherwise(old: Configured, new: Configured) -> bool:
    """Whether entries brought in by the old rules are not as the new ones want them, or may be
    of the wrong season."""
    was, ranking = old.target.ranking, new.target.ranking
    return (
        was.entry_ttl != ranking.entry_ttl
        or (was.ties, ranking.ties) == ("first", "member")
        or _is_indexed_anew(was, ranking)
        or old.seasons != new.seasons
    )


def _is_indexed_anew(was: Ranking, ranking: Ranking) -> bool:
    """Whether entries are found by what those who go by the old rules do not keep."""
    return (was.ties, ranking.ties) == ("member", "first") or (
        was.ranks != "dense" and ranking.ranks == "dense"
    )
