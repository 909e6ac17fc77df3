"""The routes of a board itself: its rules and its size, and its end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from realtime.backends.base import Keep, Ranking, Ranks, Ties
from realtime.http.leaderboard_shapes import READ, TAG, BoardPath
from realtime.http.operation import Answer, Body, Example, Scope, operation
from realtime.http.values import BoardName, Score, Seconds, instant, instant_of, seconds
from realtime.services.durations import microseconds
from realtime.services.leaderboards import Leaderboards
from realtime.services.seasons import (
    MAX_ARCHIVES,
    MAX_CRON,
    MAX_RESETS,
    VIEWS,
    SeasonRules,
    View,
)
from realtime.services.standings import json_score

__all__ = ["ADMIN", "OPERATIONS", "BoardPath"]

ADMIN = Scope(TAG, "admin")

Instant = Annotated[datetime, Meta(tz=True)]
Order = Literal["desc", "asc"]


class Rules(Body):
    """How a board ranks. The defaults are the rules of a board that was never configured."""

    order: Annotated[Order, Meta(description="Whether the highest score is first.")] = "desc"
    keep: Annotated[
        Keep, Meta(description="Which of a member's scores counts; `sum` adds them up.")
    ] = "best"
    ties: Annotated[
        Ties,
        Meta(
            description="Equal scores are ordered by the bytes of the member; or whoever reached "
            "the score first is first."
        ),
    ] = "member"
    ranks: Annotated[
        Ranks,
        Meta(
            description="Whether each entry has a rank of its own (1, 2, 3, 4), or equal scores "
            "share one: 1, 2, 2, 4 (`competition`) or 1, 2, 2, 3 (`dense`)."
        ),
    ] = "ordinal"
    max_entries: (
        Annotated[int, Meta(ge=1, le=2**53, description="The worst beyond it are dropped.")] | None
    ) = None
    min_score: Annotated[Score, Meta(description="Lower scores are refused.")] | None = None
    max_score: Annotated[Score, Meta(description="Higher scores are refused.")] | None = None
    entry_ttl: (
        Annotated[
            Seconds,
            Meta(description="So many seconds after a member's last submit its entry leaves."),
        ]
        | None
    ) = None
    authoritative: Annotated[
        bool, Meta(description="Users with tokens may not change entries, only API keys may.")
    ] = False
    reset: (
        Annotated[
            str,
            Meta(
                min_length=9,
                max_length=MAX_CRON,
                description="When seasons end: a cron expression of five fields, as Debian's "
                "cron reads them.",
                examples=["0 0 * * 1"],
            ),
        ]
        | None
    ) = None
    resets: (
        Annotated[
            list[Instant],
            Meta(
                max_length=MAX_RESETS,
                description="Instead of `reset`: the ascending instants at which seasons end. "
                "None of them: seasons are closed by hand.",
            ),
        ]
        | None
    ) = None
    timezone: Annotated[
        str,
        Meta(
            max_length=255,
            description="Of `reset` and of `views`: a name of the IANA database.",
            examples=["Europe/Berlin"],
        ),
    ] = "UTC"
    archives: Annotated[
        int, Meta(ge=0, le=MAX_ARCHIVES, description="How many closed seasons are kept.")
    ] = 1
    archive_ttl: (
        Annotated[Seconds, Meta(description="Closed seasons are kept no longer than this.")] | None
    ) = None
    views: Annotated[
        tuple[View, ...],
        Meta(
            max_length=len(VIEWS),
            description="Boards that get every score of this one, and begin anew each day, week "
            "or month, or never: `{arcade}:daily` for the board `arcade`.",
            extra_json_schema={"uniqueItems": True},
        ),
    ] = ()


class Board(Answer):
    """A board: its rules and its size."""

    board: BoardName
    size: Annotated[int, Meta(ge=0)]
    order: Order
    keep: Keep
    ties: Ties
    ranks: Ranks
    max_entries: int | None
    min_score: Score | None
    max_score: Score | None
    entry_ttl: Seconds | None
    authoritative: bool
    reset: str | None
    resets: list[datetime] | None
    timezone: str
    archives: Annotated[int, Meta(ge=0, le=MAX_ARCHIVES)]
    archive_ttl: Seconds | None
    views: list[View]
    view_of: Annotated[BoardName, Meta(description="The board that this is a view of.")] | None


_EXAMPLE_BOARD = (
    '{"board":"arcade","size":3,"order":"desc","keep":"best","ties":"member",'
    '"ranks":"ordinal","max_entries":null,"min_score":0,"max_score":null,"entry_ttl":null,'
    '"authoritative":false,"reset":null,"resets":null,"timezone":"UTC","archives":1,'
    '"archive_ttl":null,"views":[],"view_of":null}'
)


@operation(
    "PUT",
    "/v1/leaderboards/{board}",
    tag=TAG,
    scope=ADMIN,
    summary="Set the rules of a board",
    example=Example(body='{"keep":"best","min_score":0}', answer=_EXAMPLE_BOARD),
)
async def configure_board(leaderboards: Leaderboards, path: BoardPath, body: Rules) -> Board:
    """What is left out gets its default. A change takes effect on entries that are there, too:
    docs/leaderboards.md says what each one does. Views have the rules of their board: 409 for
    those of a view, and where a view would have the name of a board that there is."""
    ranking = Ranking(
        descending=body.order == "desc",
        keep=body.keep,
        ranks=body.ranks,
        max_entries=body.max_entries,
        min_score=body.min_score,
        max_score=body.max_score,
        ties=body.ties,
        entry_ttl=None if body.entry_ttl is None else microseconds("entry_ttl", body.entry_ttl),
        authoritative=body.authoritative,
    )
    await leaderboards.configure(path.board, ranking, _seasons(body))
    return await _board(leaderboards, path.board)


@operation(
    "GET",
    "/v1/leaderboards/{board}",
    tag=TAG,
    scope=READ,
    summary="Read the rules and the size of a board",
    example=Example(answer=_EXAMPLE_BOARD),
)
async def read_board(leaderboards: Leaderboards, path: BoardPath) -> Board:
    """A board that was never configured has the defaults."""
    return await _board(leaderboards, path.board)


@operation(
    "DELETE",
    "/v1/leaderboards/{board}",
    tag=TAG,
    scope=ADMIN,
    summary="Delete a board",
)
async def delete_board(leaderboards: Leaderboards, path: BoardPath) -> None:
    """Its entries, their metadata and its rules, its views, and all its seasons. 204 also if there
    was nothing; 409 for a view."""
    await leaderboards.drop(path.board)


OPERATIONS = (configure_board, read_board, delete_board)


def _seasons(body: Rules) -> SeasonRules:
    ttl = body.archive_ttl
    return SeasonRules(
        reset=body.reset,
        resets=None if body.resets is None else tuple(map(instant_of, body.resets)),
        timezone=body.timezone,
        archives=body.archives,
        archive_ttl=None if ttl is None else microseconds("archive_ttl", ttl),
        views=body.views,
    )


async def _board(leaderboards: Leaderboards, board: str) -> Board:
    ranking = await leaderboards.rules(board)
    rules = await leaderboards.seasons(board)
    size = await leaderboards.size(board)
    low, high = ranking.min_score, ranking.max_score
    return Board(
        board=board,
        size=size,
        order="desc" if ranking.descending else "asc",
        keep=ranking.keep,
        ties=ranking.ties,
        ranks=ranking.ranks,
        max_entries=ranking.max_entries,
        min_score=None if low is None else json_score(low),
        max_score=None if high is None else json_score(high),
        entry_ttl=None if ranking.entry_ttl is None else seconds(ranking.entry_ttl),
        authoritative=ranking.authoritative,
        reset=rules.reset,
        resets=None if rules.resets is None else [instant(one) for one in rules.resets],
        timezone=rules.timezone,
        archives=rules.archives,
        archive_ttl=None if rules.archive_ttl is None else seconds(rules.archive_ttl),
        views=list(rules.views),
        view_of=rules.view_of,
    )
