"""Leaderboards in Redis: sorted sets, and the hash of their members' metadata beside them.

The scripts decide and store. What became of a score is then told from the score before it, by
the arithmetic of `engine.ranking` itself, so that both backends answer the same: the same
doubles, the same errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, repeat
from typing import Any

from engine.ranking import counting_score
from realtime.backends.base import (
    Board,
    Closed,
    Entry,
    EntryPosition,
    Histogram,
    Onward,
    OutOfBounds,
    Page,
    Ranking,
    Season,
    SeasonOver,
    Standing,
    Submission,
    Submit,
)
from realtime.backends.keys import BESIDE_BOARD, LOOKS, SEASON, TTL
from realtime.backends.redis import boardscripts as scripts
from realtime.backends.redis.boardscripts import (
    double,
    erase_keys,
    keys_of,
    rich_keys,
    roll_keys,
    rules_of,
    shown,
)
from realtime.backends.redis.calls import Calls
from realtime.backends.redis.scripts import Script
from realtime.backends.redis.typed import TypedCalls

__all__ = ["SortedSets"]

GENERATION_KEPT = 30 * 24 * 3600 * 1_000_000
"""Microseconds for which it is known that a board was deleted."""
LOOKS_KEPT = GENERATION_KEPT
"""Microseconds for which the version of a look is known."""

MARK, PLACE = b"\xff", 9
"""What begins a place, and how many bytes that has: see `engine.placedset`."""

_new = tuple.__new__  # half the time of a named tuple's own constructor; a page has many rows

Score = bytes | None
"""A score as Redis writes it, None where there is none."""


class SortedSets:
    """See `realtime.backends.base.SortedSets`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = TypedCalls(calls, "zset")
        self._hashes = TypedCalls(calls, "hash")

    async def submit(
        self, board: Board, entries: Sequence[Submit], *, overtaken: int = 0
    ) -> list[Submission]:
        if len(entries) != 1 or overtaken or entries[0].id is not None or not board.ranking.plain:
            return await self._submit_many([board], entries, overtaken)
        member, score, note, _ = entry = entries[0]
        words = [member, double(score)] if note is None else [member, double(score), note]
        keys = keys_of(board, note is not None or board.ranking.max_entries is not None)
        answer = await self._calls.run(scripts.SUBMIT, keys, *rules_of(board.ranking), *words)
        if len(answer) == 1:
            raise _refusal(board.ranking, entry, answer[0])
        return [_submission(board.ranking, entry, *answer)]

    async def submit_to(
        self, boards: Sequence[Board], entries: Sequence[Submit], *, overtaken: int = 0
    ) -> list[Submission]:
        if len({board.key for board in boards}) != len(boards):
            raise ValueError("the same board is named twice")
        return await self._submit_many(boards, entries, overtaken) if boards else []

    async def remove(self, board: Board, member: bytes) -> bool:
        if board.ranking.plain:
            removed: int = await self._calls.run(scripts.REMOVE, keys_of(board), member)
        else:
            keys = rich_keys(board)
            answer = await self._calls.run(scripts.REMOVE_RICH, keys, *shown(board), member)
            if type(answer) is list:
                raise _over(board, *answer)
            removed = answer
        return removed > 0

    async def size(self, board: Board) -> int:
        if board.ranking.plain:
            size: int = await self._calls.command(board.key, b"ZCARD", board.key)
        else:
            size = await self._calls.run(scripts.SIZE, rich_keys(board), *shown(board))
        return size

    async def standing(self, board: Board, member: bytes) -> Standing | None:
        answer = await self._ask(scripts.STANDING, board, True, member)
        if answer is None:
            return None
        total, rank, score, note, better = answer
        return Standing(Entry(rank, member, float(score), note), total, better)

    async def page(self, board: Board, offset: int, limit: int, *, metadata: bool = False) -> Page:
        bounds = (b"%d" % max(0, offset), b"%d" % (offset + limit - 1))
        return await self._page(scripts.PAGE, board, metadata, *bounds)

    async def page_by_score(
        self,
        board: Board,
        minimum: float,
        maximum: float,
        offset: int,
        limit: int,
        *,
        metadata: bool = False,
    ) -> Page:
        words = (double(minimum), double(maximum), b"%d" % offset, b"%d" % limit)
        return await self._page(scripts.PAGE_BY_SCORE, board, metadata, *words)

    async def members(
        self, board: Board, members: Sequence[bytes], *, metadata: bool = False
    ) -> Page:
        wanted = list(dict.fromkeys(members))
        answer = await self._ask(scripts.MEMBERS, board, metadata, _flag(metadata), *wanted)
        return _chosen(wanted, *answer)

    async def look(self, board: Board, members: Sequence[bytes]) -> tuple[int, Page]:
        wanted = list(dict.fromkeys(members))
        script, keys = scripts.asked(scripts.LOOK, board, False)
        words = (*shown(board), b"%d" % LOOKS_KEPT, *wanted)
        version, *answer = await self._calls.run(script, (*keys, board.key + LOOKS), *words)
        return version, _chosen(wanted, *answer)

    async def leaving(self, board: Board) -> int | None:
        left: int | None = await self._calls.run(scripts.LEAVING, [board.key + TTL])
        return left

    async def around(
        self, board: Board, member: bytes, radius: int, *, metadata: bool = False
    ) -> Page | None:
        answer = await self._ask(
            scripts.AROUND, board, metadata, _flag(metadata), member, b"%d" % radius
        )
        return None if answer is None else _page(board.ranking, *answer)

    async def around_score(
        self, board: Board, score: float, radius: int, *, metadata: bool = False
    ) -> Page:
        words = (double(score), b"%d" % radius)
        return await self._page(scripts.AROUND_SCORE, board, metadata, *words)

    async def onward(
        self, board: Board, after: EntryPosition | None, limit: int, *, metadata: bool = False
    ) -> Onward:
        words = () if after is None else (double(after.score), after.stored)
        plain = board.ranking.plain
        keys = (*keys_of(board), board.key + b":generation") if plain else rich_keys(board)
        found, last, generation = await self._calls.run(
            scripts.ONWARD[plain], keys, *shown(board), _flag(metadata), b"%d" % limit, *words
        )
        page = _page(board.ranking, *found)
        end = None if last is None else EntryPosition(page.entries[-1].score, last)
        return Onward(page, end, int(generation or 0))

    async def at_percentile(self, board: Board, percentile: float) -> Page:
        answer = await self._ask(scripts.AT_PERCENTILE, board, False, double(percentile))
        return _page(board.ranking, *answer)

    async def histogram(self, board: Board, bounds: Sequence[float] | int) -> Histogram:
        words = (b"%d" % bounds,) if isinstance(bounds, int) else (b"", *map(double, bounds))
        total, edges, below = await self._ask(scripts.HISTOGRAM, board, False, *words)
        return _histogram(total, [float(edge) for edge in edges], below)

    async def drop(self, board: Board) -> bool:
        keys = [board.key + b":generation", board.key]
        keys += [board.key + end for end in BESIDE_BOARD]
        gone: int = await self._calls.run(scripts.DROP, keys, b"%d" % GENERATION_KEPT)
        return gone > 0

    async def adapt(self, board: Board, start: int) -> int | None:
        order, ranks, _, most, *_ = rules_of(board.ranking, True)
        words = (order, ranks, most, b"%d" % start)
        next_start: int | None = await self._calls.run(scripts.ADAPT, rich_keys(board), *words)
        return next_start

    async def season(self, board: Board) -> tuple[Season | None, int]:
        number, began, ends, now = await self._hashes.run(scripts.SEASON_OF, [board.key + SEASON])
        if number is None:
            return None, int(now)
        return Season(int(number), int(began), int(ends) if ends else None), int(now)

    async def set_season(self, board: Board, ends: int | None) -> Season:
        keys = [board.key + SEASON]
        number, began = await self._hashes.run(scripts.SET_SEASON, keys, _instant(ends))
        return Season(int(number), int(began), ends)

    async def roll(
        self,
        board: Board,
        number: int,
        *,
        begins: int,
        ends: int | None,
        rules: bytes,
        force: bool = False,
    ) -> Closed | None:
        words = [*rules_of(board.ranking, True)[:2], b"%d" % number, b"%d" % begins]
        words += [_instant(ends), rules, _flag(force), b"%d" % GENERATION_KEPT]
        answer = await self._calls.run(scripts.ROLL, roll_keys(board, number), *words)
        if answer is None:
            return None
        began, ended, size = answer
        return Closed(number, int(began), int(ended), size)

    async def erase(self, board: Board, number: int, member: bytes) -> bool:
        words = (*rules_of(board.ranking, True)[:2], member, b"%d" % number)
        erased: int = await self._calls.run(scripts.ERASE, erase_keys(board, number), *words)
        return erased > 0

    async def _ask(
        self, reading: dict[bool, Script], board: Board, metadata: bool, *words: bytes
    ) -> Any:
        script, keys = scripts.asked(reading, board, metadata)
        return await self._calls.run(script, keys, *shown(board), *words)

    async def _page(
        self, reading: dict[bool, Script], board: Board, metadata: bool, *words: bytes
    ) -> Page:
        answer = await self._ask(reading, board, metadata, _flag(metadata), *words)
        return _page(board.ranking, *answer)

    async def _submit_many(
        self, boards: Sequence[Board], entries: Sequence[Submit], overtaken: int
    ) -> list[Submission]:
        is_rich = overtaken > 0 or any(entry.id is not None for entry in entries)
        if is_rich or not all(board.ranking.plain for board in boards):
            answers = await self._submit_rich(boards, entries, overtaken)
        else:
            keys = [key for board in boards for key in keys_of(board)]
            words = [word for board in boards for word in rules_of(board.ranking)]
            for member, score, note, _ in entries:
                words += (member, double(score), _optional(note))
            answers = await self._calls.run(scripts.SUBMIT_MANY, keys, *words)
        if type(answers[0]) is int:
            number, refused, *why = answers
            board = boards[number - 1]
            if refused == 0:
                raise _over(board, *why)
            raise _refusal(board.ranking, entries[refused - 1], why[0], refused - 1)
        return [
            _submission(board.ranking, *row)
            for board, answer in zip(boards, answers, strict=True)
            for row in zip(entries, *answer, strict=True)
        ]

    async def _submit_rich(
        self, boards: Sequence[Board], entries: Sequence[Submit], overtaken: int
    ) -> Any:
        words = [b"%d" % overtaken, b"%d" % len(boards)]
        words += [word for board in boards for word in rules_of(board.ranking, True)]
        for member, score, note, name in entries:
            words += (member, double(score), _optional(note), _optional(name))
        keys = [key for board in boards for key in rich_keys(board)]
        return await self._calls.run(scripts.SUBMIT_RICH, keys, *words)


def _flag(metadata: bool) -> bytes:
    return b"1" if metadata else b"0"


def _instant(instant: int | None) -> bytes:
    return b"" if instant is None else b"%d" % instant


def _over(board: Board, number: bytes, ended: bytes, now: bytes) -> SeasonOver:
    return SeasonOver(board.key, int(number), int(ended), int(now))


def _optional(text: bytes | None) -> bytes:
    return b"" if text is None else b"+" + text


def _submission(
    ranking: Ranking,
    entry: Submit,
    stored: Score,
    previous: int | None,
    rank: int | None,
    known: int | None = None,
    passed: list[Any] | None = None,
) -> Submission:
    before = None if stored is None else float(stored)
    if known:
        score = entry.score if before is None else before
        return Submission(entry.member, score, rank, previous, before, False, (), True)
    score = counting_score(ranking, before, entry.score)
    others = () if passed is None else _overtaken(ranking, *passed)
    return _new(
        Submission,
        (entry.member, score, rank, previous, before, score != before, others, False),
    )


def _overtaken(
    ranking: Ranking, total: int, first: int, shared: int | None, rows: list[bytes], there: Any
) -> tuple[Entry, ...]:
    """Those on a page who are still on the board."""
    entries = _page(ranking, total, first, shared, rows).entries
    return tuple(entry for entry, stays in zip(entries, there, strict=True) if stays)


def _refusal(ranking: Ranking, entry: Submit, stored: Score, number: int = 0) -> Exception:
    """What the engine raises for a score that the script has found out of bounds; ``number`` is
    its index among others."""
    try:
        counting_score(ranking, None if stored is None else float(stored), entry.score)
    except OutOfBounds as refused:
        refused.entry = number
        return refused
    return AssertionError(f"the script refused {entry} of {stored!r}")


def _page(
    ranking: Ranking,
    total: int,
    first: int,
    shared: int | None,
    rows: list[bytes],
    notes: list[Any] | None = None,
) -> Page:
    scores = [float(score) for score in rows[1::2]]
    members = rows[::2]
    if ranking.ties == "member" and MARK in b"".join(members):
        members = [_member(stored) for stored in members]
    ranks: Iterable[int] = range(first + 1, first + 1 + len(scores))
    if shared is not None:
        ranks = _shared_ranks(ranking.ranks == "dense", shared, first + 1, scores)
    cells = zip(ranks, members, scores, notes or repeat(None), strict=False)
    return Page(total, [_new(Entry, row) for row in cells])


def _member(stored: bytes) -> bytes:
    """A member who has a place by rules that we have not heard of yet."""
    return stored[PLACE:] if stored.startswith(MARK) and len(stored) > PLACE else stored


def _chosen(
    wanted: list[bytes],
    total: int,
    scores: list[Score],
    ranks: list[int],
    indices: list[int],
    notes: list[Any] | None = None,
) -> Page:
    """Of the members who are wanted those who are there, best first."""
    rows = sorted(
        (index, rank, member, float(score), note)
        for index, rank, member, score, note in zip(
            indices, ranks, wanted, scores, notes or repeat(None), strict=False
        )
        if score is not None
    )
    return Page(total, [_new(Entry, row[1:]) for row in rows])


def _shared_ranks(dense: bool, shared: int, number: int, scores: list[float]) -> Iterator[int]:
    """The ranks of consecutive rows where equal scores share one; that of the first is known."""
    last = scores[0]
    for at, score in enumerate(scores, number):
        if score != last:
            shared, last = shared + 1 if dense else at, score
        yield shared


def _histogram(total: int, bounds: list[float], below: list[int]) -> Histogram:
    """``below``: how many entries there are below each bound, and at the last one, too."""
    if not bounds:
        return Histogram(total, [], [], 0, 0)
    counts = [high - low for low, high in pairwise(below)]
    return Histogram(total, bounds, counts, below[0], total - below[-1])
