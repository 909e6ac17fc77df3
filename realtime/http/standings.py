"""The routes of leaderboards that ask about all scores together: where a score would stand, who
stands at a percentile, how many there are, how they are spread."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from realtime.errors import InvalidInput, NotFound
from realtime.http.leaderboard_shapes import (
    MAX_PAGE,
    READ,
    TAG,
    BoardPath,
    Entries,
    Rank,
    WhichQuery,
    WithMetadata,
    asked,
    entries_of,
    finite,
)
from realtime.http.operation import Answer, Example, operation
from realtime.http.values import BoardName, MemberName, Score
from realtime.services.leaderboards import Leaderboards
from realtime.services.standings import MAX_BUCKETS, json_score

__all__ = ["OPERATIONS"]

Whole = Annotated[int, Meta(ge=0)]


class AroundScoreQuery(WhichQuery):
    score: Annotated[Score, Meta(description="Need not be on the board.")]
    radius: Annotated[int, Meta(ge=1, le=MAX_PAGE // 2, description="On either side.")] = 5
    metadata: WithMetadata = False

    def __post_init__(self) -> None:
        finite(self.score)


class PercentileQuery(WhichQuery):
    at: Annotated[float, Meta(ge=0, le=100, description="Per cent.")]


class CountQuery(WhichQuery):
    min_score: Annotated[Score, Meta(description="Leave lower scores out.")] | UnsetType = UNSET
    max_score: Annotated[Score, Meta(description="Leave higher scores out.")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        finite(self.min_score, self.max_score)


class HistogramQuery(WhichQuery):
    bounds: (
        Annotated[
            list[Score],
            Meta(
                min_length=2,
                max_length=MAX_BUCKETS + 1,
                description="Of the buckets, in ascending order.",
            ),
        ]
        | UnsetType
    ) = UNSET
    buckets: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=MAX_BUCKETS,
                description="So many equal ones, from the lowest score to the highest.",
            ),
        ]
        | UnsetType
    ) = UNSET

    def __post_init__(self) -> None:
        if self.bounds is not UNSET:
            finite(*self.bounds)


class AtPercentile(Answer):
    """The last entry of which so many per cent of all stand no better."""

    board: BoardName
    at: Annotated[float, Meta(ge=0, le=100)]
    score: Score
    rank: Rank
    member: MemberName
    total: Annotated[int, Meta(ge=1)]


class Count(Answer):
    """How many entries there are."""

    board: BoardName
    count: Whole


class Bucket(Answer):
    """Scores from ``min`` up to ``max``, which only belongs to the last bucket."""

    min: Score
    max: Score
    count: Whole


class HistogramOf(Answer):
    """How the scores of one instant are spread."""

    board: BoardName
    total: Whole
    below: Annotated[int, Meta(ge=0, description="Entries below the first bucket.")]
    above: Annotated[int, Meta(ge=0, description="Entries above the last one.")]
    buckets: list[Bucket]


@operation(
    "GET",
    "/v1/leaderboards/{board}/around",
    tag=TAG,
    scope=READ,
    summary="Read the entries around a score",
    errors=(NotFound,),
    example=Example(
        query="score=1000&radius=1",
        answer='{"board":"arcade","total":3,"entries":[{"rank":1,"member":"ada","score":1200},'
        '{"rank":2,"member":"bob","score":950}]}',
    ),
)
async def read_around_score(
    leaderboards: Leaderboards, path: BoardPath, query: AroundScoreQuery
) -> Entries:
    """`radius` entries that are better, and as many that are not, whether or not anybody has this
    score; at the ends of the board the page is as long as anywhere."""
    standings = await asked(leaderboards, path.board, query)
    page = await standings.around_score(query.score, query.radius, metadata=query.metadata)
    return entries_of(path.board, page, query.metadata)


@operation(
    "GET",
    "/v1/leaderboards/{board}/percentile",
    tag=TAG,
    scope=READ,
    summary="Read the score at a percentile",
    errors=(NotFound,),
    example=Example(
        query="at=90",
        answer='{"board":"arcade","at":90,"score":1200,"rank":1,"member":"ada","total":3}',
    ),
)
async def read_percentile(
    leaderboards: Leaderboards, path: BoardPath, query: PercentileQuery
) -> AtPercentile:
    """The last entry of which so many per cent of all stand no better: what it takes to be among
    the best ten per cent is at 90. 404 if the board has no entries."""
    standings = await asked(leaderboards, path.board, query)
    total, entries = await standings.at_percentile(query.at)
    if not entries:
        raise NotFound("this board has no entries")
    entry = entries[0]
    return AtPercentile(
        board=path.board,
        at=query.at,
        score=json_score(entry.score),
        rank=entry.rank,
        member=entry.member.decode(),
        total=total,
    )


@operation(
    "GET",
    "/v1/leaderboards/{board}/count",
    tag=TAG,
    scope=READ,
    summary="Count entries by score",
    errors=(NotFound,),
    example=Example(query="min_score=900", answer='{"board":"arcade","count":2}'),
)
async def count_entries(leaderboards: Leaderboards, path: BoardPath, query: CountQuery) -> Count:
    """Those with a score within the bounds, both included."""
    standings = await asked(leaderboards, path.board, query)
    count = await standings.count(
        None if query.min_score is UNSET else query.min_score,
        None if query.max_score is UNSET else query.max_score,
    )
    return Count(board=path.board, count=count)


@operation(
    "GET",
    "/v1/leaderboards/{board}/histogram",
    tag=TAG,
    scope=READ,
    summary="Read how the scores are spread",
    errors=(NotFound,),
    example=Example(
        query="bounds=0,1000,2000",
        answer='{"board":"arcade","total":3,"below":0,"above":0,"buckets":'
        '[{"min":0,"max":1000,"count":2},{"min":1000,"max":2000,"count":1}]}',
    ),
)
async def read_histogram(
    leaderboards: Leaderboards, path: BoardPath, query: HistogramQuery
) -> HistogramOf:
    """Entries between each two of the `bounds`; or in a number of equal `buckets`, of which there
    are none on an empty board, and one if all scores are equal."""
    if query.bounds is not UNSET and query.buckets is not UNSET:
        raise InvalidInput("bounds cannot be combined with buckets")
    bounds: list[float] | int = query.bounds if query.bounds is not UNSET else []
    if not bounds:
        bounds = 10 if query.buckets is UNSET else query.buckets
    found = await (await asked(leaderboards, path.board, query)).histogram(bounds)
    edges = [json_score(bound) for bound in found.bounds]
    return HistogramOf(
        board=path.board,
        total=found.total,
        below=found.below,
        above=found.above,
        buckets=[
            Bucket(min=low, max=high, count=count)
            for low, high, count in zip(edges, edges[1:], found.counts, strict=False)
        ],
    )


OPERATIONS = (read_around_score, read_percentile, count_entries, read_histogram)
