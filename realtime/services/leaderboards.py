"""Leaderboards: who stands where, by which score.

The rules of a board lie in a hash beside it. They are read once and kept until they change,
and every step passes them to the store with the board's key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf

from realtime.backends.base import (
    Backend,
    Board,
    Histogram,
    OutOfBounds,
    Page,
    Ranking,
    Standing,
    Submission,
    Submit,
    counting_score,
)
from realtime.backends.keys import RULES, board_key
from realtime.errors import InvalidInput, TooLarge
from realtime.services.boardrules import fields_of, ranking_of
from realtime.services.cached import cached
from realtime.services.cursors import START, Cursor
from realtime.services.names import name_bytes
from realtime.services.turns import give_way

__all__ = ["MAX_BUCKETS", "MAX_OVERTAKEN", "Leaderboards", "json_score"]

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

MAX_BUCKETS = 1_000

ChangeListener = Callable[[str], None]
"""Called with the name of a board whose entries may have changed."""


def json_score(score: float) -> float:
    """A score as JSON shows it: 1200 rather than 1200.0, where no digit is lost by it."""
    return int(score) if -(2**53) < score < 2**53 and score == int(score) else score


class Leaderboards:
    """Every method may raise InvalidInput for a name, and BackendUnavailable."""

    def __init__(self, backend: Backend) -> None:
        self._alone = backend.immediate
        self._sets = backend.sorted_sets
        self._hashes = backend.hashes
        self._boards = cached(backend, self._load, _rules_key)
        self._listeners: tuple[ChangeListener, ...] = ()

    def on_change(self, listener: ChangeListener) -> None:
        """Hear of every board whose entries may have changed, after the change."""
        self._listeners = (*self._listeners, listener)

    async def rules(self, board: str) -> Ranking:
        """The rules in force; the defaults for a board never configured."""
        return (await self._boards.get(board)).ranking

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
        await self._hashes.put(_rules_key(board), fields_of(ranking))
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
            answers = await self._sets.submit_to(targets, entry, overtaken=overtaken)
        except OutOfBounds as error:
            raise InvalidInput(str(error)) from None
        for board in boards:
            self._changed(board)
        return answers

    async def size(self, board: str) -> int:
        return await self._sets.size(await self._boards.get(board))

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
        target = await self._boards.get(board)
        if minimum is None and maximum is None:
            return await self._sets.page(target, offset, limit, metadata=metadata)
        low = -inf if minimum is None else minimum
        high = inf if maximum is None else maximum
        return await self._sets.page_by_score(target, low, high, offset, limit, metadata=metadata)

    async def members(self, board: str, members: Sequence[str], *, metadata: bool = False) -> Page:
        """The entries of some members, those absent left out, best first with global ranks."""
        wanted = [name_bytes("member", member) for member in members]
        return await self._sets.members(await self._boards.get(board), wanted, metadata=metadata)

    async def standing(self, board: str, member: str) -> Standing | None:
        return await self._sets.standing(
            await self._boards.get(board), name_bytes("member", member)
        )

    async def around(
        self, board: str, member: str, radius: int, *, metadata: bool = False
    ) -> Page | None:
        """The member with ``radius`` others on either side; a full page at the ends too."""
        return await self._sets.around(
            await self._boards.get(board), name_bytes("member", member), radius, metadata=metadata
        )

    async def around_score(
        self, board: str, score: float, radius: int, *, metadata: bool = False
    ) -> Page:
        """``radius`` entries that are better than a score, and ``radius`` that are not."""
        return await self._sets.around_score(
            await self._boards.get(board), score, radius, metadata=metadata
        )

    async def onward(
        self, board: str, cursor: str, limit: int, *, metadata: bool = False
    ) -> tuple[Page, str | None]:
        """The entries behind a cursor, `START` for the first ones, and the cursor to go on with.

        Raises InvalidInput; Gone if the board was deleted since; Conflict if its order changed.
        """
        target = await self._boards.get(board)
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
        return await self._sets.at_percentile(await self._boards.get(board), percentile)

    async def count(self, board: str, minimum: float | None, maximum: float | None) -> int:
        """How many entries have a score within the bounds, both included."""
        low = -inf if minimum is None else minimum
        high = inf if maximum is None else maximum
        page = await self._sets.page_by_score(await self._boards.get(board), low, high, 0, 0)
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
        return await self._sets.histogram(await self._boards.get(board), bounds)

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

    async def _load(self, board: str) -> Board:
        key = board_key(name_bytes("board", board))
        fields = await self._hashes.get(_rules_key(board))
        return Board(key, Ranking() if fields is None else ranking_of(fields))

    def _changed(self, board: str) -> None:
        for listener in self._listeners:
            listener(board)


def _rules_key(board: str) -> bytes:
    return board_key(name_bytes("board", board)) + RULES


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
