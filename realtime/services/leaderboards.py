"""Leaderboards: who stands where, by which score.

The rules of a board lie in a hash beside it. They are read once and kept until they change,
and every step passes them to the store with the board's key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from realtime.backends.base import (
    Backend,
    Board,
    OutOfBounds,
    Ranking,
    Submission,
    Submit,
    counting_score,
)
from realtime.backends.keys import board_key
from realtime.errors import InvalidInput, TooLarge
from realtime.services.boardrules import fields_of
from realtime.services.names import name_bytes
from realtime.services.standings import BoardReads, rules_key
from realtime.services.turns import give_way

__all__ = ["MAX_OVERTAKEN", "Leaderboards"]

MAX_METADATA = 4 * 1024
"""Bytes of JSON per member: a board may have a million, and a page shows a thousand."""

HEARD = 0.25
"""Seconds in which all processes on a store have heard of a change: a round trip, and patience."""

SLICE = 500
"""Scores brought in in one step where there are many: about 5 ms on a board of a million."""

MAX_OVERTAKEN = 50
"""Entries named per submit."""
MAX_NAMED = 10_000
"""Entries that one request may have named in all."""

ChangeListener = Callable[[str], None]
"""Called with the name of a board whose entries may have changed."""


class Leaderboards(BoardReads):
    """Every method may raise InvalidInput for a name, and BackendUnavailable."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._alone = backend.immediate
        self._listeners: tuple[ChangeListener, ...] = ()

    def on_change(self, listener: ChangeListener) -> None:
        """Hear of every board whose entries may have changed, after the change."""
        self._listeners = (*self._listeners, listener)

    async def configure(self, board: str, ranking: Ranking) -> Ranking:
        """Set the rules, and bring what is there in line with them, a slice at a time.

        What each change does stands in docs/leaderboards.md. Where there is nothing to do it
        costs a few look-ups, otherwise O(entries). If it is broken off, do it again.
        """
        key = board_key(name_bytes("board", board))
        _check_rules(ranking)
        old = await self._boards.get(board)
        if old.ranking.entry_ttl != ranking.entry_ttl:
            await self._adapt(Board(key, replace(ranking, entry_ttl=None)))
        if old.ranking.ties != ranking.ties:
            await self._sets.size(old)  # finds out what a store of another kind has left behind
        await self._adapt(Board(key, ranking))
        await self._hashes.put(rules_key(board), fields_of(ranking))
        self._boards.put(board, Board(key, ranking))
        if not self._alone and _is_stored_otherwise(old.ranking, ranking):
            await asyncio.sleep(HEARD)
        await self._adapt(Board(key, ranking))  # what came in by the old rules meanwhile
        self._changed(board)
        return ranking

    async def submit(
        self, board: str, entries: Sequence[Submit], *, overtaken: int = 0
    ) -> list[Submission]:
        """Bring scores in, all or nothing. Raises InvalidInput for one out of bounds, TooLarge.

        With more than `SLICE` of them others have their turn in between, if the outcome cannot
        depend on that; then ranks are those after a score's own slice.
        """
        target = await self._boards.get(board)
        _check_entries(entries)
        if overtaken * len(entries) > MAX_NAMED:
            raise TooLarge(f"a request has at most {MAX_NAMED} overtaken entries named")
        try:
            if len(entries) <= SLICE or not _may_be_sliced(target.ranking, entries):
                answers = await self._sets.submit(target, entries, overtaken=overtaken)
            else:
                answers = await self._submit_slices(target, entries, overtaken)
        except OutOfBounds as error:
            raise InvalidInput(str(error)) from None
        self._changed(board)
        return answers

    async def submit_to(
        self, boards: Sequence[str], entry: Submit, *, overtaken: int = 0
    ) -> list[Submission]:
        """Bring one score to several boards, all or nothing; one answer per board."""
        if len(set(boards)) != len(boards):
            raise InvalidInput("a board is named twice", path="$.boards")
        _check_entries([entry])
        targets = [await self._boards.get(board) for board in boards]
        try:
            answers = await self._sets.submit_to(targets, [entry], overtaken=overtaken)
        except OutOfBounds as error:
            raise InvalidInput(str(error)) from None
        for board in boards:
            self._changed(board)
        return answers

    async def remove(self, board: str, member: str) -> bool:
        target = await self._boards.get(board)
        removed = await self._sets.remove(target, name_bytes("member", member))
        if removed:
            self._changed(board)
        return removed

    async def drop(self, board: str) -> bool:
        """Delete the board, its rules and all that belongs to it; whether there was anything."""
        dropped = await self._sets.drop(await self._boards.get(board))
        self._boards.forget(board)
        self._changed(board)
        return dropped

    async def _submit_slices(
        self, target: Board, entries: Sequence[Submit], overtaken: int
    ) -> list[Submission]:
        for entry in entries:
            counting_score(target.ranking, None, entry.score)  # raises for one out of bounds
        answers: list[Submission] = []
        for start in range(0, len(entries), SLICE):
            part = entries[start : start + SLICE]
            answers += await self._sets.submit(target, part, overtaken=overtaken)
            await give_way()
        return answers

    async def _adapt(self, target: Board) -> None:
        start: int | None = 0
        while (start := await self._sets.adapt(target, start or 0)) is not None:
            await give_way()

    def _changed(self, board: str) -> None:
        for listener in self._listeners:
            listener(board)


def _check_rules(ranking: Ranking) -> None:
    low, high = ranking.min_score, ranking.max_score
    if low is not None and high is not None and low > high:
        raise InvalidInput("min_score must not be above max_score", path="$.min_score")


def _check_entries(entries: Sequence[Submit]) -> None:
    for entry in entries:
        if entry.metadata is not None and len(entry.metadata) > MAX_METADATA:
            size = len(entry.metadata)
            raise TooLarge(f"a member's metadata holds at most {MAX_METADATA} bytes, not {size}")


def _is_stored_otherwise(old: Ranking, new: Ranking) -> bool:
    """Whether entries brought in by the old rules are not as the new ones want them."""
    return old.entry_ttl != new.entry_ttl or (old.ties, new.ties) == ("first", "member")


def _may_be_sliced(ranking: Ranking, entries: Sequence[Submit]) -> bool:
    """Whether nothing can be refused once the first slice is in, nor be counted twice by whoever
    tries again after a slice was lost."""
    if ranking.keep != "sum":
        return True
    unbounded = ranking.min_score is None and ranking.max_score is None
    return unbounded and all(entry.id is not None for entry in entries)
