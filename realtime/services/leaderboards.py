"""Leaderboards: who stands where, by which score.

Here scores come in and members leave, on a board and on its views alike, and are taken out of
seasons that are over. How rules are set is in `boardsetup`, what is read in `standings`, and how
one season follows the other in `rolling`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import partial

from realtime.backends.base import (
    OutOfBounds,
    Ranking,
    SeasonOver,
    Submission,
    Submit,
    counting_score,
)
from realtime.errors import InvalidInput, NotFound, TooLarge
from realtime.services.boardsetup import BoardSetup
from realtime.services.columns import Damaged
from realtime.services.names import name_bytes
from realtime.services.rolling import Configured, refuse_view
from realtime.services.seasons import View
from realtime.services.standings import PREVIOUS, SeasonName
from realtime.services.turns import give_way

__all__ = ["MAX_OVERTAKEN", "Leaderboards"]

MAX_METADATA = 4 * 1024
"""Bytes of JSON per member: a board may have a million, and a page shows a thousand."""

SLICE = 500
"""Scores brought in in one step where there are many: about 5 ms on a board of a million."""

MAX_OVERTAKEN = 50
"""Entries named per submit."""
MAX_NAMED = 10_000
"""Entries that one request may have named in all."""


class Leaderboards(BoardSetup):
    """Every method may raise InvalidInput for a name, and BackendUnavailable; those that write to
    a board raise Conflict for a view."""

    async def submit(
        self, board: str, entries: Sequence[Submit], *, overtaken: int = 0
    ) -> list[Submission]:
        """Bring scores in, all or nothing. Raises InvalidInput for one out of bounds, TooLarge.

        With more than `SLICE` of them others have their turn in between, if the outcome cannot
        depend on that; then ranks are those after a score's own slice, a season may end between
        two of them, and other rules hold from the next one on. Views take all of them in the same
        steps.
        """
        found = await self._boards.get(board)
        refuse_view(found)
        _check_entries(entries)
        if overtaken * len(entries) > MAX_NAMED:
            raise TooLarge(f"a request has at most {MAX_NAMED} overtaken entries named")
        if len(entries) > SLICE and _may_be_sliced(found, entries):
            return await self._bring_slices(found, entries, overtaken)
        answers = await self._bring(found.all, entries, overtaken)
        return answers[: len(entries)] if found.views else answers

    async def submit_to(
        self, boards: Sequence[str], entry: Submit, *, overtaken: int = 0
    ) -> list[Submission]:
        """Bring one score to several boards and their views, all or nothing; one answer per board
        that is named."""
        if len(set(boards)) != len(boards):
            raise InvalidInput("a board is named twice", path="$.boards")
        _check_entries([entry])
        found = [await self._own(board) for board in boards]
        views = [view for one in found for view in one.views]
        answers = await self._bring([*found, *views], [entry], overtaken)
        return answers[: len(boards)]

    async def remove(self, board: str, member: str) -> bool:
        """Whether the member was on the board, or on one of its views."""
        name = name_bytes("member", member)
        found = await self._own(board)
        removed = [await self._remove(one, name) for one in found.all]
        return any(removed)

    async def erase(
        self, board: str, member: str, season: SeasonName | None, *, view: View | None = None
    ) -> bool:
        """Take a member out of one season of a board, or of a view; whether it was in it.

        The season that the board is in, or None, is the board as it is: see `remove`. Raises
        NotFound if there is no such view, or the season is not kept."""
        name = name_bytes("member", member)
        if view is not None:
            board = await self._view(board, view)
        if season is None or await self._is_in(board, season):
            removed = await self.remove(board, member)
            if season is None or await self._is_in(board, season):
                return removed
        number = None if season == PREVIOUS else season
        closed = await self.closed_season(board, number)
        if closed is None:
            raise NotFound(f"the board {board} keeps no such season")
        return await self.archives.erase(board, closed, name)

    async def erase_everywhere(self, board: str, member: str) -> bool:
        """Remove a member from the board and its views, and take it out of all their seasons that
        are kept, one after the other; whether it was anywhere. If it is broken off, do it again.

        Raises Damaged for a season that cannot be read, when all others are done."""
        name = name_bytes("member", member)
        erased = await self.remove(board, member)  # before it is known which seasons are over
        damaged: Damaged | None = None
        for one in (await self._own(board)).all:
            for season in await self.closed(one.name):
                try:
                    erased = await self.archives.erase(one.name, season, name) or erased
                except NotFound:
                    continue  # it has had its time
                except Damaged as fault:
                    damaged = fault
                await give_way()
        if damaged is not None:
            raise damaged
        return erased

    async def _is_in(self, board: str, season: SeasonName) -> bool:
        current = await self.catch_up(board)
        return current is not None and current.number == season

    async def _bring(
        self, boards: Sequence[Configured], entries: Sequence[Submit], overtaken: int
    ) -> list[Submission]:
        """One step. The answers of the first board come first, those of the others follow."""
        try:
            try:
                answers = await self._try(boards, entries, overtaken)
            except SeasonOver:
                again = partial(self._try, boards, entries, overtaken)
                answers = await self._in_season(boards, again)
        except OutOfBounds as error:
            raise _refusal(error, entries) from None
        for one in boards:
            self._changed(one.name)
        return answers

    def _try(
        self, boards: Sequence[Configured], entries: Sequence[Submit], overtaken: int
    ) -> Awaitable[list[Submission]]:
        if len(boards) == 1:
            return self._sets.submit(boards[0].target, entries, overtaken=overtaken)
        targets = [one.target for one in boards]
        return self._sets.submit_to(targets, entries, overtaken=overtaken)

    async def _bring_slices(
        self, found: Configured, entries: Sequence[Submit], overtaken: int
    ) -> list[Submission]:
        _check_bounds(found.target.ranking, entries)
        answers: list[Submission] = []
        while len(answers) < len(entries):
            found = await self._own(found.name)  # by now its rules may be others
            part = entries[len(answers) : len(answers) + SLICE // len(found.all)]
            answers += (await self._bring(found.all, part, overtaken))[: len(part)]
            await give_way()
        return answers

    async def _remove(self, found: Configured, member: bytes) -> bool:
        removed = await self._in_season([found], lambda: self._sets.remove(found.target, member))
        if removed:
            self._changed(found.name)
        return removed


def _check_entries(entries: Sequence[Submit]) -> None:
    for entry in entries:
        if entry.metadata is not None and len(entry.metadata) > MAX_METADATA:
            size = len(entry.metadata)
            raise TooLarge(f"a member's metadata holds at most {MAX_METADATA} bytes, not {size}")


def _check_bounds(ranking: Ranking, entries: Sequence[Submit]) -> None:
    for number, entry in enumerate(entries):
        try:
            counting_score(ranking, None, entry.score)
        except OutOfBounds as error:
            error.entry = number
            raise _refusal(error, entries) from None


def _refusal(error: OutOfBounds, entries: Sequence[Submit]) -> InvalidInput:
    """What is told of a score out of bounds; of several, which one it is."""
    path = f"$.entries[{error.entry}].score" if len(entries) > 1 else None
    return InvalidInput(str(error), path=path)


def _may_be_sliced(found: Configured, entries: Sequence[Submit]) -> bool:
    """Whether nothing can be refused once the first slice is in, nor be counted twice by whoever
    tries again after a slice was lost."""
    ranking = found.target.ranking
    if ranking.keep != "sum":
        return True
    unbounded = ranking.min_score is None and ranking.max_score is None
    return unbounded and all(entry.id is not None for entry in entries)
