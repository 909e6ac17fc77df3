"""The routes of a board's seasons: which there are, and ending one by hand.

When seasons end is among the rules, in `boards`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from realtime.http.boards import ADMIN
from realtime.http.leaderboard_shapes import READ, TAG, BoardPath
from realtime.http.operation import Answer, Example, operation
from realtime.http.values import BoardName, instant
from realtime.services.leaderboards import Leaderboards
from realtime.services.rolling import ClosedSeason

__all__ = ["OPERATIONS"]

Number = Annotated[int, Meta(ge=1, description="Seasons of a board count from 1.")]
Size = Annotated[int, Meta(ge=0, description="How many entries it has.")]


class CurrentSeason(Answer):
    """The season that a board is in."""

    season: Number
    began: datetime
    ends: Annotated[datetime, Meta(description="Null: not by itself.")] | None


class PastSeason(Answer):
    """A season that is over, and whose entries are kept."""

    season: Number
    began: datetime
    ended: datetime
    size: Size


class Seasons(Answer):
    """The seasons of a board."""

    board: BoardName
    current: Annotated[CurrentSeason, Meta(description="Null: the board has none.")] | None
    closed: Annotated[list[PastSeason], Meta(description="Those that are kept, newest first.")]


class Reset(PastSeason):
    """The season that was closed."""

    board: BoardName = ""


_EXAMPLE_PAST = (
    '{"season":1,"began":"2026-11-16T09:30:12.500000Z","ended":"2026-11-23T00:00:00Z","size":2'
)
_EXAMPLE_CURRENT = '{"season":2,"began":"2026-11-23T00:00:00Z","ends":"2026-11-30T00:00:00Z"}'


@operation(
    "GET",
    "/v1/leaderboards/{board}/seasons",
    tag=TAG,
    scope=READ,
    summary="List the seasons of a board",
    example=Example(
        answer=f'{{"board":"arcade","current":{_EXAMPLE_CURRENT},"closed":[{_EXAMPLE_PAST}}}]}}'
    ),
)
async def read_seasons(leaderboards: Leaderboards, path: BoardPath) -> Seasons:
    """The one it is in, and those that are over and kept. Seasons in which nobody could submit,
    because the service did not run, are not among them."""
    season = await leaderboards.catch_up(path.board)
    closed = await leaderboards.closed(path.board)
    if season is None:
        return Seasons(board=path.board, current=None, closed=list(map(_past, closed)))
    current = CurrentSeason(
        season=season.number,
        began=instant(season.began),
        ends=None if season.ends is None else instant(season.ends),
    )
    before = [one for one in closed if one.number < season.number]  # it may have ended since
    return Seasons(board=path.board, current=current, closed=list(map(_past, before)))


@operation(
    "POST",
    "/v1/leaderboards/{board}/reset",
    tag=TAG,
    scope=ADMIN,
    summary="End the season of a board",
    example=Example(answer=f'{_EXAMPLE_PAST},"board":"arcade"}}'),
)
async def reset_board(leaderboards: Leaderboards, path: BoardPath) -> Reset:
    """It is closed now, and the next one begins, which ends when the rules say. 409 if the board
    has no seasons, and for a view."""
    season = await leaderboards.close_season(path.board)
    return Reset(
        season=season.number,
        began=instant(season.began),
        ended=instant(season.ended),
        size=season.size,
        board=path.board,
    )


OPERATIONS = (read_seasons, reset_board)


def _past(season: ClosedSeason) -> PastSeason:
    return PastSeason(
        season=season.number,
        began=instant(season.began),
        ended=instant(season.ended),
        size=season.size,
    )
