"""A season that is over, and all that can be asked of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from realtime.backends.base import (
    Backend,
    Board,
    EntryPosition,
    Page,
    Ranking,
    SortedSetReads,
    Submit,
)
from realtime.backends.keys import SEASONS, archive_key, board_key
from realtime.services.archives import Archives
from realtime.services.boardrules import frozen
from realtime.services.rolling import ClosedSeason

__all__ = ["ARCADE", "PERCENTILES", "all_answers", "closed", "everybody", "some_entries"]

ARCADE = "arcade"
PERCENTILES = [0.0, 0.1, 12.5, 50.0, 99.0, 100.0]


def some_entries(count: int, seed: int = 1) -> list[Submit]:
    """With many equal scores, both signs and zero, and metadata here and there."""
    draw = random.Random(seed)
    return [
        Submit(
            f"ä{number}😀".encode() if number % 3 == 0 else b"m%d" % number,
            draw.choice([0.0, -0.0, 1.0, -1.0, 0.1, 1e300, -1e-300, float(draw.randrange(40))]),
            b'{"n":%d}' % number if draw.random() < 0.3 else None,
        )
        for number in range(count)
    ]


async def closed(
    backend: Backend, ranking: Ranking, entries: Sequence[Submit], *, ended: int = 2_000
) -> ClosedSeason:
    """The first season, whose entries lie where closing it has left them."""
    number = 1
    key = archive_key(board_key(ARCADE.encode()), number)
    for start in range(0, len(entries), 500):
        await backend.sorted_sets.submit(Board(key, ranking), entries[start : start + 500])
    size = await backend.sorted_sets.size(Board(key, ranking))
    row = {b"%d" % number: b"1000 %d %d %b" % (ended, size, frozen(ranking))}
    await backend.hashes.patch(board_key(ARCADE.encode()) + SEASONS, row)
    return ClosedSeason(number, 1_000, ended, size, ranking, None, False)


async def all_answers(archives: Archives, season: ClosedSeason, members: Sequence[bytes]) -> Any:
    """What every reading verb says of a season, in many ways."""
    sets, board = archives.sets(ARCADE, season), archives.board(ARCADE, season)
    scores = sorted({score for _, _, score, _ in await everybody(archives, season)})
    scores = [*scores, -0.5, 1e308, -1e308, float("inf"), float("-inf")]
    return {
        "size": await sets.size(board),
        "pages": await _pages(sets, board),
        "onward": await _onward(sets, board),
        "members": [
            await sets.members(board, list(members), metadata=noted) for noted in (False, True)
        ],
        "standing": [await sets.standing(board, member) for member in members],
        "around": [
            await sets.around(board, member, radius, metadata=radius == 2)
            for member in members
            for radius in (0, 2, 5)
        ],
        "around_score": [
            await sets.around_score(board, score, radius, metadata=radius == 2)
            for score in scores[:-2]
            for radius in (1, 2)
        ],
        "by_score": [
            await sets.page_by_score(board, low, high, offset, 5, metadata=offset == 1)
            for low in scores[::3]
            for high in scores[::2]
            for offset in (0, 1)
        ],
        "percentiles": [await sets.at_percentile(board, percent) for percent in PERCENTILES],
        "histograms": [
            await sets.histogram(board, bounds)
            for bounds in (1, 3, 10, sorted(scores)[::4], sorted(scores)[-2:])
        ],
    }


async def everybody(archives: Archives, season: ClosedSeason) -> Any:
    """All entries, with metadata."""
    sets, board = archives.sets(ARCADE, season), archives.board(ARCADE, season)
    return (await sets.page(board, 0, 10**6, metadata=True)).entries


async def _pages(sets: SortedSetReads, board: Board) -> list[Page]:
    size = await sets.size(board)
    return [
        await sets.page(board, offset, limit, metadata=noted)
        for offset in (*range(0, size, max(1, size // 7)), size - 1, size, size + 5, 2**53)
        for limit in (1, 4, size)
        for noted in (False, True)
    ]


async def _onward(sets: SortedSetReads, board: Board) -> list[tuple[Page, float | None]]:
    """Names in cursors may have places before them, until the season is packed."""
    found: list[tuple[Page, float | None]] = []
    position: EntryPosition | None = None
    while True:
        page, position, generation = await sets.onward(board, position, 3, metadata=True)
        assert generation == 0
        found.append((page, None if position is None else position.score))
        if position is None:
            return found
