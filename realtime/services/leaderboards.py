"""Leaderboards: who stands where, by which score.

The rules of a board lie in a hash beside it. They are read once and kept until they change,
and every step passes them to the store with the board's key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf

from realtime.backends.base import (
    Backend,
    Board,
    Keep,
    OutOfBounds,
    Page,
    Ranking,
    Ranks,
    Standing,
    Submission,
    Submit,
)
from realtime.backends.keys import META, RULES, VERSION, board_key
from realtime.errors import InvalidInput, TooLarge
from realtime.services.cached import cached
from realtime.services.names import name_bytes

__all__ = ["Leaderboards", "json_score"]

MAX_METADATA = 4 * 1024
"""Bytes of JSON per member: a board may have a million, and a page shows a thousand."""

ChangeListener = Callable[[str], None]
"""Called with the name of a board whose entries may have changed."""

_RANKS: dict[bytes, Ranks] = {
    b"ordinal": "ordinal",
    b"competition": "competition",
    b"dense": "dense",
}
_KEEPS: dict[bytes, Keep] = {b"best": "best", b"latest": "latest", b"sum": "sum"}


def json_score(score: float) -> float:
    """A score as JSON shows it: 1200 rather than 1200.0, where no digit is lost by it."""
    return int(score) if -(2**53) < score < 2**53 and score == int(score) else score


class Leaderboards:
    """Every method may raise InvalidInput for a name, and BackendUnavailable."""

    def __init__(self, backend: Backend) -> None:
        self._sets = backend.sorted_sets
        self._hashes = backend.hashes
        self._values = backend.values
        self._boards = cached(backend, self._load, _rules_key)
        self._listeners: tuple[ChangeListener, ...] = ()

    def on_change(self, listener: ChangeListener) -> None:
        """Hear of every board whose entries may have changed, after the change."""
        self._listeners = (*self._listeners, listener)

    async def rules(self, board: str) -> Ranking:
        """The rules in force; the defaults for a board never configured."""
        return (await self._boards.get(board)).ranking

    async def configure(self, board: str, ranking: Ranking) -> Ranking:
        """Set the rules. They govern what comes from now on; entries that are there stay."""
        key = board_key(name_bytes("board", board))
        low, high = ranking.min_score, ranking.max_score
        if low is not None and high is not None and low > high:
            raise InvalidInput("min_score must not be above max_score", path="$.min_score")
        await self._hashes.put(_rules_key(board), _fields(ranking))
        self._boards.put(board, Board(key, ranking))
        self._changed(board)
        return ranking

    async def submit(self, board: str, entries: Sequence[Submit]) -> list[Submission]:
        """Bring scores in, all or nothing. Raises InvalidInput for one out of bounds, TooLarge."""
        target = await self._boards.get(board)
        _check_metadata(entries)
        try:
            answers = await self._sets.submit(target, entries)
        except OutOfBounds as error:
            raise InvalidInput(str(error)) from None
        self._changed(board)
        return answers

    async def submit_to(self, boards: Sequence[str], entry: Submit) -> list[Submission]:
        """Bring one score to several boards, all or nothing; one answer per board."""
        if len(set(boards)) != len(boards):
            raise InvalidInput("a board is named twice", path="$.boards")
        _check_metadata([entry])
        targets = [await self._boards.get(board) for board in boards]
        try:
            answers = await self._sets.submit_to(targets, entry)
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

    async def remove(self, board: str, member: str) -> bool:
        target = await self._boards.get(board)
        removed = await self._sets.remove(target, name_bytes("member", member))
        if removed:
            self._changed(board)
        return removed

    async def drop(self, board: str) -> bool:
        """Delete the board, its rules and its metadata; whether there was anything."""
        key = (await self._boards.get(board)).key
        dropped = await self._values.delete(key, key + META, key + RULES, key + VERSION)
        self._boards.forget(board)
        self._changed(board)
        return dropped > 0

    async def _load(self, board: str) -> Board:
        key = board_key(name_bytes("board", board))
        fields = await self._hashes.get(_rules_key(board))
        return Board(key, Ranking() if fields is None else _ranking(fields))

    def _changed(self, board: str) -> None:
        for listener in self._listeners:
            listener(board)


def _rules_key(board: str) -> bytes:
    return board_key(name_bytes("board", board)) + RULES


def _check_metadata(entries: Sequence[Submit]) -> None:
    for entry in entries:
        if entry.metadata is not None and len(entry.metadata) > MAX_METADATA:
            size = len(entry.metadata)
            raise TooLarge(f"a member's metadata holds at most {MAX_METADATA} bytes, not {size}")


def _fields(ranking: Ranking) -> dict[bytes, bytes]:
    fields = {
        b"order": b"desc" if ranking.descending else b"asc",
        b"keep": ranking.keep.encode(),
        b"ranks": ranking.ranks.encode(),
    }
    if ranking.max_entries is not None:
        fields[b"max_entries"] = b"%d" % ranking.max_entries
    if ranking.min_score is not None:
        fields[b"min_score"] = repr(ranking.min_score).encode()
    if ranking.max_score is not None:
        fields[b"max_score"] = repr(ranking.max_score).encode()
    return fields


def _ranking(fields: Mapping[bytes, bytes]) -> Ranking:
    entries, low, high = (fields.get(name) for name in (b"max_entries", b"min_score", b"max_score"))
    return Ranking(
        descending=fields.get(b"order") != b"asc",
        keep=_KEEPS[fields.get(b"keep", b"best")],
        ranks=_RANKS[fields.get(b"ranks", b"ordinal")],
        max_entries=None if entries is None else int(entries),
        min_score=None if low is None else float(low),
        max_score=None if high is None else float(high),
    )
